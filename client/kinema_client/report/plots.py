"""Colourfulness, flicker and confidence over time: one SVG of panels that share the axis of time.

Places across are percentages, so that the plot fits its window and its text keeps its size. A film of more frames than
MAX_COLUMNS is reduced to that many columns: least, mean and most of the frames in each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from kinema_client.report.elements import element
from kinema_client.report.numbers import NOT_KNOWN, decimal, percent, timecode
from kinema_client.report.record import FilmRecord
from kinema_client.report.shots import Shot, frame_seconds
from kinema_core.axis_ticks import round_values

F64 = NDArray[np.float64]

MAX_COLUMNS: Final = 800
"""About as many as a wide window has pixels; each is some 250 bytes of the page."""
MAX_CUT_LINES: Final = 150
"""Where there are more, cuts are drawn fainter."""
SHOTS_HEIGHT: Final = 20
TITLE_HEIGHT: Final = 36
PANEL_HEIGHT: Final = 110
AXIS_HEIGHT: Final = 26
LEFT_WIDTH: Final = 46
_STEPS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000)
"""Seconds between ticks of time."""
_NUM_TIME_TICKS: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One panel."""

    title: str
    css_class: str
    values: F64
    """A value for each frame, NaN where unknown."""
    least_top: float
    """The axis reaches at least this high."""
    digits: int
    is_share: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Frames that are drawn at one place."""

    first: NDArray[np.int64]
    """(N), the first frame of each."""
    end: NDArray[np.int64]
    """(N), the frame behind the last of each."""

    def reduce(self, values: F64) -> tuple[F64, F64, F64]:
        """Return least, mean and most of a series in each column, (N) each; NaN where it has nothing."""
        is_known = ~np.isnan(values)
        num_known = np.add.reduceat(is_known.astype(np.float64), self.first)
        least = np.minimum.reduceat(np.where(is_known, values, np.inf), self.first)
        most = np.maximum.reduceat(np.where(is_known, values, -np.inf), self.first)
        total = np.add.reduceat(np.where(is_known, values, 0.0), self.first)
        is_empty = num_known == 0
        mean = np.where(is_empty, np.nan, total / np.maximum(num_known, 1))
        return np.where(is_empty, np.nan, least), mean, np.where(is_empty, np.nan, most)


def series_of(record: FilmRecord) -> list[Series]:
    """Return what there is to draw of a record; what is unknown throughout is left out."""
    drawn = [
        Series("Colourfulness (M3)", "cf", np.array(record.colourfulness), 20.0, 1),
        Series("Flicker (change of ab, Lab units)", "flicker", np.array(record.flicker), 1.0, 2),
        Series("Confidence (filled share of the smoothing's memory)", "confidence", np.array(record.confidence), 1.0, 2,
               is_share=True),
    ]  # fmt: skip
    return [series for series in drawn if not np.isnan(series.values).all()]


def make_columns(seconds: F64) -> Columns:
    """Put frames that begin at `seconds` (T + 1, the last is the end) into columns of equal time, or one for each."""
    num_frames = len(seconds) - 1
    if num_frames <= MAX_COLUMNS:
        place = np.arange(num_frames)
    else:
        share = (seconds[:-1] - seconds[0]) / (seconds[-1] - seconds[0])
        place = np.minimum((share * MAX_COLUMNS).astype(np.int64), MAX_COLUMNS - 1)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    return Columns(first, np.append(first[1:], num_frames))


def draw_plots(record: FilmRecord, shots: Sequence[Shot]) -> Element:
    """Draw all panels of a record that has frames; `#shot-N` is a shot in it, and links go to `#picture-N`."""
    seconds = np.array(frame_seconds(record))
    columns = make_columns(seconds)
    drawn = series_of(record)
    height = SHOTS_HEIGHT + len(drawn) * (TITLE_HEIGHT + PANEL_HEIGHT) + AXIS_HEIGHT
    scale = _TimeScale(float(seconds[0]), float(seconds[-1]))
    label = f"{', '.join(series.title for series in drawn)} over time; the table of shots has the numbers"
    left = element("svg", class_="axis", width=LEFT_WIDTH, height=height, aria_hidden="true")
    plot = element("svg", class_="plot", width="100%", height=height, role="img", aria_label=label)
    plot.append(_shot_marks(shots, scale, height - AXIS_HEIGHT))
    left.append(element("text", "shots", x=LEFT_WIDTH - 6, y=SHOTS_HEIGHT - 6, text_anchor="end"))
    reduced = []
    for index, series in enumerate(drawn):
        top = SHOTS_HEIGHT + index * (TITLE_HEIGHT + PANEL_HEIGHT) + TITLE_HEIGHT
        reduced.append(columns.reduce(series.values))
        _draw_panel(left, plot, series, top, reduced[-1], _middles(seconds, columns, scale))
    plot.append(_cut_lines(shots, scale, height - AXIS_HEIGHT))
    plot.append(_time_axis(scale, height))
    plot.append(_tips(columns, seconds, scale, drawn, reduced, shots))
    return element("div", left, plot, class_="plots")


@dataclass(frozen=True, slots=True)
class _TimeScale:
    begin: float
    end: float

    def percent(self, seconds: float) -> float:
        """Where a time lies, 0 to 100."""
        return round(100 * (seconds - self.begin) / max(self.end - self.begin, 1e-9), 3)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        span = self.end - self.begin
        step = next((step for step in _STEPS if span / step <= _NUM_TIME_TICKS), _STEPS[-1])
        first, last = math.ceil(self.begin / step - 1e-9), math.floor(self.end / step + 1e-9)
        digits = 4 if step >= 1 else 2  # of h:mm:ss.mmm, those that are left out
        return [(self.percent(i * step), timecode(i * step)[:-digits]) for i in range(first, last + 1)]


def _middles(seconds: F64, columns: Columns, scale: _TimeScale) -> F64:
    """Return where each column's middle lies, in thousandths of the width."""
    middles = (seconds[columns.first] + seconds[columns.end]) / 2
    return np.asarray(1000 * (middles - scale.begin) / max(scale.end - scale.begin, 1e-9))


def _draw_panel(
    left: Element, plot: Element, series: Series, top: float, reduced: tuple[F64, F64, F64], x: F64
) -> None:
    least, mean, most = reduced
    high = max(series.least_top, float(np.nanmax(most)) * 1.05)
    if series.is_share:
        high = 1.03  # room for half of the line at 100 %

    def at(values: F64) -> F64:
        return np.asarray(PANEL_HEIGHT * (1 - values / high))

    for value, text in round_values(0, high, 4):
        y = round(top + float(at(np.array(value))), 1)
        label = f"{value:.0%}" if series.is_share else text
        plot.append(element("line", class_="grid", x1=0, x2="100%", y1=y, y2=y))
        left.append(element("text", label, x=LEFT_WIDTH - 6, y=y + 4, text_anchor="end"))
    plot.append(element("text", series.title, class_="title", x=4, y=top - 9))
    inner = element("svg", class_=series.css_class, x=0, y=top, width="100%", height=PANEL_HEIGHT,
                    viewBox=f"0 0 1000 {PANEL_HEIGHT}", preserveAspectRatio="none")  # fmt: skip
    if (most > least).any():
        inner.append(element("path", class_="band", d=_band(x, at(least), at(most))))
    inner.append(element("path", class_="line", d=_line(x, at(mean))))
    plot.append(inner)


def _runs(values: F64) -> list[slice]:
    """Return where values are known, in a row."""
    is_known = np.concatenate([[False], ~np.isnan(values), [False]])
    edges = np.flatnonzero(np.diff(is_known.astype(np.int8)))
    return [slice(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _line(x: F64, y: F64) -> str:
    """Return a path through the points; a single one becomes a short dash."""
    parts = []
    for run in _runs(y):
        points = " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x[run], y[run], strict=True))
        parts.append(f"M{points}" if run.stop - run.start > 1 else f"M{points}h.5")
    return "".join(parts)


def _band(x: F64, low: F64, high: F64) -> str:
    parts = []
    for run in _runs(low):
        there = [f"{a:.1f} {b:.1f}" for a, b in zip(x[run], high[run], strict=True)]
        back = [f"{a:.1f} {b:.1f}" for a, b in zip(x[run][::-1], low[run][::-1], strict=True)]
        parts.append(f"M{' '.join(there + back)}Z")
    return "".join(parts)


def _shot_marks(shots: Sequence[Shot], scale: _TimeScale, height: float) -> Element:
    """Draw the shots as blocks along the top; each has a place over all panels that is lit when it is the target."""
    group = element("g", class_="shots")
    for shot in shots:
        begin, end = scale.percent(shot.begin_seconds), scale.percent(shot.end_seconds)
        place = {"x": f"{begin}%", "width": f"{max(round(end - begin, 3), 0.05)}%"}
        group.append(element("rect", id=f"shot-{shot.number}", class_="place", y=0, height=height, **place))
        kind = "block kept" if shot.is_kept else "block odd" if shot.number % 2 else "block"
        group.append(element("rect", class_=kind, y=2, height=SHOTS_HEIGHT - 8, **place))
    return group


def _cut_lines(shots: Sequence[Shot], scale: _TimeScale, height: float) -> Element:
    """Draw a line at each cut, at most one for each column's width."""
    places = {round(scale.percent(shot.begin_seconds) * MAX_COLUMNS / 100) * 100 / MAX_COLUMNS for shot in shots[1:]}
    group = element("g", class_="cuts many" if len(places) > MAX_CUT_LINES else "cuts")
    for place in sorted(places):
        group.append(element("line", x1=f"{place:.3f}%", x2=f"{place:.3f}%", y1=2, y2=height))
    return group


def _time_axis(scale: _TimeScale, height: float) -> Element:
    group = element("g", class_="time")
    baseline = height - AXIS_HEIGHT
    for place, text in scale.ticks:
        anchor = "start" if place < 3 else "end" if place > 97 else "middle"
        group.append(element("line", class_="tick", x1=f"{place}%", x2=f"{place}%", y1=baseline, y2=baseline + 5))
        group.append(element("text", text, x=f"{place}%", y=height - 6, text_anchor=anchor))
    return group


def _tips(
    columns: Columns,
    seconds: F64,
    scale: _TimeScale,
    drawn: Sequence[Series],
    reduced: Sequence[tuple[F64, F64, F64]],
    shots: Sequence[Shot],
) -> Element:
    """Lay a clear column over each place: it tells its numbers when the pointer rests on it, and leads to its shot."""
    group = element("g", class_="tips")
    bottom = SHOTS_HEIGHT + len(drawn) * (TITLE_HEIGHT + PANEL_HEIGHT)
    firsts = np.array([shot.first for shot in shots])
    of_shot = np.searchsorted(firsts, columns.first, side="right") - 1
    for index, (first, end) in enumerate(zip(columns.first, columns.end, strict=True)):
        shot = shots[int(of_shot[index])]
        frames = f"frame {first:,}" if end == first + 1 else f"frames {first:,} to {end - 1:,}"
        told = [f"{timecode(float(seconds[first]))}, {frames}, shot {shot.number:,}"]
        for series, (least, mean, most) in zip(drawn, reduced, strict=True):
            told.append(f"{series.title.partition(' (')[0]} {_span(series, least[index], mean[index], most[index])}")
        begin, behind = scale.percent(float(seconds[first])), scale.percent(float(seconds[end]))
        column = element("rect", element("title", "\n".join(told)), x=f"{begin}%", y=0,
                         width=f"{round(behind - begin, 3)}%", height=bottom)  # fmt: skip
        group.append(element("a", column, href=f"#picture-{shot.number}", tabindex=-1))
    return group


def _span(series: Series, least: float, mean: float, most: float) -> str:
    write = percent if series.is_share else lambda value: decimal(value, series.digits)
    if math.isnan(mean):
        return NOT_KNOWN
    return write(mean) if least == most else f"{write(mean)} ({write(least)} to {write(most)})"
