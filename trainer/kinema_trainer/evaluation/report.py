"""The HTML report: one file that needs nothing else, opened from the disk, in light or dark."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Final

from jinja2 import Environment, StrictUndefined

from kinema_core.color import rgb_to_grey
from kinema_trainer.evaluation import charts, figures
from kinema_trainer.evaluation.ab_histogram import LIMIT, AbHistograms
from kinema_trainer.evaluation.bootstrap import Difference, Interval
from kinema_trainer.evaluation.evaluate import MODEL, Evaluation
from kinema_trainer.evaluation.methods import Method, paint
from kinema_trainer.evaluation.photo_set import PhotoSet
from kinema_trainer.evaluation.scores import SCORES, ScoreLabel, better_baseline, verdict

TEMPLATE: Final = "report.html.jinja"
NUM_EXAMPLES: Final = 6
"""Photographs in each of: worst, median, best."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A method's score."""

    mean: str
    interval: str


@dataclass(frozen=True, slots=True)
class Row:
    """A score of every method, and the model beside the better baseline."""

    score: ScoreLabel
    cells: list[Cell]
    baseline: str
    difference: Cell
    verdict: str


@dataclass(frozen=True, slots=True)
class Example:
    """A photograph in every colour."""

    name: str
    note: str
    pictures: list[tuple[str, str]]
    """(what it is, its `data:` address)."""


def render_report(evaluation: Evaluation, photos: PhotoSet, methods: Sequence[Method], histograms: AbHistograms) -> str:
    """Return the report as HTML.

    Args:
        evaluation: what was found.
        photos: what it was found on.
        methods: those whose pictures are shown; they colour the few photographs that are shown once more.
        histograms: of the same photographs.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = resources.files("kinema_trainer.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8")
    pareto = [charts.pareto_chart(evaluation, score) for score in SCORES if score.key in {"psnr", "delta_e"}]
    views = [figures.view_histogram("truth", histograms.truth)]
    views += [figures.view_histogram(m.name, histograms.by_method[m.name]) for m in methods]
    return environment.from_string(source).render(
        evaluation=evaluation, rows=_rows(evaluation), charts=[chart for chart in pareto if chart], views=views,
        examples=_examples(evaluation, photos, methods), geometry=charts, figures=figures, limit=LIMIT,
        date=f"{datetime.fromisoformat(evaluation.created):%Y-%m-%d %H:%M} UTC",
    )  # fmt: skip


def _rows(evaluation: Evaluation) -> list[Row]:
    rows = []
    for score in SCORES:
        if score.key not in evaluation.methods[MODEL]:
            continue
        cells = [
            _cell(means[score.key], evaluation.intervals[name].get(score.key), score.digits)
            for name, means in evaluation.methods.items()
        ]
        baseline = better_baseline(evaluation.methods, score)
        difference = evaluation.differences[baseline].get(score.key) if baseline else None
        rows.append(Row(
            score, cells, baseline or "",
            _cell(difference.mean, difference, score.digits, "+") if difference else Cell("", ""),
            verdict(score, difference.low, difference.high) if difference else "",
        ))  # fmt: skip
    return rows


def _cell(mean: float, interval: Interval | Difference | None, digits: int, sign: str = "") -> Cell:
    span = f"{interval.low:{sign}.{digits}f} … {interval.high:{sign}.{digits}f}" if interval else ""
    return Cell(*(text.replace("-", "−") for text in (f"{mean:{sign}.{digits}f}", span)))


def _examples(evaluation: Evaluation, photos: PhotoSet, methods: Sequence[Method]) -> list[tuple[str, list[Example]]]:
    """Return worst, median and best photographs by the model's ΔE00; no photograph twice."""
    by_error = sorted(evaluation.each[MODEL], key=lambda name: evaluation.each[MODEL][name]["delta_e"])
    count = max(1, min(NUM_EXAMPLES, len(by_error) // 3))
    start = (len(by_error) - count) // 2
    groups = {"Worst": by_error[::-1][:count], "Median": by_error[start : start + count], "Best": by_error[:count]}
    shown: set[str] = set()
    examples = []
    for title, names in groups.items():
        fresh = [name for name in names if name not in shown]
        shown.update(fresh)
        if fresh:
            middle = statistics.median(evaluation.each[MODEL][name]["delta_e"] for name in fresh)
            heading = f"{title}: ΔE00 about {middle:.1f}"
            examples.append((heading, [_example(evaluation, photos, methods, name) for name in fresh]))
    return examples


def _example(evaluation: Evaluation, photos: PhotoSet, methods: Sequence[Method], name: str) -> Example:
    truth = photos.truths[name]
    grey = rgb_to_grey(truth)
    scores = evaluation.each[MODEL][name]
    pictures = [("grey", grey[..., None].repeat(3, axis=2))]
    pictures += [(method.name, paint(grey, method.predict_ab(grey))) for method in methods]
    pictures.append(("truth", truth))
    note = f"ΔE00 {scores['delta_e']:.1f}, PSNR {scores['psnr']:.1f} dB, SSIM {scores['ssim']:.3f}"
    return Example(name, note, [(what, figures.picture_address(picture)) for what, picture in pictures])
