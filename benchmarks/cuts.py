"""Scene changes on grey, flickering, scratched film: Kinema's detector beside PySceneDetect's, on the same films.

    .venv/bin/python -m benchmarks.cuts CLIPS [--films 12] [--shots 8] [--seed 1]

CLIPS is a folder of clips without cuts; only their luma is used. Films are joined from them at known places
(`joined_films.py`), a third of them clean, a third worn, a third ruined. PySceneDetect is measured if it is installed
(`pip install --no-deps scenedetect platformdirs`; it would bring another build of OpenCV): each detector with its
defaults, and once more with whatever threshold scores best on these very films, which favours it.
"""

import argparse
import importlib
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.colour_clips import list_clips
from benchmarks.joined_films import U8, JoinedFilm, films, fit_luma, match
from kinema_core.color import GREY_TAGS
from kinema_core.errors import KinemaError
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import TransitionKind
from kinema_core.media.reader import FilmReader
from kinema_core.temporal.cuts import CutDetector, Transition
from kinema_core.temporal.transitions import find_transitions

Spans = list[tuple[int, int]]
Detector = Callable[[U8], Spans]
"""Takes luma (T, H, W) of full range, gives (first, last) frame of each transition."""

WORKING_SHAPE = (192, 352)
"""(h, w) of what the pipeline hands to the detector for such a film."""
FRAMES_OF_A_CLIP = 100
SWEPT = {
    "ContentDetector": ("threshold", (8.0, 12.0, 18.0)),
    "AdaptiveDetector": ("adaptive_threshold", (1.5, 2.0, 4.0)),
    "HashDetector": ("threshold", (0.3, 0.35, 0.45)),
    "HistogramDetector": ("threshold", (0.1, 0.2, 0.35)),
    "ThresholdDetector": ("threshold", (6.0, 20.0)),
}
"""PySceneDetect's detectors, and thresholds to try beside their defaults."""


@dataclass(slots=True)
class Tally:
    """What a detector found in all films."""

    found: Counter[TransitionKind] = field(default_factory=Counter)
    num_labels: int = 0
    num_wrong: int = 0
    num_frames: int = 0
    seconds: float = 0.0

    @property
    def precision(self) -> float:
        """Share of what was found that is there."""
        return self.found.total() / max(1, self.found.total() + self.num_wrong)

    @property
    def recall(self) -> float:
        """Share of what is there that was found."""
        return self.found.total() / max(1, self.num_labels)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.found.total() / max(1, self.num_labels + self.found.total() + self.num_wrong)

    def add(self, film: JoinedFilm, spans: Spans, seconds: float) -> None:
        """Count what was found in one film."""
        hits, wrong = match(film.labels, spans)
        self.found.update(film.labels[i].kind for i in hits)
        self.num_labels += len(film.labels)
        self.num_wrong += len(wrong)
        self.num_frames += len(film.luma)
        self.seconds += seconds


def main() -> int:
    """Join films, run every detector on them, print tables and return an exit code."""
    options = parse_arguments()
    cv2.setNumThreads(1)
    try:
        shots = [read_luma(path) for path in list_clips(options.clips)]
    except KinemaError as err:
        print(f"benchmark: {err}", file=sys.stderr)
        return 1
    detectors: dict[str, Detector] = {"Kinema": detect, "Kinema, live": detect_live, **pyscenedetect()}
    tallies = {name: Tally() for name in detectors}
    kinds: Counter[tuple[TransitionKind, TransitionKind]] = Counter()
    labels: Counter[TransitionKind] = Counter()
    num_flashes = 0
    for film in films(shots, options.films, options.shots, options.seed):
        num_flashes += len(film.flashes)
        labels.update(label.kind for label in film.labels)
        kinds.update(compare_kinds(film, find_transitions(lightness_of(film.luma))))
        for name, detector in detectors.items():
            began = process_time()
            spans = detector(film.luma)
            tallies[name].add(film, spans, process_time() - began)
    print(f"{options.films} films, {tallies['Kinema'].num_frames} frames, {num_flashes} flashes; transitions: "
          + ", ".join(f"{count} {kind.value}" for kind, count in labels.items()))  # fmt: skip
    print_scores(best_of(tallies), labels)
    print_kinds(kinds)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("clips", type=Path, help="folder of clips, each a single shot")
    parser.add_argument("--films", type=int, default=12, help="films to join (default: 12)")
    parser.add_argument("--shots", type=int, default=8, help="shots of a film, at most as many as clips (default: 8)")
    parser.add_argument("--seed", type=int, default=1, help="of all randomness (default: 1)")
    return parser.parse_args()


def read_luma(path: Path) -> U8:
    """Read a clip's first frames as full-range luma (T, 270, 480), cropped to fit.

    Raises:
        MediaError: the clip cannot be read.
    """
    with FilmReader(path) as film:
        luma = np.stack([frame.luma for frame in islice(film, FRAMES_OF_A_CLIP)])
        is_limited = film.tags.color_range.value == "limited"
    fitted = fit_luma(luma.astype(np.uint8, copy=False))
    return np.clip((fitted.astype(np.float32) - 16) * (255 / 219), 0, 255).astype(np.uint8) if is_limited else fitted


def lightness_of(luma: U8) -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
    """Make what the pipeline hands to the detector."""
    return (prepare_lightness(frame, GREY_TAGS, WORKING_SHAPE)[0, 0] for frame in luma)


def detect(luma: U8) -> Spans:
    """Kinema on a film at hand."""
    return [(found.start, found.end) for found in find_transitions(lightness_of(luma))]


def detect_live(luma: U8) -> Spans:
    """Kinema without looking ahead: a cut counts where it is reported, and a flash taken for one stays wrong."""
    detector = CutDetector()
    found = filter(None, map(detector.observe, lightness_of(luma)))
    return [
        (item.end if item.kind is TransitionKind.CUT else item.start, item.end)
        for item in found
        if item.kind is not TransitionKind.RETURN
    ]


def compare_kinds(film: JoinedFilm, found: Sequence[Transition]) -> Iterator[tuple[TransitionKind, TransitionKind]]:
    """Give (true kind, kind found) of everything that was found where something is."""
    for item in found:
        for label in film.labels:
            if match([label], [(item.start, item.end)])[0]:
                yield label.kind, item.kind


def pyscenedetect() -> dict[str, Detector]:
    """Give PySceneDetect's detectors at every threshold, none if it is not installed."""
    if importlib.util.find_spec("scenedetect") is None:
        print("PySceneDetect is not installed: only Kinema is measured", file=sys.stderr)
        return {}
    package: Any = importlib.import_module("scenedetect")
    detectors: dict[str, Detector] = {}
    for name, (option, values) in SWEPT.items():
        make: Any = getattr(package, name)
        detectors[name] = _wrap(package, make)
        for value in values:
            detectors[f"{name}, {option} {value:g}"] = _wrap(package, make, **{option: value})
    return detectors


def _wrap(package: Any, make: Any, **options: float) -> Detector:
    def run(luma: U8) -> Spans:
        detector = make(**options)
        times = [package.FrameTimecode(number, fps=Fraction(25)) for number in range(len(luma))]
        found: list[Any] = []
        for time, frame in zip(times, luma, strict=True):
            found += detector.process_frame(time, cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
        found += detector.post_process(times[-1])
        return [(int(time.frame_num), int(time.frame_num)) for time in found]

    return run


def best_of(tallies: Mapping[str, Tally]) -> dict[str, Tally]:
    """Keep Kinema, each detector's defaults, and its best threshold."""
    kept = {name: tally for name, tally in tallies.items() if ", " not in name or name.startswith("Kinema")}
    for name in SWEPT:
        tuned = [(tally.f1, key) for key, tally in tallies.items() if key.startswith(f"{name}, ")]
        if tuned and max(tuned)[0] > tallies[name].f1:
            kept[f"{max(tuned)[1]} (best)"] = tallies[max(tuned)[1]]
    return kept


def print_scores(tallies: Mapping[str, Tally], labels: Mapping[TransitionKind, int]) -> None:
    """Print a row for each detector."""
    table = Table("detector", "F1", "precision", "recall", "cuts", "dissolves", "fades", "wrong", "ms a frame")
    for name, tally in tallies.items():
        per_kind = [
            f"{tally.found[kind]}/{labels.get(kind, 0)}"
            for kind in (TransitionKind.CUT, TransitionKind.DISSOLVE, TransitionKind.FADE)
        ]
        table.add_row(
            name, f"{tally.f1:.3f}", f"{tally.precision:.3f}", f"{tally.recall:.3f}", *per_kind,
            str(tally.num_wrong), f"{1000 * tally.seconds / tally.num_frames:.2f}",
        )  # fmt: skip
    Console(width=140).print(table)


def print_kinds(kinds: Mapping[tuple[TransitionKind, TransitionKind], int]) -> None:
    """Print what each kind of transition was taken for."""
    named = (TransitionKind.CUT, TransitionKind.DISSOLVE, TransitionKind.FADE)
    table = Table("Kinema took a", *(f"for a {kind.value}" for kind in named))
    for true in named:
        table.add_row(true.value, *(str(kinds.get((true, kind), 0)) for kind in named))
    Console(width=140).print(table)


if __name__ == "__main__":
    sys.exit(main())
