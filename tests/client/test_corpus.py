"""Films as they come: each goes through whole, or is refused with one clear error that leaves no file."""

import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from kinema_client.commands.backends import LocalBackend
from kinema_client.commands.films import FilmChoices, colorize_film
from kinema_core.errors import DamagedPictureError, KinemaError
from kinema_core.media.deinterlacer import Deinterlace
from kinema_core.pipeline import Options
from tests.core.films import BT709_LIMITED, UNSPECIFIED, cover_art, make_film, read_film, read_lines, read_packets
from tests.fakes import FAKE_BUNDLE, FakeEngine

MILLISECOND = Fraction(1, 1000)
TICKS = {"time_base": Fraction(1, 25), "pts": list(range(6))}
SIX = [40 * number for number in range(6)]


def colorize(source: Path | str, target: Path | str, codec: str | None = "ffv1", **choices: Any) -> None:
    """Do what `kinema colorize` does, without a model."""
    backend = LocalBackend(FAKE_BUNDLE, FakeEngine(), Options())
    colorize_film(backend, str(source), str(target), FilmChoices(codec=codec, **choices))


@dataclass
class Case:
    """A film of the corpus, and what is to be the same in the new one besides frames, times, sound and subtitles."""

    name: str
    source: str
    target: str
    recipe: dict[str, Any] = field(default_factory=dict)
    tags: tuple[int, int, int, int] = BT709_LIMITED
    """(colorspace, color_range, color_primaries, color_trc) of the result."""
    codec: str = "ffv1"


H264 = {"codec": "libx264"}
CORPUS = [
    Case("variable frame rate", "old.mkv", "new.mkv", {"pts": [7, 47, 48, 130, 131, 500, 2011]}),
    Case("variable frame rate to MP4", "old.mkv", "new.mp4", {"pts": [7, 47, 48, 130, 131, 500, 2011]}),
    Case("B-frames", "old.mp4", "new.mp4", H264 | {"options": {"bf": "3", "preset": "medium"}}),
    Case("a late start", "old.mp4", "new.mkv", H264 | {"pts": [500 + at for at in SIX], "sounds": ["eng"]}),
    Case("odd size", "old.mkv", "new.mkv", {"height": 47, "width": 63, "pts": SIX}),
    Case("rotation", "old.mp4", "new.mkv", H264 | {"rotation": 90, "pts": SIX}),
    Case("pixel aspect", "old.mp4", "new.mp4", H264 | {"aspect": Fraction(16, 11), "pts": SIX}),
    Case("pixel aspect to Matroska", "old.mp4", "new.mkv", H264 | {"aspect": Fraction(16, 11), "pts": SIX}),
    Case("several sound tracks", "old.mkv", "new.mkv", {"sounds": ["eng", "deu", "fra"], "pts": SIX}),
    Case("ten megabytes of sound before the first picture", "old.mkv", "new.mkv",
         {"pts": [0, 14000], "sounds": ["eng", "deu"]}),
    Case("AAC from MP4 to MP4", "old.mp4", "new.mp4", H264 | {"sounds": ["eng"], "pts": SIX}),
    Case("AAC from MP4 to Matroska", "old.mp4", "new.mkv", H264 | {"sounds": ["eng", "deu"], "pts": SIX}),
    Case("PCM from AVI", "old.avi", "new.mkv", {"codec": "mpeg4", "sounds": ["eng"], **TICKS}, (6, 1, 1, 1)),
    Case("SubRip to Matroska", "old.mkv", "new.mkv", {"subtitles": "subrip", "pts": SIX}),
    Case("SubRip to MP4", "old.mkv", "new.mp4", {"subtitles": "subrip", "pts": SIX}),
    Case("WebVTT to MP4", "old.mkv", "new.mp4", {"subtitles": "webvtt", "pts": SIX}),
    Case("ASS without its styles to MP4", "old.mkv", "new.mp4",
         {"subtitles": "ass", "lines": ["0,0,Default,,0,0,0,,line 0", "1,0,Default,,0,0,0,,line 1"], "pts": SIX}),
    Case("timed text to MP4", "old.mp4", "new.mp4", H264 | {"subtitles": "mov_text", "pts": SIX}),
    Case("timed text to Matroska", "old.mp4", "new.mkv", H264 | {"subtitles": "mov_text", "pts": SIX}),
    Case("everything at once", "old.mkv", "new.mp4", {"subtitles": "subrip", "sounds": ["eng", "deu"],
         "title": "The Train", "chapters": [(0, 200, "Out"), (200, 480, "Back")]}),
    Case("timecode", "old.mov", "new.mov", H264 | {"timecode": "01:02:03:04", "pts": SIX}, codec="h264"),
    Case("timecode to Matroska", "old.mov", "new.mkv", H264 | {"timecode": "01:02:03:04", "pts": SIX}),
    Case("timecode to MP4", "old.mkv", "new.mp4", {"timecode": "01:02:03:04", "pts": SIX}),
    Case("cover art to MP4", "old.mp4", "new.mp4", H264 | {"cover": True, "pts": SIX}),
    Case("cover art to Matroska", "old.mp4", "new.mkv", H264 | {"cover": True, "pts": SIX}),
    Case("cover art from Matroska", "old.mkv", "new.mp4", {"cover": True, "pts": SIX}),
    Case("10 bit", "old.mkv", "new.mkv", {"pix_fmt": "yuv420p10le", "pts": SIX}),
    Case("10 bit 4:2:2", "old.mov", "new.mkv", {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "pts": SIX}),
    Case("no tags", "old.mkv", "new.mkv", {"tags": UNSPECIFIED, "pts": SIX}, (6, 1, 1, 1)),
    Case("BT.601", "old.mkv", "new.mkv", {"tags": (6, 1, 6, 6), "pts": SIX}, (6, 1, 6, 6)),
    Case("BT.601 of 625 lines", "old.mkv", "new.mp4", {"tags": (5, 1, 5, 6), "pts": SIX}, (5, 1, 5, 6)),
    Case("full range", "old.mkv", "new.mkv", {"tags": (6, 2, 6, 6), "pts": SIX}, (6, 2, 6, 6)),
    Case("motion JPEG", "old.avi", "new.mkv", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "tags": (5, 2, 2, 2), **TICKS},
         (6, 2, 1, 1)),
    Case("gray", "old.mkv", "new.mkv", {"pix_fmt": "gray", "pts": SIX, "tags": (2, 1, 2, 2)}, (6, 1, 1, 1)),
    Case("gray without tags", "old.mkv", "new.mkv", {"pix_fmt": "gray", "pts": SIX, "tags": UNSPECIFIED}, (6, 2, 1, 1)),
    Case("gray10le", "old.mkv", "new.mkv", {"pix_fmt": "gray10le", "pts": SIX, "tags": (1, 1, 2, 2)}),
    Case("field-coded, fields kept", "old.mp4", "new.mkv",
         H264 | {"is_moving": True, "is_interlaced": True, "options": {"x264-params": "tff=1"}, "pts": SIX}),
]  # fmt: skip


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_a_film_comes_back_whole(case: Case, tmp_path: Path) -> None:
    source, target = tmp_path / case.source, tmp_path / case.target
    make_film(source, **case.recipe)

    colorize(source, target, case.codec, deinterlace=Deinterlace.OFF)

    grain = 0 if case.target != "new.mkv" else MILLISECOND / 2  # Matroska counts milliseconds
    (old_times, old_pictures), (times, pictures) = read_film(source), read_film(target)
    assert len(times) == len(old_times)
    assert all(abs(new - old) <= grain for new, old in zip(times, old_times, strict=True))
    if case.codec == "ffv1":
        for new, old in zip(pictures, old_pictures, strict=True):
            np.testing.assert_array_equal(new[0], old[0])
    check_sound(source, target, MILLISECOND / 2 if ".mkv" in case.source + case.target else 0)
    assert_lines_are_equal(read_lines(target), read_lines(source), grain)
    assert facts_of(target) == facts_of(source) | {"tags": case.tags}


@pytest.mark.parametrize(
    ("codec", "target"),
    [("h264", "new.mp4"), ("h264", "new.mkv"), ("hevc", "new.mp4"), ("hevc", "new.mkv"), ("av1", "new.mp4"),
     ("av1", "new.mkv"), ("ffv1", "new.mp4"), ("prores", "new.mov"), ("prores", "new.mkv")],
)  # fmt: skip
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_every_codec_keeps_frames_times_tags_and_sound(codec: str, target: str, pix_fmt: str, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pix_fmt=pix_fmt, pts=[7, 47, 48, 130, 131, 500], sounds=["eng"])

    colorize(tmp_path / "old.mkv", tmp_path / target, codec)

    assert read_film(tmp_path / target)[0] == [at * MILLISECOND for at in (7, 47, 48, 130, 131, 500)]
    check_sound(tmp_path / "old.mkv", tmp_path / target, MILLISECOND / 2)
    assert facts_of(tmp_path / target) == facts_of(tmp_path / "old.mkv")
    with av.open(tmp_path / target) as film:
        bits = next(film.decode(video=0)).format.components[0].bits
    assert bits == (10 if codec == "prores" or pix_fmt.endswith("10le") else 8)


def test_numbered_pictures_become_a_film_and_a_film_numbered_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    originals = make_film(tmp_path / "old.mkv", is_moving=True, pts=[0, 40, 200], sounds=["eng"])

    colorize(tmp_path / "old.mkv", tmp_path / "there" / "%03d.png", None)
    colorize(tmp_path / "there" / "%03d.png", tmp_path / "back.mkv", frame_rate=Fraction(25))

    names = sorted(path.name for path in (tmp_path / "there").iterdir())
    assert names == ["001.png", "002.png", "003.png", "timestamps.txt"]
    assert (tmp_path / "there" / "timestamps.txt").read_text().split("\n")[1:4] == [
        "0.000000",
        "40.000000",
        "200.000000",
    ]
    assert "streams_not_copied" in caplog.text
    times, pictures = read_film(tmp_path / "back.mkv")
    assert times == [number * Fraction(1, 25) for number in range(3)]
    for new, old in zip(pictures, originals, strict=True):
        # RGB is read by lightness, which is not luma where there is colour; the bar is in its place all the same.
        assert np.corrcoef(new[0].ravel(), old[0].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("shape", [{"rotation": 90}, {"aspect": Fraction(16, 11)}])
def test_pictures_that_lose_their_shape_as_png_are_told(
    shape: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_film(tmp_path / "old.mp4", **H264, **shape, pts=SIX)

    colorize(tmp_path / "old.mp4", tmp_path / "new" / "%d.png", None)

    assert "shape_not_carried" in caplog.text


def test_numbers_of_scans_are_kept(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(86400, 86403):
        (tmp_path / "in" / f"{number}.png").write_bytes(cover_art())

    colorize(tmp_path / "in" / "%d.png", tmp_path / "out" / "%07d.png", None)

    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [f"00{n}.png" for n in range(86400, 86403)]


def test_cover_art_that_does_not_fit_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_film(tmp_path / "old.mp4", **H264, cover=True, pts=SIX)

    colorize(tmp_path / "old.mp4", tmp_path / "new.mov", "h264")

    assert "stream_not_copied index=1 kind=video/png reason='mov holds no such cover art'" in caplog.text


@pytest.mark.parametrize("target", ["new.mkv", "new/%d.png"])
def test_compare_puts_the_grey_picture_on_the_left(target: str, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=SIX, is_moving=True)

    colorize(tmp_path / "old.mkv", tmp_path / target, None, is_compared=True)

    name = tmp_path / target.replace("%d", "1")
    with av.open(name) as both:
        picture = next(both.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert picture.shape[:2] == (48, 128)
    left, right = picture[:, :64], picture[:, 64:]
    assert (left.max(axis=2) - left.min(axis=2)).mean() < 2
    assert (right.max(axis=2) - right.min(axis=2)).mean() > 10


def check_sound(source: Path, target: Path, grain: Fraction | int) -> None:
    before, after = read_packets(source, "audio"), read_packets(target, "audio")
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        # PCM may be cut into other packets; the samples are the same
        assert b"".join(data for _, data in new) == b"".join(data for _, data in old)
        assert abs(new[0][0] - old[0][0]) <= grain
        if len(new) == len(old):
            assert all(abs(a[0] - b[0]) <= 2 * grain for a, b in zip(new, old, strict=True))


def assert_lines_are_equal(new: list[Any], old: list[Any], grain: Fraction | int) -> None:
    assert [[text for _, _, text in lines] for lines in new] == [[text for _, _, text in lines] for lines in old]
    for lines, old_lines in zip(new, old, strict=True):
        for (time, duration, _), (old_time, old_duration, _) in zip(lines, old_lines, strict=True):
            assert abs(time - old_time) <= grain
            assert abs(duration - old_duration) <= grain


def facts_of(path: Path) -> dict[str, Any]:
    """Give what else a film says of itself."""
    with av.open(path) as container:
        video = container.streams.video[0]
        rest = [stream for stream in container.streams.video if stream.index != video.index]
        covers = [bytes(packet) for packet in container.demux(rest) if packet.size] if rest else []
        container.seek(0)
        context = video.codec_context
        return {
            "title": container.metadata.get("title"),
            "timecode": {key.lower(): text for key, text in video.metadata.items()}.get("timecode"),
            "chapters": [
                (chapter["start"] * Fraction(chapter["time_base"] or 1), chapter["metadata"].get("title"))
                for chapter in container.chapters()
            ],
            "languages": [stream.language for stream in container.streams.audio if stream.language],
            "covers": covers,
            "aspect": video.sample_aspect_ratio or Fraction(1),
            "rotation": next(container.decode(video)).rotation,
            "tags": (context.colorspace, context.color_range, context.color_primaries, context.color_trc),
        }


@pytest.mark.parametrize(
    ("source", "recipe"),
    [
        ("old.mp4", H264 | {"options": {"x264-params": "tff=1", "crf": "0"}, "pts": SIX}),
        ("old.mkv", {"pix_fmt": "gray", "pts": SIX}),
        ("old.mkv", {"pix_fmt": "gray10le", "pts": SIX}),
        ("old.mkv", {"pix_fmt": "yuv420p10le", "pts": SIX}),
        ("old.mkv", {"has_marks": False, "options": {"field_order": "tt"}, "pts": SIX}),
    ],
    ids=["H.264", "gray", "gray10le", "10 bit", "marked by the container alone"],
)
@pytest.mark.parametrize("mode", [Deinterlace.AUTO, Deinterlace.ON])
def test_fields_become_whole_pictures_one_for_one(
    source: str, recipe: dict[str, Any], mode: Deinterlace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = recipe | {"is_moving": True, "is_interlaced": True, "tags": BT709_LIMITED}
    pictures_before = make_film(tmp_path / source, **recipe)

    colorize(tmp_path / source, tmp_path / "new.mkv", deinterlace=mode)

    times, pictures = read_film(tmp_path / "new.mkv")
    assert times == [at * MILLISECOND for at in SIX]
    assert "film_is_deinterlaced" in caplog.text
    for old, new in zip(pictures_before[1:-1], pictures[1:-1], strict=True):
        np.testing.assert_array_equal(new[0][::2], old[0][::2])  # the first field is kept
        assert combing(new[0]) < combing(old[0]) / 4


def test_the_container_tells_which_field_is_first(tmp_path: Path) -> None:
    recipe: dict[str, Any] = {"is_moving": True, "is_interlaced": True, "has_marks": False, "pts": SIX}
    before = make_film(tmp_path / "old.mkv", options={"field_order": "bb"}, **recipe)

    colorize(tmp_path / "old.mkv", tmp_path / "new.mkv")

    for old, new in zip(before[1:-1], read_film(tmp_path / "new.mkv")[1][1:-1], strict=True):
        np.testing.assert_array_equal(new[0][1::2], old[0][1::2])


def test_marks_of_the_pictures_go_before_the_container(tmp_path: Path) -> None:
    """Of H.264, which marks every picture; x264 marks these as whole ones."""
    recipe: dict[str, Any] = H264 | {"is_moving": True, "options": {"field_order": "tt", "crf": "0"}, "pts": SIX}
    before = make_film(tmp_path / "old.mkv", **recipe)

    colorize(tmp_path / "old.mkv", tmp_path / "new.mkv")

    for old, new in zip(before, read_film(tmp_path / "new.mkv")[1], strict=True):
        np.testing.assert_array_equal(new[0], old[0])


def test_pictures_that_are_not_marked_as_interlaced_stay_as_they_are(tmp_path: Path) -> None:
    whole = make_film(tmp_path / "whole.mkv", pts=SIX[:3], is_moving=True)
    fields = make_film(tmp_path / "fields.mkv", pts=SIX[:3], is_moving=True, is_interlaced=True)
    with av.open(tmp_path / "old.mkv", "w") as old:
        copy = None
        for part, name in enumerate(("whole.mkv", "fields.mkv", "whole.mkv")):
            with av.open(tmp_path / name) as film:
                copy = copy or old.add_stream_from_template(film.streams.video[0], opaque=True)
                for packet in film.demux(video=0):
                    if packet.size:
                        assert packet.pts is not None
                        packet.pts, packet.dts, packet.stream = packet.pts + 120 * part, packet.pts + 120 * part, copy
                        old.mux(packet)

    colorize(tmp_path / "old.mkv", tmp_path / "new.mkv")

    times, pictures = read_film(tmp_path / "new.mkv")
    assert times == [number * Fraction(1, 25) for number in range(9)]
    is_same = [np.array_equal(new[0], old[0]) for new, old in zip(pictures, [*whole, *fields, *whole], strict=True)]
    assert is_same == [True] * 3 + [False] * 3 + [True] * 3


def test_telecined_film_is_treated_as_interlaced_and_keeps_every_picture(tmp_path: Path) -> None:
    recipe: dict[str, Any] = {"is_moving": True, "is_telecined": True, "pts": [40 * number for number in range(10)]}
    pictures_before = make_film(tmp_path / "old.mkv", **recipe)

    colorize(tmp_path / "old.mkv", tmp_path / "new.mkv")

    times, pictures = read_film(tmp_path / "new.mkv")
    assert times == read_film(tmp_path / "old.mkv")[0]
    assert sum(combing(old[0]) > 2 for old in pictures_before) == 4, "two of five pictures mix two frames of film"
    assert not any(combing(new[0]) > 2 for new in pictures[1:-1])


def combing(luma: Any) -> float:
    """Tell how far every second line is from the mean of its neighbours."""
    lines = luma.astype(float)
    return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())


def damage(source: Path, target: Path, spoil: Any, index: int = 3) -> None:
    """Copy a film and spoil a packet of its pictures, the fourth if not said."""
    with av.open(source) as old, av.open(target, "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            spoilt: Any = av.Packet(spoil(bytes(packet)))
            spoilt.pts, spoilt.dts, spoilt.duration = packet.pts, packet.dts, packet.duration
            spoilt.time_base, spoilt.is_keyframe = packet.time_base, packet.is_keyframe
            passed: Any = spoilt if number == index else packet
            passed.stream = copy
            new.mux(passed)


def emptied(data: bytes) -> bytes:
    return bytes(len(data))


def cut(data: bytes) -> bytes:
    return data[: len(data) // 3]


def with_another_beginning(data: bytes) -> bytes:
    return data[:4] + b"\xff" * 16 + data[20:]


HEVC = {"codec": "libx265", "options": {"x265-params": "log-level=none"}}
DAMAGED = [
    ("old.mp4", {"codec": "libx264", "options": {"bf": "2"}}, emptied),
    ("old.mp4", {"codec": "libx264"}, cut),
    ("old.mkv", HEVC, emptied),
    ("old.mkv", HEVC, with_another_beginning),  # FFmpeg's decoder drops pictures without a word
    ("old.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}, emptied),
    ("old.avi", {"codec": "mpeg4", **TICKS}, emptied),
]


@pytest.mark.parametrize(("name", "recipe", "spoil"), DAMAGED)
def test_a_damaged_picture_is_an_error_that_names_it_and_leaves_nothing(
    name: str, recipe: dict[str, Any], spoil: Any, tmp_path: Path
) -> None:
    make_film(tmp_path / f"whole-{name}", **{"pts": SIX} | recipe)
    damage(tmp_path / f"whole-{name}", tmp_path / name, spoil)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(DamagedPictureError, match=r"frame \d+ at 0\.\d+ s .*cannot be decoded: .*; copy") as raised:
        colorize(tmp_path / name, tmp_path / "new.mkv")

    assert raised.value.number >= 1
    assert raised.value.pts is not None
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("name", "recipe", "spoil"), DAMAGED)
def test_leniently_a_damaged_picture_is_left_out_and_the_others_keep_their_times(
    name: str,
    recipe: dict[str, Any],
    spoil: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_film(tmp_path / f"whole-{name}", **{"pts": SIX} | recipe)
    damage(tmp_path / f"whole-{name}", tmp_path / name, spoil)

    colorize(tmp_path / name, tmp_path / "new.mkv", is_lenient=True)

    times = read_film(tmp_path / "new.mkv")[0]
    whole = [at * MILLISECOND for at in SIX]
    assert 1 <= len(times) < len(whole)
    assert set(times) < set(whole)
    assert caplog.text.count("picture_left_out") == len(whole) - len(times)
    assert f", {len(whole) - len(times)} left out (fake" in capsys.readouterr().out


def test_a_picture_that_the_decoder_mends_is_there_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_film(tmp_path / "whole.mkv", codec="mpeg4", pts=SIX)
    damage(tmp_path / "whole.mkv", tmp_path / "old.mkv", cut)

    colorize(tmp_path / "old.mkv", tmp_path / "new.mkv")

    assert read_film(tmp_path / "new.mkv")[0] == [at * MILLISECOND for at in SIX]
    assert "picture_concealed" in caplog.text
    assert "number=3 pts=120" in caplog.text


def cut_short(path: Path) -> None:
    options = {"container_options": {"movflags": "faststart"}}
    make_film(path, codec="libx264", pts=[40 * number for number in range(12)], **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def without_index(path: Path) -> None:
    make_film(path, codec="libx264", pts=SIX)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def changing_size(path: Path) -> None:
    large, small = path.with_name("large.ts"), path.with_name("small.ts")
    make_film(large, codec="libx264", pts=SIX)
    make_film(small, codec="libx264", pts=[240 + at for at in SIX], height=32, width=32)
    path.write_bytes(large.read_bytes() + small.read_bytes())


def subtitles_of_unknown_letters(path: Path) -> None:
    make_film(path, subtitles="subrip", lines=["O\udcf9 ?", "l\udce0"], pts=SIX)  # Latin-1, where UTF-8 is asked for


def bitmap_subtitles(path: Path) -> None:
    make_film(path, subtitles="pgssub", pts=SIX)


def gap_in_numbers(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    for number in (7, 8, 10):
        (path.parent / f"{number:03}.png").write_bytes(cover_art())


def damaged_number(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    for number in range(4):
        (path.parent / f"{number:03}.png").write_bytes(cover_art() if number != 2 else cover_art()[:60])


def other_size_in_numbers(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    make_film(path.parent / "%03d.png", codec="png", pix_fmt="gray", pts=[0, 40], height=16, width=16)
    (path.parent / "003.png").write_bytes(cover_art())


@pytest.mark.parametrize(
    ("source", "make", "target", "choices", "message"),
    [
        ("old.mp4", cut_short, "new.mkv", {}, r"is damaged or cut short after \d+ pictures .*; copy the film again"),
        ("old.mp4", without_index, "new.mkv", {}, "cannot be opened as a film: .*; copy it again"),
        ("old.ts", changing_size, "new.mkv", {}, "changes from 64x48 .* to 32x32 .* cut it there"),
        ("old.mkv", bitmap_subtitles, "new.mp4", {}, r"stream 1 of .* \(subtitle/hdmv_pgs_subtitle\).*; write .mkv"),
        (
            "old.mkv",
            subtitles_of_unknown_letters,
            "new.mp4",
            {},
            r"the subtitle of stream 1 .* at 0\.00 s cannot be conv",
        ),
        ("in/%03d.png", gap_in_numbers, "new.mkv", {}, r"009\.png is missing between 007\.png and 010\.png; add it"),
        ("in/%03d.png", damaged_number, "new.mkv", {}, "frame 2 at .* cannot be decoded"),
        ("in/%03d.png", other_size_in_numbers, "new.mkv", {}, "changes from 16x16 gray to 8x8 rgb24"),
        ("in/%03d.tif", gap_in_numbers, "new.mkv", {}, r"there is no picture .*001\.tif or the like"),
        ("old.mkv", bitmap_subtitles, "new.mkv", {"frame_rate": Fraction(18)}, "frame_rate: is for numbered pictures"),
        ("old.mkv", bitmap_subtitles, "new.mkv", {"crf": 20}, "crf: is for h264, hevc, av1; ffv1 has one quality"),
        ("old.mkv", bitmap_subtitles, "new.mov", {}, r"its container cannot hold ffv1; \.mkv holds every codec"),
        ("old.mkv", bitmap_subtitles, "new.png", {}, r"a film is written as .*colour/%05d\.png, not '\.png'"),
        ("old.mkv", bitmap_subtitles, "out/%d.png", {}, "codec: numbered pictures are PNG; leave out --codec"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_done_whole_is_one_error_and_leaves_nothing(
    source: str, make: Any, target: str, choices: dict[str, Any], message: str, tmp_path: Path
) -> None:
    make(tmp_path / source)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(KinemaError, match=message) as raised:
        colorize(tmp_path / source, tmp_path / target, **choices)

    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_leniently_subtitles_that_cannot_be_converted_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subtitles_of_unknown_letters(tmp_path / "old.mkv")

    colorize(tmp_path / "old.mkv", tmp_path / "new.mp4", is_lenient=True)

    assert len(read_film(tmp_path / "new.mp4")[0]) == len(SIX)
    assert caplog.text.count("subtitle_left_out index=1") == 2


def test_leniently_subtitles_that_do_not_fit_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bitmap_subtitles(tmp_path / "old.mkv")

    colorize(tmp_path / "old.mkv", tmp_path / "new.mp4", is_lenient=True)

    assert len(read_film(tmp_path / "new.mp4")[0]) == len(SIX)
    assert "stream_not_copied index=1 kind=subtitle/hdmv_pgs_subtitle reason='mp4 cannot hold it'" in caplog.text


MEASURE = r"""
import re, sys
from pathlib import Path
from kinema_client.commands.backends import LocalBackend
from kinema_client.commands.films import FilmChoices, colorize_film
from kinema_core.pipeline import Options
from tests.fakes import FAKE_BUNDLE, FakeEngine
class Forgetful(list):
    def append(self, item): pass
engine = FakeEngine()
engine.seen = Forgetful()
colorize_film(LocalBackend(FAKE_BUNDLE, engine, Options()), sys.argv[1], sys.argv[2], FilmChoices(codec="ffv1"))
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    peak_kibibytes = []
    for num_frames in (100, 1500):
        source, target = tmp_path / f"{num_frames}.mkv", tmp_path / f"new-{num_frames}.mkv"
        recipe = {"is_moving": True, "is_interlaced": True, "subtitles": "subrip", "height": 96, "width": 128}
        make_film(source, pts=[40 * number for number in range(num_frames)], **recipe)
        command = [sys.executable, "-c", MEASURE, str(source), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak_kibibytes.append(int(done.stdout.split("\n")[-2]))

    # The longer film's frames are 26 MiB more; the allocator keeps some of what it got.
    assert peak_kibibytes[1] - peak_kibibytes[0] < 8 << 10
