"""What it costs that a film is made in segments, and how long it takes to go on with one.

    .venv/bin/python -m benchmarks.segments FILM...

Films of 8 bit, in one flat colour, are written in one pass and in segments, as `kinema colorize` does either: no model
runs, which would bury what is compared. Then a run that breaks off at nine tenths is gone on with.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kinema_client.commands.films import FilmChoices, _colorize_in_one_pass
from kinema_client.commands.fingerprint import Fingerprint
from kinema_client.commands.segmented_film import colorize_in_segments
from kinema_core.errors import EngineError, UncolorizedFrameError
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import ColorFrame, LumaFrame, chroma_shape
from kinema_core.media.reader import FilmReader
from kinema_core.pipeline import Options, Step
from kinema_core.stage_clock import StageClock
from kinema_core.temporal.cuts import CutDetector

CODECS = ("h264", "hevc", "ffv1")


class FlatColours:
    """Gives every frame one colour at once, and finds the film's cuts."""

    description = "no model"
    pauses: Sequence[float] = ()
    keeps_state = True
    options = Options()
    facts: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.break_off_at: int | None = None
        self.first_frame_at = 0.0

    def fingerprint(self) -> Fingerprint:
        """Write down nothing: there is nothing to depend on."""
        return {}

    def colorize_film(
        self,
        film: FilmReader,
        frames: Iterable[LumaFrame],
        state: bytes = b"",
        clock: StageClock | None = None,  # noqa: ARG002  # nobody asks for a report
    ) -> Generator[Step, None, None]:
        """Yield a step for each frame."""
        cuts = CutDetector()
        chroma = np.full(chroma_shape(film.height, film.width), 120, np.uint8)
        for number, frame in enumerate(frames, 1 if state else 0):
            if not self.first_frame_at:
                self.first_frame_at = time.process_time()
            if number == self.break_off_at:
                raise EngineError("breaks off")
            is_cut = cuts.is_cut(prepare_lightness(frame.luma, frame.tags, (144, 256))[0, 0])
            colored = ColorFrame(frame.luma, chroma, chroma.copy(), frame.pts, frame.time_base, frame.tags, is_cut)
            yield Step(colored, {"one": 1.0})

    def colorize_photo(self, rgb: np.ndarray) -> np.ndarray:
        """Give the photograph back; no benchmark asks for it."""
        return rgb


def main(films: Sequence[str]) -> None:
    """Print a table; seconds are of CPU time."""
    print("| film | frames | codec | one pass, s | segments, s | more time | more bytes | until the next frame, s |")
    print("|---|---|---|---|---|---|---|---|")
    for film in films:
        for codec in CODECS:
            _measure(film, codec)


def _measure(film: str, codec: str) -> None:
    choices = FilmChoices(codec)
    with tempfile.TemporaryDirectory() as folder:
        whole, segments, resumed = (Path(folder, f"{name}.mkv") for name in ("whole", "segments", "resumed"))
        seconds = _timed(lambda: _colorize_in_one_pass(FlatColours(), film, str(whole), choices))
        in_segments = _timed(lambda: colorize_in_segments(FlatColours(), film, str(segments), choices))
        with FilmReader(film) as reader:
            num_frames = sum(1 for _ in reader)
        broken = FlatColours()
        broken.break_off_at = num_frames * 9 // 10
        with contextlib.suppress(UncolorizedFrameError):
            colorize_in_segments(broken, film, str(resumed), choices)
        again = FlatColours()
        began = time.process_time()
        colorize_in_segments(again, film, str(resumed), choices)
        more_bytes = segments.stat().st_size / whole.stat().st_size - 1
        print(
            f"| {Path(film).stem} | {num_frames} | {codec} | {seconds:.2f} | {in_segments:.2f} | "
            f"{in_segments / seconds - 1:+.1%} | {more_bytes:+.2%} | {again.first_frame_at - began:.2f} |"
        )


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main(sys.argv[1:])
