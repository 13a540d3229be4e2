"""The page of a report."""

import base64
import hashlib
import math
import re
from array import array
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_client.report import FilmRecord, Job, file_facts, write_report
from kinema_client.report.numbers import timecode
from kinema_client.report.page import STAGES, render_page
from kinema_client.report.plots import MAX_COLUMNS, make_columns
from kinema_client.report.record import Picture, Warned
from kinema_client.report.reduced import encode_jpeg
from kinema_client.report.shots import find_shots
from kinema_client.report.thumbnails import MAX_PICTURE_BYTES, fit_thumbnails
from kinema_core.errors import MediaError, OutputExistsError
from kinema_core.frames import TransitionKind
from tests.client.reported_films import long_record, record_of
from tests.core.films import make_film

HOSTILE_NAME = "<script>alert('x')<img src=x onerror=alert(1)>\"'&\udcff\x00.mp4"
HOSTILE_TITLE = "</title></style><script>alert('y')</script>"
VOID = {"meta", "img"}


class Page(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "a tag is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for found, attributes in self.tags if found == tag and name in attributes]


def job(name: str = "/films/old.mp4", **facts: str) -> Job:
    finished = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    return Job(name, {"File": name, **facts}, {"File": "new.mp4"}, {"Model": "tiny, version 1.0"}, finished)


def page_of(record: FilmRecord, told: Job | None = None) -> Page:
    return Page(render_page(record, told or job()).decode())


def small_record() -> FilmRecord:
    record = record_of(12, {0: None, 5: TransitionKind.CUT, 9: TransitionKind.DISSOLVE})
    record.stage_seconds = {"decode": 0.5, "engine": 2.0}
    record.wall_seconds = 3.0
    record.warnings = {"stream_not_copied": Warned("WARNING", 2, ("stream_not_copied index=3",))}
    return record


def test_a_page_asks_for_nothing_and_runs_nothing() -> None:
    page = page_of(small_record())

    tags = {tag for tag, _ in page.tags}
    addresses = [value for tag, _ in page.tags for name in ("src", "href") for value in page.attributes(tag, name)]
    assert not tags & {"script", "link", "iframe", "object", "form", "base"}
    assert addresses
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in addresses)
    assert not re.search(r"https?:|@import|url\(", page.html)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]


def test_its_policy_allows_its_own_style_and_pictures_alone() -> None:
    page = page_of(small_record())

    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy") or ""
    style = page.html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_no_text_of_a_film_becomes_markup() -> None:
    plain, record = page_of(small_record()), small_record()
    record.warnings = {"stream_not_copied": Warned("WARNING", 2, (f"stream_not_copied name={HOSTILE_NAME}",))}
    told = Job(
        HOSTILE_NAME, {"File": HOSTILE_NAME, "Title": HOSTILE_TITLE}, {"File": HOSTILE_NAME}, {HOSTILE_NAME: "a"}
    )

    page = page_of(record, told)

    assert not {tag for tag, _ in page.tags} - {tag for tag, _ in plain.tags}
    assert len(page.attributes("img", "src")) == len(plain.attributes("img", "src"))
    assert (
        page.text.count("<script>alert('x')<img src=x onerror") == 6
    )  # title, heading, warning, both files, made with
    assert page.text.count(HOSTILE_TITLE) == 2
    assert "\x00" not in page.html


def test_every_place_that_is_led_to_is_there_once() -> None:
    page = page_of(small_record())

    places = [value for _, attributes in page.tags if (value := attributes.get("id"))]
    led_to = {address for address in page.attributes("a", "href") if address.startswith("#")}
    assert len(places) == len(set(places))
    assert led_to
    assert {address.removeprefix("#") for address in led_to} <= set(places)


def test_pictures_have_words_and_tables_have_headings() -> None:
    page = page_of(small_record())

    assert page.attributes("html", "lang") == ["en"]
    assert page.attributes("img", "alt") == [
        f"Shot {number} at {time}, in grey and in colour"
        for number, time in ((1, "0:00:00.000"), (2, "0:00:00.200"), (3, "0:00:00.360"))
    ]
    assert page.html.count("<table>") == page.html.count("<thead>") > 3
    assert page.attributes("th", "scope").count("col") > 10
    assert page.attributes("svg", "role") == ["img"]
    assert all(page.attributes("svg", "aria-label"))
    assert next(tag for tag, _ in page.tags if tag in {"h1", "h2"}) == "h1"


def test_shots_timings_warnings_and_films_are_told() -> None:
    page = page_of(small_record(), job(Title="Old Film"))

    for told in ("old.mp4", "Old Film", "12 frames", "dissolve", "Read and decode", STAGES["engine"], "166.67",
                 "4.0 frames a second", "stream not copied", "index=3", "and 1 more", "tiny, version 1.0", "new.mp4",
                 "2026-03-04 05:06 UTC", "0:00:00.480 long"):  # fmt: skip
        assert told in page.text, told


def test_what_a_server_does_not_tell_is_left_out_and_said() -> None:
    record = small_record()
    record.confidence = array("d", [math.nan] * 12)

    page, known = page_of(record), page_of(small_record())

    assert "Confidence is left out" in page.text
    assert "Confidence (filled" not in page.text
    assert "Confidence is left out" not in known.text
    assert "Confidence (filled" in known.text


def test_shots_that_were_left_in_colour_are_marked() -> None:
    record = small_record()
    record.kept.extend(range(5, 9))

    page = page_of(record)

    assert "left in colour" in page.texts
    assert [value for value in page.attributes("rect", "class") if "kept" in value] == ["block kept"]


def test_a_film_without_frames_or_notes_has_a_page() -> None:
    page = page_of(FilmRecord())

    assert "0 frames" in page.text


def test_a_long_film_keeps_its_extremes_in_a_small_page() -> None:
    record = long_record(200_000, 400)
    record.flicker[123_456] = 33.0

    page = page_of(record)

    assert len(page.html.encode()) < 5_000_000
    assert "0.63 (0.50 to 33.00)" in page.html  # 250 frames, one of them 33
    assert f"frames in {MAX_COLUMNS} columns" in page.text
    assert len(page.attributes("rect", "id")) == 500
    assert max(len(path) for path in page.attributes("path", "d")) < 40 * MAX_COLUMNS


def test_of_too_many_shots_the_longest_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinema_client.report.page.MAX_SHOTS", 40)
    record = long_record(240, 2)
    record.cuts.pop(200)  # makes a shot of four frames of two

    page = page_of(record)

    assert "The longest 40 of 119 shots" in page.text
    assert "picture-100" in page.attributes("li", "id")
    assert len(page.attributes("li", "id")) == 40


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=3 * MAX_COLUMNS))
def test_columns_take_every_frame_once_in_order(durations: list[int]) -> None:
    seconds = np.cumsum([0, *durations]).astype(np.float64)

    columns = make_columns(seconds)

    assert columns.first[0] == 0
    assert columns.end[-1] == len(durations)
    assert (columns.first[1:] == columns.end[:-1]).all()
    assert len(columns.first) <= MAX_COLUMNS
    assert len(columns.first) == len(durations) or len(durations) > MAX_COLUMNS


def test_a_columns_least_mean_and_most_leave_out_what_is_unknown() -> None:
    columns = make_columns(np.arange(2 * MAX_COLUMNS + 1.0))
    values = np.full(2 * MAX_COLUMNS, np.nan)
    values[:4] = 1, 5, np.nan, 7

    least, mean, most = columns.reduce(values)

    assert (least[0], mean[0], most[0]) == (1, 3, 5)
    assert (least[1], mean[1], most[1]) == (7, 7, 7)
    assert np.isnan([least[2], mean[2], most[2]]).all()


def noisy_record(num_shots: int) -> FilmRecord:
    """Make a record of shots whose pictures are noise, which JPEG takes hardly smaller."""
    jpeg = encode_jpeg(np.random.default_rng(0).integers(0, 256, (216, 192, 3), np.uint8))
    record = long_record(10 * num_shots, 10)
    record.pictures += [Picture(10 * number + 3, jpeg) for number in range(num_shots)]
    return record


@pytest.mark.parametrize("num_shots", [3, 600])
def test_pictures_stay_within_their_bound(num_shots: int) -> None:
    shots = find_shots(noisy_record(num_shots))

    thumbnails = fit_thumbnails(shots)

    assert len(thumbnails) == num_shots
    assert (
        sum(len(base64.b64decode(made.address.partition(",")[2])) for made in thumbnails.values()) <= MAX_PICTURE_BYTES
    )
    assert {made.is_shrunk for made in thumbnails.values()} == {num_shots > 100}


def test_where_even_small_pictures_are_too_many_the_longest_shots_keep_theirs() -> None:
    record = noisy_record(20)
    record.cuts.pop(100)
    shots = find_shots(record)

    thumbnails = fit_thumbnails(shots, max_bytes=4000)

    assert 0 < len(thumbnails) < 19
    assert max(shots, key=lambda shot: shot.num_frames).number in thumbnails
    assert "no picture" not in page_of(record).text


def test_a_picture_on_the_page_is_the_one_that_was_noted() -> None:
    record = small_record()

    (address, *_) = page_of(record).attributes("img", "src")

    assert base64.b64decode(address.partition(",")[2]) == record.pictures[0].jpeg
    assert cv2.imdecode(np.frombuffer(record.pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR) is not None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00.000"), (59.9996, "0:01:00.000"), (3725.25, "1:02:05.250"), (-0.04, "−0:00:00.040")],
)
def test_times_are_told_to_the_millisecond(seconds: float, text: str) -> None:
    assert timecode(seconds) == text


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_report(path, small_record(), job())
    before = path.read_bytes()

    with pytest.raises(OutputExistsError, match="--force"):
        write_report(path, FilmRecord(), job())
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError):
        write_report(tmp_path / "file" / "report.html", small_record(), job())

    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_films_own_words_are_told(tmp_path: Path) -> None:
    path = tmp_path / "old.mkv"
    make_film(path, title="<b>Title</b>", sounds=["eng", "deu"], timecode="01:00:00:00")

    facts = file_facts(path)

    assert facts["Title"] == "<b>Title</b>"
    assert facts["Picture"] == "64 × 48"
    assert facts["Video"] == "ffv1, yuv420p"
    assert facts["Colour tags"] == "matrix BT.709, range limited, primaries bt709, transfer bt709"
    assert facts["Other streams"] == "audio pcm_s16le eng\naudio pcm_s16le deu"
    assert facts["Timecode"] == "01:00:00:00"


def test_of_what_is_no_film_the_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_text("no film")

    assert file_facts("-") == {"File": "-"}
    assert file_facts("scan_%05d.png") == {"File": "scan_%05d.png"}
    assert file_facts(tmp_path / "no.mp4")["Container"].startswith("cannot be opened")
