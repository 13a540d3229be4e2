"""The reader's laws: Y', pts and tags as the film has them; then what it refuses."""

import io
import logging
import os
import subprocess
import sys
import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from numpy.typing import NDArray

from kinema_core.color import GREY_TAGS, rgb_to_grey, rgb_to_ycbcr
from kinema_core.errors import DamagedPictureError, InvalidInputError, MediaError
from kinema_core.frames import ColorRange, ColorTags, LumaFrame, Matrix
from kinema_core.media.decoded_planes import PlaneTaker
from kinema_core.media.reader import FilmReader
from tests.core.films import BT709_LIMITED, UNSPECIFIED, make_film, read_film


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "height", "width"),
    [
        ("ffv1", "yuv420p", 48, 64),
        ("ffv1", "yuv420p", 47, 63),
        ("ffv1", "yuv422p", 48, 70),
        ("ffv1", "yuv444p", 48, 64),
        ("ffv1", "gray", 48, 50),
        ("ffv1", "yuv420p10le", 47, 63),
        ("ffv1", "yuv422p10le", 48, 64),
        ("ffv1", "yuv444p10le", 48, 64),
        ("ffv1", "gray10le", 48, 50),
        ("rawvideo", "nv12", 48, 66),
    ],
)
def test_luma_is_the_decoders_byte_for_byte(tmp_path: Path, codec: str, pix_fmt: str, height: int, width: int) -> None:
    path = tmp_path / "film.nut"
    pictures = make_film(path, codec=codec, pix_fmt=pix_fmt, height=height, width=width, pts=[0, 40, 80])

    with FilmReader(path) as reader:
        frames = list(reader)

    assert [frame.tags.bit_depth for frame in frames] == [10 if "10" in pix_fmt else 8] * 3
    for frame, planes in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.luma, planes[0])


def test_luma_of_lossy_film_with_b_frames_is_what_ffmpeg_decodes_in_order_of_presentation(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    make_film(path, codec="libx264", options={"bf": "3", "preset": "medium"})
    times, pictures = read_film(path)

    with FilmReader(path) as reader:
        frames = list(reader)

    assert [frame.pts * frame.time_base for frame in frames] == times
    for frame, planes in zip(frames, pictures, strict=True):
        np.testing.assert_array_equal(frame.luma, planes[0])


def test_p010_samples_are_moved_to_the_low_bits() -> None:
    picture = av.VideoFrame(64, 48, "p010le")
    codes = np.arange(64 * 48, dtype=np.uint16).reshape(48, 64) % 1024
    np.frombuffer(memoryview(picture.planes[0]), np.uint16).reshape(48, -1)[:, :64] = codes << 6

    luma = PlaneTaker("p010le").luma(picture)

    np.testing.assert_array_equal(luma, codes)


def test_packed_yuyv_is_unpacked_without_change(tmp_path: Path) -> None:
    path = tmp_path / "film.nut"
    pictures = make_film(path, codec="rawvideo", pix_fmt="yuyv422", pts=[0])

    with FilmReader(path) as reader:
        (frame,) = reader

    np.testing.assert_array_equal(frame.luma, pictures[0][0][:, ::2])


def test_twelve_bits_are_brought_to_ten_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "film.mkv"
    pictures = make_film(path, pix_fmt="yuv420p12le", pts=[0])

    with caplog.at_level(logging.INFO), FilmReader(path) as reader:
        (frame,) = reader

    assert frame.tags.bit_depth == 10
    # libswscale may dither: one code either way of the exact quarter
    assert np.abs(frame.luma.astype(float) - pictures[0][0] / 4).max() <= 1
    assert "pix_fmt_converted from=yuv420p12le to=yuv420p10le" in caplog.text


def test_pts_and_time_base_are_the_films_own_at_variable_rate(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    pts = [7, 47, 48, 130, 131, 500, 2011]
    make_film(path, pts=pts)

    with FilmReader(path) as reader:
        frames = list(reader)

    assert [frame.pts for frame in frames] == pts
    assert {frame.time_base for frame in frames} == {Fraction(1, 1000)}


def test_pts_rise_where_the_film_has_none(tmp_path: Path) -> None:
    path = tmp_path / "film.h264"
    make_film(path, codec="libx264", options={"bf": "0"})

    with FilmReader(path) as reader:
        pts = [frame.pts for frame in reader]

    assert len(pts) == 12
    assert all(later > earlier for earlier, later in pairwise(pts))


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"tags": BT709_LIMITED}, ColorTags(Matrix.BT709, ColorRange.LIMITED)),
        ({"tags": (6, 2, 6, 6)}, ColorTags(Matrix.BT601, ColorRange.FULL, color_primaries=6, color_trc=6)),
        ({"tags": (5, 1, 5, 1)}, ColorTags(Matrix.BT601, ColorRange.LIMITED, color_primaries=5)),
        ({"tags": UNSPECIFIED}, ColorTags(Matrix.BT601, ColorRange.LIMITED)),
        ({"tags": UNSPECIFIED, "height": 720, "width": 16}, ColorTags(Matrix.BT709, ColorRange.LIMITED)),
        ({"tags": UNSPECIFIED, "height": 16, "width": 1280}, ColorTags(Matrix.BT709, ColorRange.LIMITED)),
        ({"tags": UNSPECIFIED, "pix_fmt": "gray"}, ColorTags(Matrix.BT601, ColorRange.FULL)),
        ({"tags": (2, 1, 2, 2), "pix_fmt": "gray"}, ColorTags(Matrix.BT601, ColorRange.LIMITED)),
        (
            {"tags": UNSPECIFIED, "pix_fmt": "gray", "codec": "libx264"},
            ColorTags(Matrix.BT601, ColorRange.LIMITED),
        ),
        ({"tags": (1, 2, 1, 1), "pix_fmt": "yuv420p10le"}, ColorTags(Matrix.BT709, ColorRange.FULL, bit_depth=10)),
        ({"tags": (9, 1, 9, 14)}, ColorTags(Matrix.BT709, ColorRange.LIMITED, color_primaries=9, color_trc=14)),
    ],
)
def test_tags_are_read_by_the_stated_rules(tmp_path: Path, recipe: dict[str, Any], expected: ColorTags) -> None:
    path = tmp_path / "film.mkv"
    make_film(path, pts=[0, 40], **recipe)

    with FilmReader(path) as reader:
        assert reader.tags == expected
        assert {frame.tags for frame in reader} == {expected}


def test_motion_jpeg_is_full_range(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    make_film(path, codec="mjpeg", pix_fmt="yuvj420p", tags=(5, 2, 2, 2))

    with FilmReader(path) as reader:
        assert reader.tags == ColorTags(Matrix.BT601, ColorRange.FULL)


def test_color_frames_hold_the_films_own_chroma(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    pictures = make_film(path, height=47, width=63)

    with FilmReader(path) as reader:
        frames = list(reader.color_frames())

    for frame, planes in zip(frames, pictures, strict=True):
        for found, expected in zip((frame.luma, frame.cb, frame.cr), planes, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv422p", "gray", "bgr0"])
def test_luma_frames_with_chroma_have_the_planes_of_the_colour_frames(tmp_path: Path, pix_fmt: str) -> None:
    path = tmp_path / "film.mkv"
    make_film(path, pix_fmt=pix_fmt, height=47, width=63)

    with FilmReader(path) as reader, FilmReader(path) as again:
        pairs = list(zip(reader.frames_with_chroma(), again.color_frames(), strict=True))

    assert len(pairs) == 12
    for frame, color_frame in pairs:
        assert frame.chroma is not None
        assert (frame.pts, frame.time_base, frame.tags) == (color_frame.pts, color_frame.time_base, color_frame.tags)
        planes = color_frame.luma, color_frame.cb, color_frame.cr
        for found, expected in zip((frame.luma, *frame.chroma), planes, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("pix_fmt", "neutral"), [("gray", 128), ("gray10le", 512)])
def test_color_frames_of_a_grey_film_are_neutral(tmp_path: Path, pix_fmt: str, neutral: int) -> None:
    path = tmp_path / "film.mkv"
    make_film(path, pix_fmt=pix_fmt, height=5, width=7, pts=[0])

    with FilmReader(path) as reader:
        (frame,) = reader.color_frames()

    assert frame.cb.shape == frame.cr.shape == (3, 4)
    assert np.all(frame.cb == neutral)
    assert np.all(frame.cr == neutral)


@pytest.mark.parametrize("tags", [BT709_LIMITED, (6, 2, 6, 6)])
def test_color_frames_halve_full_chroma_and_leave_luma_alone(tmp_path: Path, tags: tuple[int, int, int, int]) -> None:
    path = tmp_path / "film.mkv"
    pictures = make_film(path, pix_fmt="yuv444p", pts=[0], tags=tags)

    with FilmReader(path) as reader:
        (frame,) = reader.color_frames()

    np.testing.assert_array_equal(frame.luma, pictures[0][0])
    # any reasonable filter keeps the mean; a change of range or matrix would not
    assert frame.cb.mean() == pytest.approx(pictures[0][1].mean(), abs=1.5)
    assert frame.cr.mean() == pytest.approx(pictures[0][2].mean(), abs=1.5)


def test_an_rgb_film_becomes_the_grey_of_the_same_lightness(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    pictures = make_film(path, pix_fmt="bgr0", pts=[0])
    rgb = np.ascontiguousarray(pictures[0][0].reshape(48, 64, 4)[:, :, 2::-1])

    with FilmReader(path) as reader:
        (frame,) = reader
    with FilmReader(path) as reader:
        (color_frame,) = reader.color_frames()

    assert frame.tags == color_frame.tags == GREY_TAGS
    np.testing.assert_array_equal(frame.luma, rgb_to_grey(rgb))
    for found, expected in zip(
        (color_frame.luma, color_frame.cb, color_frame.cr), rgb_to_ycbcr(rgb, GREY_TAGS), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_mp4_counts_its_frames_and_matroska_estimates_them(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mp4", codec="libx264")
    make_film(tmp_path / "film.mkv")

    with FilmReader(tmp_path / "film.mp4") as counted, FilmReader(tmp_path / "film.mkv") as estimated:
        assert (counted.num_frames, counted.num_frames_is_estimate) == (12, False)
        assert (estimated.num_frames, estimated.num_frames_is_estimate) == (12, True)
        assert estimated.duration_seconds == Fraction(12, 25)


def test_rotation_and_pixel_aspect_are_told(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mp4", codec="libx264", rotation=90, aspect=Fraction(4, 3))

    with FilmReader(tmp_path / "film.mp4") as reader:
        assert reader.size == (48, 64)
        assert reader.sample_aspect_ratio == Fraction(4, 3)
        assert reader.display_matrix == (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)


def test_other_streams_pass_by_while_the_pictures_are_read(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    make_film(path, codec="libx264", pts=[40 * n for n in range(100)], sounds=["eng"], options={"g": "10"})
    with FilmReader(path) as reader:
        passed: list[Packet[Any]] = []
        reader.hand_packets_to(passed.append)
        frames = iter(reader)

        for _ in range(50):
            next(frames)

        halfway = len(passed)
        list(frames)
        assert 0.3 < halfway / len(passed) < 0.8, "sound comes along with the pictures, not at once"
        assert len(passed) == 4 * 48000 // 1024 + 2


def test_a_film_is_read_once(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv")

    with FilmReader(tmp_path / "film.mkv") as reader:
        list(reader)
        with pytest.raises(InvalidInputError, match="open it again"):
            next(iter(reader))


def test_a_second_sink_is_refused(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv")

    with FilmReader(tmp_path / "film.mkv") as reader:
        reader.hand_packets_to(lambda _: None)
        with pytest.raises(InvalidInputError, match="one writer"):
            reader.hand_packets_to(lambda _: None)


def test_standard_input_is_read(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    make_film(path)
    script = "from kinema_core.media.reader import FilmReader; print(len(list(FilmReader('-'))))"

    with path.open("rb") as film:
        done = subprocess.run([sys.executable, "-c", script], stdin=film, capture_output=True, check=False, timeout=60)

    assert done.stdout.strip() == b"12", done.stderr.decode()


def test_an_index_at_the_end_of_a_pipe_is_told(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    make_film(path, codec="libx264", height=240, width=320, options={"crf": "0", "preset": "ultrafast"})
    script = "from kinema_core.media.reader import FilmReader; list(FilmReader('-'))"

    done = subprocess.run(
        [sys.executable, "-c", script], input=path.read_bytes(), capture_output=True, check=False, timeout=60
    )

    assert b"the index of this MP4 or MOV comes after its pictures; name the file" in done.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", b"not a film\n" * 50, "is a text file; give a complete film"),
        ("notes.mp4", b"not a film\n" * 50, "cannot be opened as a film: Invalid data"),
        ("empty.mkv", b"", "cannot be opened as a film"),
    ],
)
def test_what_is_no_film_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(MediaError, match=message):
        FilmReader(tmp_path / name)


def test_a_missing_film_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"nowhere.mp4 cannot be opened as a film: No such file"):
        FilmReader(tmp_path / "nowhere.mp4")
    with pytest.raises(MediaError, match="Is a directory"):
        FilmReader(tmp_path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with av.open(tmp_path / "sound.mkv", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))

    with pytest.raises(MediaError, match="no video stream, only audio; give a complete film"):
        FilmReader(tmp_path / "sound.mkv")


def test_a_film_without_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    make_film(path, codec="libx264")
    path.write_bytes(path.read_bytes()[:5000])

    with pytest.raises(MediaError, match=r"whose index \(moov\) seems to be missing, .*; copy it again"):
        FilmReader(path)


def test_a_matroska_film_without_its_last_bytes_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    make_film(path, codec="libx264", pts=[40 * number for number in range(12)])  # less than the second of grace
    whole = path.read_bytes()
    with FilmReader(path) as reader:
        assert len(list(reader)) == 12
    path.write_bytes(whole[:-1])

    for source in (path, io.BytesIO(whole[:-1])):
        with FilmReader(source) as reader, pytest.raises(MediaError, match="the container promises more"):
            list(reader)


def test_a_named_pipe_is_read_from_its_beginning(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv", pts=[40 * number for number in range(4)])
    pipe = tmp_path / "pipe.mkv"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes((tmp_path / "film.mkv").read_bytes()))
    writer.start()

    with FilmReader(pipe) as reader:
        assert len(list(reader)) == 4

    writer.join()


CUT_SHORT = pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("film.mp4", {"codec": "libx264", "container_options": {"movflags": "faststart"}}),
        ("film.mkv", {"pts": [1000 * n for n in range(12)]}),
        ("film.avi", {"codec": "mpeg4", "time_base": Fraction(1, 25), "pts": list(range(12))}),
    ],
)


@CUT_SHORT
def test_leniently_a_film_cut_short_ends_there(
    tmp_path: Path, name: str, recipe: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / name
    make_film(path, **recipe)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])

    with FilmReader(path, is_lenient=True) as reader:
        found = list(reader)

    assert 2 <= len(found) < 12
    assert "film_is_cut_short" in caplog.text or "film_breaks_off" in caplog.text


@CUT_SHORT
def test_a_film_cut_short_gives_its_frames_and_then_an_error(tmp_path: Path, name: str, recipe: dict[str, Any]) -> None:
    path = tmp_path / name
    make_film(path, **recipe)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found: list[LumaFrame] = []

    with FilmReader(path) as reader, pytest.raises(MediaError, match=r"cut short after \d+ pictures .*copy the film"):
        found.extend(reader)

    assert 2 <= len(found) < 12


def test_a_broadcast_may_end_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "film.ts"
    make_film(path, codec="libx264")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])

    with FilmReader(path) as reader:
        assert 2 <= len(list(reader)) < 12


def test_a_damaged_picture_is_an_error_with_its_number_and_time(tmp_path: Path) -> None:
    path = tmp_path / "film.mov"
    spoil_picture(path, 5)

    with (
        FilmReader(path) as reader,
        pytest.raises(DamagedPictureError, match=r"frame 5 at 0\.20 s \(pts \d+\)") as raised,
    ):
        list(reader)

    assert (raised.value.number, Fraction(raised.value.pts or 0) * reader.time_base) == (5, Fraction(1, 5))


def test_leniently_a_damaged_picture_is_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "film.mov"
    pictures = spoil_picture(path, 5)

    with FilmReader(path, is_lenient=True) as reader:
        frames = list(reader)
        assert reader.num_damaged == 1

    times = [frame.pts * frame.time_base for frame in frames]
    assert times == [number * Fraction(1, 25) for number in range(12) if number != 5]
    np.testing.assert_array_equal(frames[5].luma, pictures[6][0])
    assert "picture_left_out" in caplog.text


def spoil_picture(path: Path, number: int) -> list[list[NDArray[Any]]]:
    """Write a film of PNG pictures, one of which is none; give the planes of all."""
    pictures = make_film(path, codec="png", pix_fmt="gray")
    parts = path.read_bytes().split(b"\x89PNG")
    at = number + 1
    path.write_bytes(b"\x89PNG".join(parts[:at]) + b"\0ham" + b"\x89PNG".join(parts[at:]))
    return pictures


def test_a_film_trimmed_by_an_edit_list_is_complete(tmp_path: Path) -> None:
    whole, trimmed = tmp_path / "whole.mp4", tmp_path / "trimmed.mp4"
    make_film(whole, codec="libx264", options={"bf": "0", "g": "50"})
    with av.open(whole) as source, av.open(trimmed, "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts -= 4 * 512  # four pictures are before zero: decoded, not shown
                packet.dts -= 4 * 512
                packet.stream = copy
                target.mux(packet)

    with FilmReader(trimmed) as reader:
        frames = list(reader)

    assert len(frames) == 8


def test_a_film_that_changes_size_is_refused_where_it_does(tmp_path: Path) -> None:
    path = tmp_path / "film.ts"
    make_film(tmp_path / "large.ts", codec="libx264", height=48, width=64)
    make_film(tmp_path / "small.ts", codec="libx264", height=32, width=32, pts=[480 + 40 * n for n in range(12)])
    path.write_bytes((tmp_path / "large.ts").read_bytes() + (tmp_path / "small.ts").read_bytes())
    found: list[LumaFrame] = []

    with FilmReader(path) as reader, pytest.raises(MediaError, match=r"changes from 64x48 .* to 32x32 .*cut it there"):
        found.extend(reader)

    assert len(found) == 12


def test_a_film_larger_than_kinema_takes_is_refused(tmp_path: Path) -> None:
    make_film(tmp_path / "film.mkv", pix_fmt="gray", height=2, width=8194, pts=[0])

    with pytest.raises(MediaError, match=r"width: must be 1 to 8192 pixels, got 8194; scale it first"):
        FilmReader(tmp_path / "film.mkv")
