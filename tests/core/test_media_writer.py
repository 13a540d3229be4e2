"""The writer's laws: planes, pts and tags arrive as they were given, and the file is whole or not there."""

import contextlib
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinema_core.errors import InvalidInputError, MediaError, OutputExistsError, OutputMismatchError
from kinema_core.frames import ColorFrame, ColorRange, ColorTags, Matrix, Plane, chroma_shape
from kinema_core.media.read_back import check_written
from kinema_core.media.writer import FilmWriter
from tests.core.films import read_film

MILLISECOND = Fraction(1, 1000)
LIMITED_8 = ColorTags()
LIMITED_10 = ColorTags(bit_depth=10)


def noise(
    height: int = 48, width: int = 64, *, tags: ColorTags = LIMITED_8, pts: int = 0, time_base: Fraction = MILLISECOND
) -> ColorFrame:
    """Make a frame whose codes are all over the range."""
    random = np.random.default_rng(pts)
    shapes = [(height, width), chroma_shape(height, width), chroma_shape(height, width)]
    planes: list[Plane] = [random.integers(0, 1 << tags.bit_depth, shape, tags.dtype) for shape in shapes]
    return ColorFrame(planes[0], planes[1], planes[2], pts, time_base, tags)


def write_film(path: Path, frames: list[ColorFrame], **options: Any) -> None:
    """Write frames of one size."""
    height, width = frames[0].luma.shape
    size = {"height": height, "width": width}
    with FilmWriter(path, **size, time_base=frames[0].time_base, tags=frames[0].tags, **options) as writer:
        for frame in frames:
            writer.write(frame)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    bit_depth=st.sampled_from([8, 10]),
    color_range=st.sampled_from(ColorRange),
)
def test_ffv1_gives_every_plane_back_byte_for_byte(
    tmp_path: Path, height: int, width: int, bit_depth: int, color_range: ColorRange
) -> None:
    tags = ColorTags(color_range=color_range, bit_depth=bit_depth)
    frames = [noise(height, width, tags=tags, pts=40 * number) for number in range(3)]

    write_film(tmp_path / "film.mkv", frames, codec="ffv1", overwrite=True)

    _, pictures = read_film(tmp_path / "film.mkv")
    for frame, planes in zip(frames, pictures, strict=True):
        for given_plane, found in zip((frame.luma, frame.cb, frame.cr), planes, strict=True):
            np.testing.assert_array_equal(found, given_plane)


def test_planes_that_are_read_only_or_padded_arrive_as_well(tmp_path: Path) -> None:
    padded = noise(48, 80)
    frame = ColorFrame(padded.luma[:, :64], padded.cb[:, :32], padded.cr[:, :32], 0, MILLISECOND)
    read_only = noise(pts=40)
    read_only.luma.flags.writeable = False

    write_film(tmp_path / "film.mkv", [frame, read_only], codec="ffv1")

    _, pictures = read_film(tmp_path / "film.mkv")
    np.testing.assert_array_equal(pictures[0][0], frame.luma)
    np.testing.assert_array_equal(pictures[0][2], frame.cr)
    np.testing.assert_array_equal(pictures[1][0], read_only.luma)


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize(("height", "width"), [(47, 63), (48, 63), (47, 64)])
def test_odd_sizes_keep_size_luma_and_chroma(tmp_path: Path, codec: str, height: int, width: int) -> None:
    frames = [noise(height, width, pts=40 * number) for number in range(2)]

    # at crf 0 x264 is lossless, so that what it was given can be seen; the others are not
    write_film(tmp_path / "film.mp4", frames, codec=codec, crf=0)

    _, pictures = read_film(tmp_path / "film.mp4")
    assert pictures[0][0].shape == (height, width)
    if codec == "h264":
        for frame, (luma, cb, cr) in zip(frames, pictures, strict=True):
            np.testing.assert_array_equal(luma, frame.luma)
            np.testing.assert_array_equal(cb[::2, ::2], frame.cb)
            np.testing.assert_array_equal(cr[::2, ::2], frame.cr)


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="only Linux tells of a thread's scheduling")
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
def test_no_thread_is_scheduled_otherwise_behind_the_header(codec: str, tmp_path: Path) -> None:
    policy = os.sched_getscheduler(0)

    with FilmWriter(
        tmp_path / "film.mkv", height=48, width=64, tags=LIMITED_8, time_base=MILLISECOND, codec=codec
    ) as film:
        found = set()
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # another test's thread may end just now
                found.add(os.sched_getscheduler(int(task.name)))
        film.write(noise())

    assert found == {policy}  # SVT-AV1 would have it another one, if it is run by root


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_very_short_films_are_written(tmp_path: Path, codec: str, num_frames: int) -> None:
    for attempt in range(4):  # what x265 leaves uninitialized is wrong now and then only
        write_film(tmp_path / f"{attempt}.mp4", [noise(pts=40 * n) for n in range(num_frames)], codec=codec)

        times, _ = read_film(tmp_path / f"{attempt}.mp4")
        assert times == [n * Fraction(1, 25) for n in range(num_frames)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.integers(1, 5000), min_size=1, max_size=8),
    start=st.integers(0, 100_000),
    time_base=st.sampled_from(
        [MILLISECOND, Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 12800), Fraction(1, 600)]
    ),
    suffix=st.sampled_from([".mp4", ".mov"]),
)
def test_mp4_and_mov_keep_every_pts_exactly(
    tmp_path: Path, steps: list[int], start: int, time_base: Fraction, suffix: str
) -> None:
    pts = [start + sum(steps[:number]) for number in range(len(steps) + 1)]
    frames = [noise(16, 16, pts=at, time_base=time_base) for at in pts]

    write_film(tmp_path / f"film{suffix}", frames, overwrite=True)

    times, _ = read_film(tmp_path / f"film{suffix}")
    assert times == [at * time_base for at in pts]


def test_a_time_base_of_one_nth_is_kept_itself(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", [noise(pts=41 * number) for number in range(5)])

    with av.open(tmp_path / "film.mp4") as container:
        assert container.streams.video[0].time_base == MILLISECOND


def test_matroska_rounds_pts_to_milliseconds(tmp_path: Path) -> None:
    time_base = Fraction(1001, 30000)
    write_film(tmp_path / "film.mkv", [noise(pts=number, time_base=time_base) for number in range(9)])

    times, _ = read_film(tmp_path / "film.mkv")
    for number, time in enumerate(times):
        assert abs(time - number * time_base) <= MILLISECOND / 2


def test_the_last_frame_lasts_as_long_as_the_mean(tmp_path: Path) -> None:
    frames = [noise(pts=number, time_base=Fraction(1001, 30000)) for number in range(10)]

    write_film(tmp_path / "film.mp4", frames, average_rate=Fraction(30000, 1001))

    with av.open(tmp_path / "film.mp4") as container:
        video = container.streams.video[0]
        assert (video.duration or 0) * Fraction(video.time_base or 1) == 10 * Fraction(1001, 30000)


@pytest.mark.parametrize("matrix", Matrix)
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(
    ("codec", "name", "color_range"),
    [
        ("h264", "film.mp4", ColorRange.LIMITED),
        ("h264", "film.mp4", ColorRange.FULL),
        ("h264", "film.mkv", ColorRange.FULL),
        ("hevc", "film.mp4", ColorRange.LIMITED),
        ("hevc", "film.mp4", ColorRange.FULL),
        ("av1", "film.mp4", ColorRange.LIMITED),
        ("av1", "film.mkv", ColorRange.FULL),
        ("ffv1", "film.mp4", ColorRange.FULL),
        ("ffv1", "film.mkv", ColorRange.LIMITED),
        ("ffv1", "film.mkv", ColorRange.FULL),
        ("prores", "film.mov", ColorRange.LIMITED),  # it has no full range
    ],
)
def test_color_tags_are_in_the_container_and_in_the_stream(
    tmp_path: Path, codec: str, name: str, matrix: Matrix, color_range: ColorRange, bit_depth: int
) -> None:
    tags = ColorTags(matrix, color_range, bit_depth, color_primaries=6, color_trc=6)
    expected = ({Matrix.BT601: 6, Matrix.BT709: 1}[matrix], {ColorRange.LIMITED: 1, ColorRange.FULL: 2}[color_range])

    write_film(tmp_path / name, [noise(tags=tags, pts=40 * number) for number in range(2)], codec=codec)

    with av.open(tmp_path / name) as container:
        video = container.streams.video[0]
        assert (video.colorspace, video.color_range, video.color_primaries, video.color_trc) == (*expected, 6, 6)
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (*expected, 6, 6)
        assert frame.format.components[0].bits == (10 if codec == "prores" else bit_depth)


def test_the_containers_own_color_box_is_written(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", [noise()])

    # ISO/IEC 14496-12, 12.1.5: nclx, then primaries, transfer, matrix, and the full-range bit
    assert b"colrnclx" + bytes([0, 1, 0, 1, 0, 1, 0]) in (tmp_path / "film.mp4").read_bytes()


@pytest.mark.parametrize(("name", "is_in_front"), [("film.mp4", True), ("film.m4v", True), ("film.mov", False)])
def test_the_index_of_mp4_is_in_front(tmp_path: Path, name: str, is_in_front: bool) -> None:
    write_film(tmp_path / name, [noise()])

    content = (tmp_path / name).read_bytes()
    assert (content.index(b"moov") < content.index(b"mdat")) == is_in_front


def test_tags_that_the_encoder_cannot_tell_are_an_error_that_keeps_the_work(tmp_path: Path) -> None:
    tags = ColorTags(color_primaries=22)  # EBU 3213: x264 knows no such primaries

    with pytest.raises(
        OutputMismatchError, match=r"first picture of .*primaries 2, .* instead of .*primaries 22, .*take"
    ):
        write_film(tmp_path / "film.mp4", [noise(tags=tags)])

    assert [path.name for path in tmp_path.iterdir()] == [".film.partial.mp4"]


@pytest.mark.parametrize(
    ("tags", "shape", "message"),
    [
        (ColorTags(Matrix.BT601), (48, 64), "matrix 1, .* instead of .*matrix 6"),
        (ColorTags(color_range=ColorRange.FULL), (48, 64), "range 1, .* instead of .*range 2"),
        (ColorTags(color_trc=6), (48, 64), "transfer 1 instead of .*transfer 6"),
        (ColorTags(bit_depth=10), (48, 64), "8 bit, .* instead of .*10 bit"),
        (ColorTags(), (48, 60), "64x48 .* instead of 60x48"),
    ],
)
def test_whatever_reads_back_otherwise_is_told(
    tmp_path: Path, tags: ColorTags, shape: tuple[int, int], message: str
) -> None:
    write_film(tmp_path / "film.mkv", [noise()], codec="ffv1")

    with pytest.raises(OutputMismatchError, match=message):
        check_written(tmp_path / "film.mkv", tags=tags, shape=shape, num_frames=1)


def test_frames_that_are_missing_from_the_index_are_told(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", [noise(), noise(pts=40)])

    with pytest.raises(OutputMismatchError, match="reads back with 2 frames of 3"):
        check_written(tmp_path / "film.mp4", tags=ColorTags(), shape=(48, 64), num_frames=3)


def test_a_lower_crf_and_a_slower_preset_are_heard(tmp_path: Path) -> None:
    frames = [noise(pts=40 * n) for n in range(3)]
    sizes = {}
    wanted: dict[str, dict[str, Any]] = {"plain": {}, "coarse": {"crf": 40}, "slow": {"preset": "slow"}}
    for name, options in wanted.items():
        for codec in ("h264", "hevc", "av1"):
            write_film(tmp_path / f"{name}-{codec}.mkv", frames, codec=codec, **options)
            sizes[name, codec] = (tmp_path / f"{name}-{codec}.mkv").stat().st_size

    for codec in ("h264", "hevc", "av1"):
        assert sizes["coarse", codec] < sizes["plain", codec]
        assert sizes["slow", codec] != sizes["plain", codec]


def test_hevc_is_named_as_every_player_knows_it(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", [noise()], codec="hevc")

    with av.open(tmp_path / "film.mp4") as container:
        assert container.streams.video[0].codec_tag == "hvc1"


def test_bt601_of_625_lines_keeps_its_own_code(tmp_path: Path) -> None:
    tags = ColorTags(Matrix.BT601, color_primaries=5)
    write_film(tmp_path / "film.mp4", [noise(tags=tags)])

    with av.open(tmp_path / "film.mp4") as container:
        assert container.streams.video[0].colorspace == 5


def test_prores_holds_eight_bit_codes_times_four(tmp_path: Path) -> None:
    luma, cb, cr = np.full((48, 64), 120, np.uint8), np.full((24, 32), 90, np.uint8), np.full((24, 32), 160, np.uint8)

    write_film(tmp_path / "film.mov", [ColorFrame(luma, cb, cr, 0, MILLISECOND)], codec="prores")

    _, (planes,) = read_film(tmp_path / "film.mov")
    assert planes[1].shape == (48, 32)
    # ProRes is lossy; a flat picture survives to a code or two
    for plane, code in zip(planes, (120, 90, 160), strict=True):
        assert np.abs(plane.astype(int) - 4 * code).max() <= 2


def test_h264_is_close_to_what_was_given(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(16, 235, 64).astype(np.uint8), (48, 1))
    flat = np.full((24, 32), 110, np.uint8)

    write_film(tmp_path / "film.mp4", [ColorFrame(ramp, flat, flat, 40 * n, MILLISECOND) for n in range(5)])

    _, pictures = read_film(tmp_path / "film.mp4")
    for luma, cb, _ in pictures:
        assert np.abs(luma.astype(int) - ramp).mean() < 2  # crf 18 on a ramp
        assert np.abs(cb.astype(int) - 110).max() <= 2


def test_the_name_appears_when_the_film_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "film.mp4"
    writer = FilmWriter(path, height=48, width=64, time_base=MILLISECOND, tags=LIMITED_8)

    writer.write(noise())
    before = sorted(found.name for found in path.parent.iterdir())
    writer.close()

    assert before == [".film.partial.mp4"]
    assert [found.name for found in path.parent.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_an_error_in_the_block_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with FilmWriter(tmp_path / "film.mp4", height=48, width=64, time_base=MILLISECOND, tags=LIMITED_8) as writer:
            writer.write(noise())
            raise error

    with pytest.raises(error):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_film_that_was_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the old one")
    writer = FilmWriter(path, height=48, width=64, time_base=MILLISECOND, tags=LIMITED_8, overwrite=True)

    writer.write(noise())
    writer.abort()
    writer.close()

    assert path.read_bytes() == b"the old one"
    assert [found.name for found in tmp_path.iterdir()] == ["film.mp4"]


def test_an_existing_film_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the old one")

    with pytest.raises(OutputExistsError, match=r"there already; give another name, or --force"):
        write_film(path, [noise()])
    assert path.read_bytes() == b"the old one"

    write_film(path, [noise()], overwrite=True)
    assert len(read_film(path)[0]) == 1


def test_a_file_that_appears_meanwhile_is_kept_and_so_is_the_film(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    writer = FilmWriter(path, height=48, width=64, time_base=MILLISECOND, tags=LIMITED_8)
    writer.write(noise())
    path.write_bytes(b"somebody else's")

    with pytest.raises(OutputExistsError, match=r"the result is in .*\.film\.partial\.mp4"):
        writer.close()

    assert path.read_bytes() == b"somebody else's"
    assert len(read_film(tmp_path / ".film.partial.mp4")[0]) == 1


def test_a_film_without_a_frame_is_an_error(tmp_path: Path) -> None:
    writer = FilmWriter(tmp_path / "film.mp4", height=48, width=64, time_base=MILLISECOND, tags=LIMITED_8)

    with pytest.raises(MediaError, match="not one frame"):
        writer.close()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("film.gif", {}, MediaError, r"written as one of \.m4v, \.mkv, \.mov, \.mp4, or .*, not '\.gif'"),
        ("film.mp4", {"codec": "prores"}, MediaError, r"cannot hold prores_ks; \.mkv holds every codec"),
        ("film.mp4", {"codec": "divx"}, InvalidInputError, "codec: must be one of h264, hevc, av1, ffv1, prores"),
        ("film.mp4", {"height": 0}, InvalidInputError, r"film\.height: must be 1 to 8192"),
        ("film.mp4", {"preset": "warp"}, InvalidInputError, "preset: must be one of ultrafast, .*, got 'warp'"),
        ("film.mp4", {"crf": 52}, InvalidInputError, r"crf: of h264 must be 0 \(best\) to 51, got 52"),
        ("film.mov", {"codec": "prores", "crf": 20}, InvalidInputError, "crf: is for h264, hevc, av1; prores has one"),
        ("film.mov", {"codec": "av1"}, MediaError, r"cannot be begun: .*; does it hold av1\? \.mkv holds every codec"),
        (
            "film.mov",
            {"codec": "prores", "tags": ColorTags(color_range=ColorRange.FULL)},
            MediaError,
            "full range; choose h264, hevc, av1 or ffv1",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(
    tmp_path: Path, name: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    film: dict[str, Any] = {"height": 48, "width": 64, "time_base": MILLISECOND, "tags": LIMITED_8}

    with pytest.raises(error, match=message):
        FilmWriter(tmp_path / name, **film | options)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (noise(32, 64, pts=9), "frame.luma: must be"),
        (noise(pts=9, tags=LIMITED_10), "frame.tags: must be the film's"),
        (noise(pts=9, time_base=Fraction(1, 25)), "frame.time_base: must be the film's"),
        (noise(pts=8), "frame.pts: must be above the last one, 8, got 8"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused(tmp_path: Path, frame: ColorFrame, message: str) -> None:
    writer = FilmWriter(tmp_path / "film.mp4", height=48, width=64, time_base=MILLISECOND, tags=LIMITED_8)
    writer.write(noise(pts=8))

    with pytest.raises(InvalidInputError, match=message):
        writer.write(frame)

    writer.abort()


def test_a_frame_after_the_end_is_refused(tmp_path: Path) -> None:
    writer = FilmWriter(tmp_path / "film.mp4", height=48, width=64, time_base=MILLISECOND, tags=LIMITED_8)
    writer.write(noise())
    writer.close()

    with pytest.raises(InvalidInputError, match="is closed"):
        writer.write(noise(pts=40))


FILL = """
import resource, signal, sys
from fractions import Fraction
import numpy as np
from kinema_core.frames import ColorFrame, ColorTags
from kinema_core.media.read_back import check_written
from kinema_core.media.writer import FilmWriter
path, codec, max_bytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
if max_bytes:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
random = np.random.default_rng(0)
film = {"height": 128, "width": 128, "time_base": Fraction(1, 25), "tags": ColorTags()}
with FilmWriter(path, codec=codec, **film) as writer:
    for n in range(10):
        planes = [random.integers(0, 256, shape, np.uint8) for shape in ((128, 128), (64, 64), (64, 64))]
        writer.write(ColorFrame(*planes, n, Fraction(1, 25)))
"""


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path / "film.mkv"), "ffv1", "50000"]

    done = subprocess.run(command, capture_output=True, check=False, timeout=60)

    assert done.returncode == 1
    assert b"MediaError" in done.stderr
    assert b"File too large; is there space left?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_standard_output_gets_matroska(tmp_path: Path) -> None:
    with (tmp_path / "film.mkv").open("wb") as film:
        subprocess.run([sys.executable, "-c", FILL, "-", "h264", "0"], stdout=film, check=True, timeout=60)

    times, _ = read_film(tmp_path / "film.mkv")
    assert times == [number * Fraction(1, 25) for number in range(10)]
