"""The page: what is told, in which order. `page.css` says how it looks."""

import base64
import hashlib
import importlib.metadata
import math
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Final
from xml.etree.ElementTree import Element

from kinema_client.report.elements import append, element, page_bytes
from kinema_client.report.job import Job
from kinema_client.report.numbers import NOT_KNOWN, count, decimal, duration, percent, timecode
from kinema_client.report.plots import MAX_COLUMNS, draw_plots
from kinema_client.report.record import FilmRecord, Warned
from kinema_client.report.shots import Shot, find_shots, frame_seconds, mean
from kinema_client.report.thumbnails import Thumbnail, fit_thumbnails
from kinema_core.frames import TransitionKind
from kinema_core.temporal.thumbnails import SIZE

MAX_SHOTS: Final = 4000
"""Shots that are shown one by one; of more, the longest. Each is up to a thousand bytes beside its picture."""
STAGES: Final = {
    "decode": "Read and decode",
    "prepare": "Scale for the model",
    "queue": "Wait for the server's engine",
    "engine": "Model",
    "finish": "Smooth, upsample, compose",
    "write": "Encode and write",
    "report": "Notes for this report",
}
"""What the stages are called, in the order of a frame's way."""
_NUM_OPEN_ROWS: Final = 30
_COLOURFULNESS: Final = (
    "Colourfulness is M3 of Hasler and Süsstrunk, “Measuring Colourfulness in Natural Images” (2003): 0 is grey, "
    "15 slightly, 33 moderately, 59 quite and 109 extremely colourful."
)
_FLICKER: Final = (
    "Flicker is how far ab (CIE Lab) moves from a frame to the next, seen along the motion: the root of the mean "
    "square over what both frames show, after the warp error of Lai et al. (2018). A grey film has none."
)
_CONFIDENCE: Final = (
    "Confidence is how much of the smoothing's memory stands behind the colours: low behind a cut and where things "
    "move into sight, 100 % where the colour is the mean of as many frames as it may be."
)


def render_page(record: FilmRecord, job: Job) -> bytes:
    """Return a record as an HTML page, UTF-8: one file, without script, that loads nothing."""
    shots = find_shots(record)
    shown = sorted(sorted(shots, key=lambda shot: -shot.num_frames)[:MAX_SHOTS], key=lambda shot: shot.number)
    css = resources.files("kinema_client.report").joinpath("page.css").read_text(encoding="utf-8")
    body = element(
        "body",
        element("header", *_heading(record, job)),
        element(
            "main",
            _summary(record, shots),
            *_warnings(record.warnings),
            *_strip(shown, len(shots)),
            *_over_time(record, shots),
            *_shot_table(shown, len(shots)),
            *_timings(record),
            *_facts_table("The films", ("", "Source", "Result"), job.source, job.target),
            *_facts_table("Made with", ("", "Value"), job.made_with),
        ),
        element("footer", *_footnotes(record)),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(css)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{os.path.basename(job.name)}: Kinema report"),  # noqa: PTH119  # a name, maybe of a pipe
        element("style", css),
    )
    return page_bytes(element("html", head, body, lang="en"))


def _policy(css: str) -> str:
    """Allow this style and pictures inside the page, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _heading(record: FilmRecord, job: Job) -> list[Element]:
    seconds = frame_seconds(record)
    told = [
        f"{timecode(seconds[-1] - seconds[0])} long",
        count(record.num_frames, "frame"),
        f"colorized {job.finished:%Y-%m-%d %H:%M} UTC",
    ]
    title = job.source.get("Title", "")
    return [
        element("p", "Kinema report", class_="brand"),
        element("h1", os.path.basename(job.name)),  # noqa: PTH119  # a name, maybe of a pipe
        *([element("p", title, class_="film-title")] if title else []),
        element("p", " · ".join(told), class_="soft"),
    ]


def _summary(record: FilmRecord, shots: Sequence[Shot]) -> Element:
    num_kept = sum(shot.is_kept for shot in shots)
    num_warnings = sum(warned.num_times for warned in record.warnings.values() if warned.level != "INFO")
    rate = record.num_frames / record.wall_seconds if record.wall_seconds else math.nan
    tiles = [
        ("Shots", f"{len(shots):,}", f"{num_kept:,} left in colour" if num_kept else "none left in its own colour"),
        ("Colourfulness", decimal(mean(record.colourfulness), 1), "mean; 0 is grey, 33 moderately colourful"),
        ("Flicker", decimal(mean(record.flicker), 2), "mean change of ab a frame; lower is calmer"),
        ("Confidence", percent(mean(record.confidence)), "mean share of the smoothing's memory"),
        ("Speed", f"{decimal(rate, 1)}", f"frames a second, {duration(record.wall_seconds)} in all"),
        ("Warnings", f"{num_warnings:,}", "listed below" if num_warnings else "nothing to report"),
    ]
    if math.isnan(mean(record.confidence)):
        tiles[3] = ("Confidence", NOT_KNOWN, "not known for this job")
    return element("dl", *[
        element("div", element("dt", name), element("dd", value), element("dd", note, class_="soft"))
        for name, value, note in tiles
    ], class_="tiles")  # fmt: skip


def _warnings(warnings: Mapping[str, Warned]) -> list[Element]:
    if not warnings:
        return []
    rows = []
    for event, warned in sorted(warnings.items(), key=lambda entry: entry[1].level == "INFO"):
        is_note = warned.level == "INFO"
        lines = [example.removeprefix(event).strip() for example in warned.examples]
        more = warned.num_times - len(lines)
        lines += [f"and {more:,} more"] if more > 0 else []
        rows.append(element(
            "tr",
            element("td", element("span", "note" if is_note else warned.level.lower(),
                                  class_="badge" if is_note else "badge warning")),
            element("th", event.replace("_", " "), scope="row"),
            element("td", f"{warned.num_times:,}", class_="number"),
            _lines_cell([line for line in lines if line]),
        ))  # fmt: skip
    table = _table("What the log says of this film", ("Kind", "What", "Times#", "Details"), rows)
    return [_section_heading("warnings", "Warnings and notes"), table]


def _strip(shown: Sequence[Shot], num_shots: int) -> list[Element]:
    thumbnails = fit_thumbnails(shown)
    items = [_strip_item(shot, thumbnails.get(shot.number)) for shot in shown]
    note = "Each shot from its second quarter, in grey and in colour. A picture leads to its place in the plots."
    if len(shown) < num_shots:
        note += f" The longest {len(shown):,} of {num_shots:,} shots."
    is_small = len(thumbnails) < len(shown) or any(shrunk.is_shrunk for shrunk in thumbnails.values())
    strip = element(
        "ol",
        *items,
        class_="strip small" if is_small else "strip",
        tabindex=0,
        aria_label="Shots in the order of the film",
    )
    return [_section_heading("shots", "Shots"), element("p", note, class_="soft"), strip]


def _strip_item(shot: Shot, thumbnail: Thumbnail | None) -> Element:
    place = timecode(shot.begin_seconds)
    picture: Element
    if thumbnail is None:
        picture = element("span", "no picture", class_="blank")
    else:
        alt = f"Shot {shot.number} at {place}, in grey and in colour"
        picture = element(
            "img", src=thumbnail.address, alt=alt, width=thumbnail.width, height=thumbnail.height, decoding="async"
        )
    caption = element("span", element("b", f"{shot.number:,}"), f" {place}", class_="where")
    notes = [element("span", count(shot.num_frames, "frame"), class_="soft")]
    if shot.transition not in {None, TransitionKind.CUT}:
        assert shot.transition is not None
        notes.append(element("span", shot.transition.value, class_="badge"))
    if shot.is_kept:
        notes.append(element("span", "left in colour", class_="badge kept"))
    return element("li", element("a", picture, href=f"#shot-{shot.number}"), caption, *notes,
                   id=f"picture-{shot.number}")  # fmt: skip


def _over_time(record: FilmRecord, shots: Sequence[Shot]) -> list[Element]:
    if not record.num_frames:
        return []
    notes = ["Thin lines are cuts, the blocks on top are the shots."]
    if any(shot.is_kept for shot in shots):
        notes.append("Green blocks were left in their own colour.")
    if record.num_frames > MAX_COLUMNS:
        notes.append(
            f"{record.num_frames:,} frames in {MAX_COLUMNS} columns: lines are means, bands reach from least to most."
        )
    if all(map(math.isnan, record.confidence)):
        notes.append("Confidence is left out: a server does not tell it, and without smoothing there is none.")
    notes.append("Rest the pointer on a place for its numbers; click for its shot.")
    return [
        _section_heading("over-time", "Over time"),
        element("p", " ".join(notes), class_="soft"),
        element("figure", draw_plots(record, shots), class_="card"),
    ]


def _shot_table(shown: Sequence[Shot], num_shots: int) -> list[Element]:
    rows = []
    for shot in shown:
        kind = shot.transition.value if shot.transition else NOT_KNOWN
        cells = [timecode(shot.begin_seconds), timecode(shot.end_seconds), f"{shot.first:,}", f"{shot.num_frames:,}",
                 decimal(shot.colourfulness, 1), decimal(shot.flicker, 2), percent(shot.confidence)]  # fmt: skip
        number = element("th", element("a", f"{shot.number:,}", href=f"#picture-{shot.number}"), scope="row")
        rows.append(element("tr", number, *[element("td", cell, class_="number") for cell in cells],
                            element("td", kind), element("td", "yes" if shot.is_kept else "no")))  # fmt: skip
    columns = ("Shot", "Begins#", "Ends#", "First frame#", "Frames#", "Colourfulness#", "Flicker#", "Confidence#",
               "Begins by", "Left in colour")  # fmt: skip
    table = _table("Means over the frames of each shot", columns, rows)
    summary = element("summary", f"All {num_shots:,} shots in numbers" if len(shown) == num_shots
                      else f"The longest {len(shown):,} of {num_shots:,} shots in numbers")  # fmt: skip
    return [element("details", summary, table, open="open" if len(shown) <= _NUM_OPEN_ROWS else None)]


def _timings(record: FilmRecord) -> list[Element]:
    frames = max(record.num_frames, 1)
    known = [(STAGES.get(stage, stage), record.stage_seconds[stage])
             for stage in sorted(record.stage_seconds, key=_stage_order)]  # fmt: skip
    most = max((seconds for _, seconds in known), default=0) or 1.0
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", duration(seconds), class_="number"),
            element("td", f"{1000 * seconds / frames:.2f}", class_="number"),
            element("td", element("svg", element("rect", width=f"{100 * seconds / most:.1f}%", height=10),
                                  class_="bar", width="100%", height=10, aria_hidden="true")),
        )
        for name, seconds in known
    ]  # fmt: skip
    rows.append(element(
        "tr",
        element("th", "All of it, by the clock", scope="row"),
        element("td", duration(record.wall_seconds), class_="number"),
        element("td", f"{1000 * record.wall_seconds / frames:.2f}", class_="number"),
        element("td", f"{record.num_frames / record.wall_seconds:.1f} frames a second" if record.wall_seconds else ""),
        class_="total",
    ))  # fmt: skip
    caption = "The stages overlap, so that together they are longer than the whole"
    return [_section_heading("timings", "Timings"),
            _table(caption, ("Stage", "At work#", "Milliseconds a frame#", ""), rows)]  # fmt: skip


def _stage_order(stage: str) -> tuple[int, str]:
    return (list(STAGES).index(stage) if stage in STAGES else len(STAGES), stage)


def _facts_table(heading: str, columns: Sequence[str], *facts: Mapping[str, str]) -> list[Element]:
    rows = []
    for name in dict.fromkeys(name for told in facts for name in told):
        cells = [_lines_cell(told.get(name, NOT_KNOWN).split("\n")) for told in facts]
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    place = heading.lower().replace(" ", "-")
    return [_section_heading(place, heading), _table(None, columns, rows)] if rows else []


def _lines_cell(lines: Sequence[str]) -> Element:
    return element("td", *[element("div", line) for line in lines], class_="lines")


def _table(caption: str | None, columns: Sequence[str], rows: Sequence[Element]) -> Element:
    """Make a table; a column of numbers is named with a `#` behind."""
    table = element("table")
    append(table, [element("caption", caption)] if caption else [])
    head = [_column_heading(name) if name else element("td") for name in columns]
    append(table, [element("thead", element("tr", *head)), element("tbody", *rows)])
    return element("div", table, class_="card scroll")


def _column_heading(name: str) -> Element:
    is_number = name.endswith("#")
    return element("th", name.removesuffix("#"), scope="col", class_="number" if is_number else None)


def _section_heading(place: str, text: str) -> Element:
    return element("h2", text, id=place)


def _footnotes(record: FilmRecord) -> list[Element]:
    notes = [_COLOURFULNESS, _FLICKER]
    if not all(map(math.isnan, record.confidence)):
        notes.append(_CONFIDENCE)
    notes.append(f"All are measured on pictures of {SIZE[0]} × {SIZE[1]} pixels.")
    version = element("p", f"Kinema {importlib.metadata.version('kinema')}")
    return [element("h2", "How this was measured"), *[element("p", note) for note in notes], version]
