"""Scene changes on grey film, from lightness alone and without looking ahead.

Cuts are jumps between frames that motion does not explain. Fades go through frames without content, dissolves through
mixtures; either is reported once the new shot is what one mostly sees. `transitions.py` looks ahead, too.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kinema_core.frames import TransitionKind
from kinema_core.temporal.dissolves import DissolveWatch
from kinema_core.temporal.state import StateReader, Value
from kinema_core.temporal.thumbnails import (
    SHAPE,
    STILL,
    Thumbnail,
    find_motion,
    is_flash_between,
    likeness,
    make_thumbnail,
    thumbnail_of,
)

MIN_LIKENESS: Final = 0.4
"""Neighbours within a shot are more alike than this, neighbours across a cut less: see docs/temporal.md."""
MIN_RETURN_LIKENESS: Final = 0.5
"""A frame that is more like the end of the shot before a cut than this goes on with it: what was between was no cut."""
MIN_CONTRAST: Final = 0.5
"""Standard deviation in L* below which a picture is blank: black, white, the middle of a fade."""
FADED: Final = 0.5
"""Share of a shot's contrast below which a frame that is like nothing before may be a faded one in grain."""
NUM_REMEMBERED: Final = 48
"""Frames from which a shot's contrast is taken."""
FADING_IN: Final = 12
"""Frames behind a fade's middle in which no cut is looked for."""
MAX_FLASH: Final = 4
"""Frames that a flash, a splice or a torn frame may last."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of shot; frames are counted from 0."""

    kind: TransitionKind
    start: int
    """First frame that is not wholly of the old shot."""
    end: int
    """Frame at which the new shot is what one mostly sees, and at which this was found."""


class CutDetector:
    """Follow a film frame by frame."""

    def __init__(self) -> None:
        self._dissolves = DissolveWatch()
        self._index = -1
        self._previous: Thumbnail | None = None
        self._shown: Thumbnail | None = None
        """The last frame with content."""
        self._recent: deque[Thumbnail] = deque(maxlen=MAX_FLASH)
        """The last frames with content, in this shot."""
        self._contrasts: deque[float] = deque(maxlen=NUM_REMEMBERED)
        """Of the frames with content, in this shot."""
        self._last = Transition(TransitionKind.CUT, 0, 0)
        self._before_cut: Thumbnail | None = None
        """The end of the shot before, while the last cut may still prove a flash."""
        self._blank: _Blank | None = None
        self.found: Transition | None = None
        """What the frame that `is_cut` was asked about completes."""

    def is_cut(self, lightness: NDArray[np.float32]) -> bool:
        """Say whether `lightness` (H, W), L* 0-100, begins a new shot; the first frame does."""
        self.found = self.observe(lightness)
        return self._index == 0 or (self.found is not None and self.found.kind is not TransitionKind.RETURN)

    def observe(self, lightness: NDArray[np.float32]) -> Transition | None:
        """Take the next frame (H, W), L* 0-100, and return the transition that it completes, if any."""
        self._index += 1
        current = make_thumbnail(lightness)
        previous, self._previous = self._previous, current
        if self._index - self._last.end > MAX_FLASH:
            self._before_cut = None
        if previous is None and current.contrast >= MIN_CONTRAST:
            self._see(current)
            return None
        if previous is None:
            self._go_blank(current, self._index)
            return None
        if self._blank is not None:
            return self._leave_blank(self._blank, previous, current)
        return self._go_on(previous, current)

    def snapshot(self) -> dict[str, Value]:
        """Give what the frames so far leave to the next."""
        state: dict[str, Value] = {
            "index": self._index,
            "last.kind": self._last.kind.value,
            "last.start": self._last.start,
            "last.end": self._last.end,
            "contrasts": np.array(self._contrasts, np.float64),
        }
        for name, thumbnail in self._thumbnails().items():
            state[name] = thumbnail.lightness
        if self._blank is not None:
            state |= {f"blank.{name}": float(getattr(self._blank, name)) for name in _CONTRASTS_OF_BLANK}
            state |= {f"blank.{name}": int(getattr(self._blank, name)) for name in _COUNTS_OF_BLANK}
        return state | {f"dissolves.{name}": value for name, value in self._dissolves.snapshot().items()}

    def restore(self, state: StateReader, prefix: str = "") -> None:
        """Go on behind the frames that `snapshot` was taken after.

        Args:
            state: what was exported.
            prefix: of the names in it.

        Raises:
            InvalidInputError: it is not such a state.
        """
        kind = TransitionKind(state.text(f"{prefix}last.kind", tuple(kind.value for kind in TransitionKind)))
        last = Transition(kind, state.integer(f"{prefix}last.start"), state.integer(f"{prefix}last.end"))
        index = state.integer(f"{prefix}index")
        contrasts = state.vector(f"{prefix}contrasts", np.float64, most=NUM_REMEMBERED)
        previous, shown, before_cut = (
            thumbnail_of(state.array(prefix + name, np.float32, SHAPE)) if state.has(prefix + name) else None
            for name in ("previous", "shown", "before_cut")
        )
        recent = state.arrays(f"{prefix}recent", np.float32, SHAPE, most=MAX_FLASH)
        blank = None
        if state.has(f"{prefix}blank.since"):
            levels = [state.number(f"{prefix}blank.{name}") for name in _CONTRASTS_OF_BLANK]
            counts = [state.integer(f"{prefix}blank.{name}") for name in _COUNTS_OF_BLANK]
            blank = _Blank(counts[0], levels[0], levels[1], bool(counts[1]), counts[2])
        self._dissolves.restore(state, f"{prefix}dissolves.")
        self._index, self._last, self._blank = index, last, blank
        self._previous, self._shown, self._before_cut = previous, shown, before_cut
        self._recent = deque(map(thumbnail_of, recent), maxlen=MAX_FLASH)
        self._contrasts = deque(contrasts.tolist(), maxlen=NUM_REMEMBERED)

    def _thumbnails(self) -> dict[str, Thumbnail]:
        single = {"previous": self._previous, "shown": self._shown, "before_cut": self._before_cut}
        several = {f"recent.{index}": thumbnail for index, thumbnail in enumerate(self._recent)}
        return {name: thumbnail for name, thumbnail in (single | several).items() if thumbnail is not None}

    def _go_on(self, previous: Thumbnail, current: Thumbnail) -> Transition | None:
        """Take a frame behind one with content."""
        if current.contrast < MIN_CONTRAST:
            self._go_blank(current, self._index)
            return None
        if self._before_cut is not None and self._likeness(self._before_cut, current) >= MIN_RETURN_LIKENESS:
            return self._return(current)
        motion = find_motion(previous, current)
        is_alike = likeness(previous, current, motion) >= MIN_LIKENESS
        if is_alike or self._still_likeness(previous, current) >= MIN_LIKENESS:
            self._see(current)
            if is_flash_between(previous, current):
                self._dissolves.forget()
                return None
            ago = self._dissolves.push(current, motion)
            return None if ago is None else self._change(TransitionKind.DISSOLVE, self._index - ago, current)
        return self._break_off(previous, current)

    def _break_off(self, previous: Thumbnail, current: Thumbnail) -> Transition | None:
        """Take a frame that is not like the one before it."""
        if self._is_fading_in() or self._is_back(current):
            self._see(current)
            return None
        if self._before_cut is not None:  # one cut upon the other: frames of noise, like nothing and like no neighbour
            self._shown = self._before_cut
            self._go_blank(current, self._last.start, is_doubted_cut=True)
            return None
        if current.contrast < FADED * self._shot_contrast():
            self._go_blank(current, self._index)
            return None
        found = self._change(TransitionKind.CUT, self._index, current)
        self._before_cut = previous
        return found

    def _leave_blank(self, blank: "_Blank", previous: Thumbnail, current: Thumbnail) -> Transition | None:
        """Take a frame behind a blank one: content is back if it is strong, or weak and the same for a while."""
        is_alike = current.contrast >= MIN_CONTRAST and self._likeness(previous, current) >= MIN_LIKENESS
        blank.num_alike = blank.num_alike + 1 if is_alike else 0
        is_strong = current.contrast >= max(MIN_CONTRAST, FADED * self._shot_contrast())
        is_fading_out = current.contrast < min(0.95 * blank.first_contrast, 1.2 * blank.least_contrast)
        blank.least_contrast = min(blank.least_contrast, current.contrast)
        if not is_strong and (blank.num_alike < 2 or is_fading_out):
            return None
        self._blank, shown = None, self._shown
        if shown is None:
            self._see(current)
            return None
        if self._likeness(shown, current) >= MIN_LIKENESS:
            if blank.is_doubted_cut:
                return self._return(current)
            self._see(current)
            return None
        has_faded_out = bool(np.mean(list(self._contrasts)[-3:]) < 0.85 * self._shot_contrast())
        is_sudden = not has_faded_out and (is_strong or self._index - blank.since <= MAX_FLASH)
        found = self._change(TransitionKind.CUT if is_sudden else TransitionKind.FADE, blank.since, current)
        self._before_cut = shown if is_sudden else None
        return found

    def _return(self, current: Thumbnail) -> Transition:
        """Go on with the shot before."""
        self._before_cut = None
        self._dissolves.forget()
        self._see(current)
        return Transition(TransitionKind.RETURN, self._last.end, self._index)

    def _change(self, kind: TransitionKind, start: int, current: Thumbnail) -> Transition:
        """Begin a new shot."""
        self._contrasts.clear()
        self._recent.clear()
        self._dissolves.forget()
        self._see(current)
        self._last = Transition(kind, start, self._index)
        return self._last

    def _go_blank(self, current: Thumbnail, since: int, *, is_doubted_cut: bool = False) -> None:
        self._blank = _Blank(since, current.contrast, current.contrast, is_doubted_cut)
        self._dissolves.forget()

    def _see(self, current: Thumbnail) -> None:
        self._shown = current
        self._recent.append(current)
        self._contrasts.append(current.contrast)

    def _is_back(self, current: Thumbnail) -> bool:
        """Whether a flash is over that was still like the frame before it."""
        return any(self._likeness(seen, current) >= MIN_RETURN_LIKENESS for seen in self._recent)

    def _is_fading_in(self) -> bool:
        """Whether a shot has just come out of a fade, when grain is stronger than the picture."""
        return self._last.kind is TransitionKind.FADE and self._index - self._last.end <= FADING_IN

    def _likeness(self, before: Thumbnail, after: Thumbnail) -> float:
        along_motion = likeness(before, after, find_motion(before, after))
        return max(along_motion, self._still_likeness(before, after))

    def _still_likeness(self, before: Thumbnail, after: Thumbnail) -> float:
        """Likeness without motion: a flash leads the flow astray."""
        return likeness(before, after, STILL)

    def _shot_contrast(self) -> float:
        return float(np.percentile(self._contrasts, 80)) if self._contrasts else 0.0


_CONTRASTS_OF_BLANK: Final = ("first_contrast", "least_contrast")
_COUNTS_OF_BLANK: Final = ("since", "is_doubted_cut", "num_alike")


@dataclass(slots=True)
class _Blank:
    """Frames without content, or with none that grain leaves visible."""

    since: int
    first_contrast: float
    least_contrast: float
    is_doubted_cut: bool
    """Whether the first of them was reported as a cut."""
    num_alike: int = 0
    """Frames in a row that look like their neighbour."""


def any_cut(earlier: bool | None, later: bool | None) -> bool | None:  # noqa: FBT001 - two of a kind
    """Say whether a shot begins with one of two frames; None for a frame means that it is not known."""
    if earlier or later:
        return True
    return None if earlier is None or later is None else False
