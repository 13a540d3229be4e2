"""Films as numbered pictures, in and out."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_core.color import rgb_to_ycbcr, ycbcr_to_rgb
from kinema_core.errors import InvalidInputError, MediaError, OutputExistsError
from kinema_core.frames import ColorFrame, ColorRange, ColorTags, Matrix
from kinema_core.media.image_sequence import find_sequence, is_pattern, name_of
from kinema_core.media.png_writer import PngWriter
from kinema_core.media.reader import FilmReader, matrix_of_rotation
from tests.core.films import make_film

TAGS = [ColorTags(matrix, color_range, depth) for matrix in Matrix for color_range in ColorRange for depth in (8, 10)]


def frame(number: int = 0, tags: ColorTags | None = None) -> ColorFrame:
    """Make a frame of one colour that is inside RGB's gamut."""
    tags = tags or ColorTags()
    rgb = np.full((6, 8, 3), (180, 90 + number, 60), np.uint8)
    return ColorFrame(*rgb_to_ycbcr(rgb, tags), number * number, Fraction(1, 24), tags)


@given(st.tuples(*[st.integers(0, 255)] * 3), st.sampled_from(TAGS))
def test_rgb_comes_back_from_ycbcr(color: tuple[int, int, int], tags: ColorTags) -> None:
    rgb = np.full((3, 5, 3), color, np.uint8)

    back = ycbcr_to_rgb(*rgb_to_ycbcr(rgb, tags), tags)

    white = 255 if tags.bit_depth == 8 else 65535
    assert back.shape == rgb.shape
    # Half a code each of Y', Cb and Cr, at most 1.9 times that in a channel, and limited codes are 1.16 times as wide.
    tolerance = 2.2 if tags.bit_depth == 8 else 0.6
    assert np.abs(back.astype(float) * (255 / white) - rgb).max() <= tolerance


@pytest.mark.parametrize(
    ("pattern", "is_one"),
    [("a/%05d.png", True), ("a/x%d.png", True), ("a/100%.png", False), ("a/%d-%d.png", False), ("%05d/a.png", False)],
)
def test_a_pattern_has_one_number_in_the_name_of_the_file(pattern: str, is_one: bool) -> None:
    assert is_pattern(pattern) == is_one


def test_a_file_that_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "%03d.png").touch()

    assert not is_pattern(str(tmp_path / "%03d.png"))


@given(st.integers(0, 10**9))
def test_numbers_are_filled_up_with_zeros(number: int) -> None:
    assert name_of("a/scan_%05d.png", number) == f"scan_{number:05}.png"
    assert name_of("a/%d.tif", number) == f"{number}.tif"


def test_numbered_pictures_are_read_in_order_at_the_rate_that_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "50% grey"
    folder.mkdir()
    for number in range(98, 103):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((6, 8), number, np.uint8))
    cv2.imwrite(str(folder / "099.png"), np.full((9, 9), 0, np.uint8))  # no name that %d writes

    with FilmReader(folder / "%d.png", frame_rate=Fraction(18)) as film:
        frames = list(film)

    assert film.first_number == 98
    assert [one.luma[0, 0] for one in frames] == [98, 99, 100, 101, 102]
    assert [one.pts * one.time_base for one in frames] == [n * Fraction(1, 18) for n in range(5)]


def test_sixteen_bit_scans_are_read_with_ten_bits(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((6, 8), 32768, np.uint16))

    with FilmReader(tmp_path / "%d.png") as film:
        (only,) = film

    assert only.tags.bit_depth == 10
    assert abs(int(only.luma[0, 0]) - 512) <= 1


def test_a_film_has_a_rate_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="frame_rate: is for numbered pictures"):
        FilmReader(tmp_path / "film.mkv", frame_rate=Fraction(24))


def test_a_sequence_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"there is no picture .*none/001\.png or the like"):
        find_sequence(str(tmp_path / "none" / "%03d.png"))


@pytest.mark.parametrize("tags", [ColorTags(), ColorTags(Matrix.BT601, ColorRange.FULL, 10)])
def test_pictures_are_written_with_their_colour_and_times(tmp_path: Path, tags: ColorTags) -> None:
    pattern = str(tmp_path / "colour" / "%04d.png")

    with PngWriter(pattern, tags=tags, time_base=Fraction(1, 24), first_number=86) as writer:
        for number in range(3):
            writer.write(frame(number, tags))
        assert [path.name for path in tmp_path.iterdir()] == [".colour.partial"]

    names = sorted(path.name for path in (tmp_path / "colour").iterdir())
    assert names == ["0086.png", "0087.png", "0088.png", "timestamps.txt"]
    picture = cv2.imread(str(tmp_path / "colour" / "0087.png"), cv2.IMREAD_UNCHANGED)
    white = 255 if tags.bit_depth == 8 else 65535
    assert picture is not None
    assert picture.dtype == tags.dtype
    assert np.abs(picture[..., ::-1] * (255 / white) - (180, 91, 60)).max() <= 2.2  # as above
    times = (tmp_path / "colour" / "timestamps.txt").read_text()
    assert times == "# timestamp format v2\n0.000000\n41.666667\n166.666667\n"


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    def fail() -> None:
        with PngWriter(str(tmp_path / "colour" / "%d.png"), tags=ColorTags(), time_base=Fraction(1, 24)) as writer:
            writer.write(frame())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert not any(tmp_path.iterdir())


def test_not_one_picture_is_an_error(tmp_path: Path) -> None:
    writer = PngWriter(str(tmp_path / "colour" / "%d.png"), tags=ColorTags(), time_base=Fraction(1, 24))

    with pytest.raises(MediaError, match="not one frame"):
        writer.close()

    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "overwrite", "error", "message"),
    [
        ("1.png", False, OutputExistsError, "there are pictures in .*colour already; name another folder, or --force"),
        ("thesis.doc", True, MediaError, r"holds other files, such as thesis\.doc; name a folder of its own"),
    ],
)
def test_what_is_in_the_folder_is_kept(
    tmp_path: Path, content: str, overwrite: bool, error: type[Exception], message: str
) -> None:
    (tmp_path / "colour").mkdir()
    (tmp_path / "colour" / content).write_bytes(b"precious")

    with pytest.raises(error, match=message):
        PngWriter(str(tmp_path / "colour" / "%d.png"), tags=ColorTags(), time_base=Fraction(1, 24), overwrite=overwrite)

    assert (tmp_path / "colour" / content).read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["colour"]


def test_pictures_that_appear_meanwhile_are_kept_and_so_are_the_new_ones(tmp_path: Path) -> None:
    pattern = str(tmp_path / "colour" / "%d.png")
    writer = PngWriter(pattern, tags=ColorTags(), time_base=Fraction(1, 24))
    writer.write(frame())
    (tmp_path / "colour").mkdir()
    (tmp_path / "colour" / "1.png").write_bytes(b"somebody else's")

    with pytest.raises(OutputExistsError, match=r"the pictures are complete in .*\.colour\.partial"):
        writer.close()

    assert (tmp_path / "colour" / "1.png").read_bytes() == b"somebody else's"
    assert (tmp_path / ".colour.partial" / "1.png").stat().st_size > 20


def test_older_pictures_are_replaced_when_asked(tmp_path: Path) -> None:
    (tmp_path / "colour").mkdir()
    (tmp_path / "colour" / "7.png").write_bytes(b"old")

    pattern = str(tmp_path / "colour" / "%d.png")
    with PngWriter(pattern, tags=ColorTags(), time_base=Fraction(1, 24), overwrite=True) as writer:
        writer.write(frame())

    assert sorted(path.name for path in (tmp_path / "colour").iterdir()) == ["1.png", "timestamps.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["colour"]


@pytest.mark.parametrize("pattern", ["%d.png", "colour/%d.jpg", "colour/a.png"])
def test_what_does_not_stand_for_png_files_in_a_folder_is_refused(pattern: str) -> None:
    with pytest.raises(MediaError, match="does not stand for PNG files; name a folder of its own"):
        PngWriter(pattern, tags=ColorTags(), time_base=Fraction(1, 24))


def test_pictures_with_side_data_that_pyav_does_not_know_are_read(tmp_path: Path) -> None:
    for number in range(3):  # FFmpeg gives TIFF its EXIF along
        cv2.imwrite(str(tmp_path / f"{number}.tif"), np.full((6, 8), 40 * number, np.uint8))

    with FilmReader(tmp_path / "%d.tif") as film:
        frames = list(film)

    assert film.display_matrix is None
    assert [one.luma[0, 0] for one in frames] == [0, 40, 80]


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_a_turn_is_the_matrix_that_ffmpeg_writes(degrees: int, tmp_path: Path) -> None:
    make_film(tmp_path / "film.mp4", codec="libx264", rotation=degrees)
    with av.open(str(tmp_path / "film.mp4")) as container:
        frame = next(container.decode(video=0))

    with FilmReader(tmp_path / "film.mp4") as film:
        assert film.display_matrix == matrix_of_rotation(frame.rotation)
