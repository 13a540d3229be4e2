"""Score ways to colour on photographs: colour their grey versions, compare with the originals. Needs no torch.

The grey version of a photograph has its L*; the colour comes back on the same L*, inside the sRGB gamut.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from kinema_core.color import rgb_to_grey
from kinema_core.errors import InvalidInputError
from kinema_core.quality.scores import photo_scores
from kinema_trainer.evaluation.bootstrap import CONFIDENCE, NUM_RESAMPLES, SEED, Bootstrap, Difference, Interval
from kinema_trainer.evaluation.methods import BundleModel, Method, MethodRecord, paint
from kinema_trainer.evaluation.photo_set import PhotoSet, Rgb
from kinema_trainer.evaluation.tally import Tally

MODEL = "model"
"""What the first model is called, whatever its bundle's name."""
MAX_GAIN = 2.0


class PictureScorer(Protocol):
    """A further score; it sees every picture once, photograph by photograph."""

    description: str
    """For people: the features' source and the digest of their weights; empty for what is no score."""

    def add(self, method: str, picture: Rgb, truth: Rgb) -> Mapping[str, float]:
        """Take a picture (S, S, 3) and its original; return scores of this one picture, if any."""

    def finish(self) -> Mapping[str, Mapping[str, float]]:
        """Return scores of whole sets by method, if any."""


@dataclass(frozen=True, slots=True)
class GainScores:
    """A method's scores with its ab multiplied by `gain`."""

    gain: float
    scores: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What `kinema evaluate` found, and what its JSON holds, key by key."""

    model: str
    model_version: str
    model_digest: str
    onnx_digest: str
    """SHA-256 of the bundle's model.onnx, which a new manifest around it does not change."""
    engine: str
    precision: str
    created: str
    """ISO 8601, UTC."""
    photos: str
    """Where the photographs came from: the last part of the path."""
    size: int
    """Side of the squares, in pixels."""
    num_photos: int
    mean_ab: tuple[float, float]
    """Of the photographs, Lab units: the second baseline."""
    confidence: float
    """Of every interval; percentile bootstrap over the photographs."""
    num_resamples: int
    resampling_seed: int
    records: dict[str, MethodRecord]
    """What each method is. The first is "model", the one that the others are measured against."""
    scorers: list[str]
    """Where the learned scores come from."""
    methods: dict[str, dict[str, float]]
    """[method][score]: the mean over the photographs, or a score of the set. For units see PhotoScores and SetScores
    in `kinema_core.quality.scores`; `colourfulness_ratio` is mean CF over the truth's."""
    intervals: dict[str, dict[str, Interval]]
    """[method][score]; none for scores of a set that are no means (Fréchet distances, the Inception score)."""
    differences: dict[str, dict[str, Difference]]
    """[other method][score]: the first model's mean minus that method's, paired by photograph."""
    gains: dict[str, list[GainScores]]
    """[method], by rising gain."""
    each: dict[str, dict[str, dict[str, float]]]
    """[method][photograph][score]."""
    skipped: dict[str, str]
    """Why a photograph was not scored, by name."""


def evaluate_photos(
    photos: PhotoSet, model: BundleModel, others: Sequence[Method], *, gains: Sequence[float] = (),
    scorers: Sequence[PictureScorer] = (), num_resamples: int = NUM_RESAMPLES,
    on_photo: Callable[[int, int], None] | None = None,
) -> Evaluation:  # fmt: skip
    """Score a model and what stands beside it.

    Args:
        photos: what they are scored on.
        model: the model in question.
        others: baselines and other models, each by a name of its own.
        gains: factors on ab, above 0 to 2, at which every method that is no baseline is scored as well. Its ab is
            computed once.
        scorers: further scores.
        num_resamples: of the bootstrap.
        on_photo: told how many photographs are done, and of how many.

    Raises:
        InvalidInputError: two methods share a name, or a gain is out of range.
    """
    methods = (model, *others)
    _check(methods, gains)
    tallies = {method.name: Tally() for method in methods}
    swept = {m.name: {gain: Tally() for gain in sorted(set(gains))} for m in methods if m.record.kind != "baseline"}
    for done, (name, truth) in enumerate(photos.truths.items(), start=1):
        grey = rgb_to_grey(truth)
        for method in methods:
            ab = method.predict_ab(grey)
            picture = paint(grey, ab)
            further = [scorer.add(method.name, picture, truth) for scorer in scorers]
            tallies[method.name].add(name, photo_scores(picture, truth), _merge(further))
            for gain, tally in swept.get(method.name, {}).items():
                tally.add(name, photo_scores(paint(grey, ab, gain), truth), {})
        if on_photo:
            on_photo(done, len(photos.truths))
    bootstrap = Bootstrap(len(photos.truths), num_resamples=num_resamples)
    columns = {name: tally.columns() for name, tally in tallies.items()}
    of_sets = [scorer.finish() for scorer in scorers]
    return Evaluation(
        model=model.bundle.manifest.name, model_version=model.bundle.manifest.version,
        model_digest=model.bundle.digest, onnx_digest=model.onnx_digest,
        engine=model.engine.name, precision=model.engine.precision,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        photos=photos.source, size=photos.size, num_photos=len(photos.truths), mean_ab=photos.mean_ab(),
        confidence=CONFIDENCE, num_resamples=num_resamples, resampling_seed=SEED,
        records={m.name: m.record for m in methods}, scorers=[s.description for s in scorers if s.description],
        methods={
            name: {**tally.means(), **_merge([found.get(name, {}) for found in of_sets])}
            for name, tally in tallies.items()
        },
        intervals={name: bootstrap.intervals(column) for name, column in columns.items()},
        differences={m.name: bootstrap.differences(columns[model.name], columns[m.name]) for m in others},
        gains={
            name: [GainScores(gain, t.means(), bootstrap.intervals(t.columns())) for gain, t in sweep.items()]
            for name, sweep in swept.items()
            if sweep
        },
        each={name: tally.each() for name, tally in tallies.items()}, skipped=photos.skipped,
    )  # fmt: skip


def _check(methods: Sequence[Method], gains: Sequence[float]) -> None:
    names = [method.name for method in methods]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInputError(
            "methods", f"must have names of their own, {', '.join(repeated)} stands twice; see name=NAME of --onnx"
        )
    if wrong := [gain for gain in gains if not 0 < gain <= MAX_GAIN]:
        raise InvalidInputError("gains", f"must be above 0 and at most {MAX_GAIN:g}, got {wrong[0]:g}")


def _merge(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {score: value for scores in found for score, value in scores.items()}
