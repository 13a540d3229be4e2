"""Scatter charts as numbers: where every mark, tick and line lies, for `report.html.jinja` to draw as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kinema_core.axis_ticks import round_values
from kinema_trainer.evaluation.evaluate import Evaluation
from kinema_trainer.evaluation.scores import ScoreLabel

WIDTH: Final = 520
HEIGHT: Final = 340
LEFT: Final = 58
RIGHT: Final = 14
TOP: Final = 14
BOTTOM: Final = 44
MARGIN: Final = 0.06
"""Of an axis beyond its outermost values."""
NUM_TICKS: Final = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale, from values to SVG units."""

    label: str
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where `value` lies."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where round values lie, and how they are written."""
        return [(self.at(value), text) for value, text in round_values(self.low, self.high, NUM_TICKS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A method, or one of its gains; in SVG units."""

    x: float
    y: float
    tip: str
    gain: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One method."""

    name: str
    colour: int
    point: Point
    sweep: list[Point]
    """The same method at other gains, by rising gain."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A score against colourfulness."""

    x: Axis
    y: Axis
    series: list[Series]
    truth: float
    """Where the truth's colourfulness lies on x."""


def pareto_chart(evaluation: Evaluation, score: ScoreLabel) -> Chart | None:
    """Lay `score` out over CF for every method and gain; None where nothing is finite."""
    names = list(evaluation.methods)
    values = [*evaluation.methods.values(), *(p.scores for sweep in evaluation.gains.values() for p in sweep)]
    truth = evaluation.methods[names[0]]["truth_colourfulness"]
    x = _axis("colourfulness CF", [truth, *(means["colourfulness"] for means in values)], LEFT, WIDTH - RIGHT)
    y = _axis(score.label, [means[score.key] for means in values], HEIGHT - BOTTOM, TOP)
    if x is None or y is None:
        return None

    def place(tip: str, means: dict[str, float], gain: str = "") -> Point:
        tip = f"{tip}: CF {means['colourfulness']:.1f}, {score.label} {means[score.key]:.{score.digits}f}"
        return Point(x=x.at(means["colourfulness"]), y=y.at(means[score.key]), tip=tip, gain=gain)

    def is_finite(means: dict[str, float]) -> bool:
        return math.isfinite(means[score.key])

    series = [
        Series(name, names.index(name), place(name, means), [
            place(f"{name} × {p.gain:g}", p.scores, f"{p.gain:g}")
            for p in evaluation.gains.get(name, []) if is_finite(p.scores)
        ])
        for name, means in evaluation.methods.items() if is_finite(means)
    ]  # fmt: skip
    return Chart(x, y, series, x.at(truth))


def _axis(label: str, values: Sequence[float], start: float, end: float) -> Axis | None:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    low, high = min(finite), max(finite)
    margin = MARGIN * (high - low) or 1.0
    return Axis(label, low - margin, high + margin, start, end)
