"""Photos: what is written is read back, what is read is as it is to be seen, and nothing is half written."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError, MediaError, OutputExistsError
from kinema_core.media.photo_header import read_photo_size
from kinema_core.media.photos import PHOTO_SUFFIXES, decode_photo, list_photos, read_photo, write_photo

LOSSLESS = [suffix for suffix in PHOTO_SUFFIXES if suffix not in {".jpg", ".jpeg"}]


def smooth_photo(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    """Make a photo with edges in hue, so that halved colour would be seen."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2] = (200, 40, 40)
    rgb[:, width // 2 :] = (40, 200, 60)
    return rgb


def encode(suffix: str, bgr: NDArray[np.integer[Any]]) -> bytes:
    """Encode with OpenCV, as other programs would."""
    is_encoded, data = cv2.imencode(suffix, bgr)
    assert is_encoded
    return bytes(data)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rgb=arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
@pytest.mark.parametrize("suffix", LOSSLESS)
def test_what_is_written_without_loss_is_read_back(tmp_path: Path, suffix: str, rgb: NDArray[np.uint8]) -> None:
    write_photo(tmp_path / f"photo{suffix}", rgb, overwrite=True)

    np.testing.assert_array_equal(read_photo(tmp_path / f"photo{suffix}"), rgb)


@given(size=st.tuples(st.integers(1, 300), st.integers(1, 300)))
@settings(max_examples=15)
@pytest.mark.parametrize("suffix", PHOTO_SUFFIXES)
def test_the_header_tells_the_size(suffix: str, size: tuple[int, int]) -> None:
    data = encode(suffix, np.zeros((*size, 3), np.uint8))

    assert read_photo_size(data) == size
    assert read_photo_size(data[:8]) is None


def test_the_headers_of_lossy_and_extended_webp_and_of_big_endian_tiff_tell_the_size() -> None:
    lossy = bytes(cv2.imencode(".webp", np.zeros((21, 33, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 80])[1])
    extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + (32).to_bytes(3, "little") + (20).to_bytes(3, "little")
    tiff = (
        b"MM\0*"
        + struct.pack(">IH", 8, 2)
        + struct.pack(">HHIHxx", 256, 3, 1, 33)
        + struct.pack(">HHII", 257, 4, 1, 21)
    )

    assert lossy[12:16] == b"VP8 "
    assert [read_photo_size(data) for data in (lossy, extended, tiff)] == [(21, 33)] * 3


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    rgb = smooth_photo()

    write_photo(tmp_path / "photo.jpg", rgb)

    # quality 95 rings by a few codes at an edge; with halved chroma the columns beside it would be off by some 40
    assert np.abs(read_photo(tmp_path / "photo.jpg").astype(int) - rgb).max() < 12


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda rgb: rgb),
        (2, lambda rgb: rgb[:, ::-1]),
        (3, lambda rgb: rgb[::-1, ::-1]),
        (4, lambda rgb: rgb[::-1]),
        (5, lambda rgb: rgb.transpose(1, 0, 2)),
        (6, lambda rgb: np.rot90(rgb, -1)),
        (7, lambda rgb: np.rot90(rgb, 2).transpose(1, 0, 2)),
        (8, np.rot90),
    ],
)
def test_exif_orientation_is_honoured(orientation: int, turn: Callable[[Any], Any]) -> None:
    upright = smooth_photo(16, 32)
    upright[:8] //= 2
    jpeg = encode(".jpg", upright[:, :, ::-1])
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x112, 3, 1, orientation, 0, 0)
    tagged = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]

    rgb = decode_photo(tagged)

    np.testing.assert_array_equal(rgb, turn(decode_photo(jpeg)))


def test_a_grey_photo_has_three_equal_channels() -> None:
    grey = np.arange(60, dtype=np.uint8).reshape(6, 10)

    rgb = decode_photo(encode(".png", grey))

    assert rgb.shape == (6, 10, 3)
    for channel in range(3):
        np.testing.assert_array_equal(rgb[:, :, channel], grey)


def test_sixteen_bits_are_rounded_to_eight_which_is_told(caplog: pytest.LogCaptureFixture) -> None:
    codes = np.array([[0, 127, 129, 257, 65535, 65406, 65407]], np.uint16)

    rgb = decode_photo(encode(".png", codes))

    np.testing.assert_array_equal(rgb[0, :, 0], [0, 0, 1, 1, 255, 254, 255])
    assert "photo_rounded name=the photo" in caplog.text


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_what_is_transparent_becomes_white(suffix: str) -> None:
    bgra = np.zeros((1, 3, 4), np.uint8)
    bgra[0] = [(255, 0, 0, 255), (10, 20, 30, 0), (0, 0, 0, 128)]

    rgb = decode_photo(encode(suffix, bgra))

    np.testing.assert_array_equal(rgb[0], [(0, 0, 255), (255, 255, 255), (127, 127, 127)])


@pytest.mark.parametrize("content", [b"", b"not a photo", b"\xff\xd8\xff", b"GIF89a" + bytes(40), b"BM" + bytes(4)])
def test_what_is_no_photo_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "notes.jpg").write_bytes(content)

    with pytest.raises(MediaError, match=r"notes\.jpg is not a photo; give a complete file of one of \.bmp, \.jpeg"):
        read_photo(tmp_path / "notes.jpg")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_a_damaged_photo_is_refused_by_name(suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encode(suffix, noise)

    with pytest.raises(MediaError, match=r"old photo is (damaged|not a photo)"):
        decode_photo(data[: len(data) // 2], name="old photo")


def test_a_photo_that_claims_to_be_huge_is_refused_before_it_is_decoded() -> None:
    png = bytearray(encode(".png", np.zeros((4, 4, 3), np.uint8)))
    png[16:24] = struct.pack(">II", 60_000, 60_000)

    with pytest.raises(MediaError, match=r"height: must be 1 to 8192 pixels, got 60000; scale it down first"):
        decode_photo(bytes(png))


def test_a_missing_photo_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"nowhere\.jpg cannot be read: No such file"):
        read_photo(tmp_path / "nowhere.jpg")


def test_an_unknown_suffix_is_refused_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"one of \.bmp, .* \.webp, not '\.gif'"):
        write_photo(tmp_path / "photo.gif", smooth_photo())


def test_what_is_no_rgb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"rgb: must be \(H, W, 3\) uint8, got \(4, 4\) uint8"):
        write_photo(tmp_path / "photo.png", np.zeros((4, 4), np.uint8))


def test_an_existing_photo_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(b"the old one")

    with pytest.raises(OutputExistsError, match="--force"):
        write_photo(path, smooth_photo())
    assert path.read_bytes() == b"the old one"

    write_photo(path, smooth_photo(), overwrite=True)
    np.testing.assert_array_equal(read_photo(path), smooth_photo())
    assert list(tmp_path.iterdir()) == [path]


def test_a_photo_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".photo.partial.png").mkdir()

    with pytest.raises(MediaError, match=r"photo\.png cannot be written: Is a directory"):
        write_photo(tmp_path / "photo.png", smooth_photo())

    assert not (tmp_path / "photo.png").exists()


def test_photos_are_listed_by_name_with_their_folders(tmp_path: Path) -> None:
    names = ["b.jpg", "a/z.PNG", "a/a.tiff", "c.webp"]
    for name in [*names, "notes.txt", ".hidden.jpg", ".trash/x.jpg", "a/.b.partial.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()

    found = list_photos(tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/a.tiff", "a/z.PNG", "b.jpg", "c.webp"]


def test_only_a_folder_can_be_listed(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is not a folder"):
        list_photos(tmp_path / "nowhere")


def test_a_photo_goes_into_a_new_folder(tmp_path: Path) -> None:
    write_photo(tmp_path / "new" / "deep" / "photo.png", smooth_photo())

    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["photo.png"]


def test_a_png_whose_chunk_is_longer_than_the_file_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bytearray(cv2.imencode(".png", np.zeros((24, 32, 3), np.uint8))[1].tobytes())
    at = whole.index(b"IDAT") - 4
    lying = whole[:at] + b"\x7f\xff\xff\xff" + whole[at + 4 :]
    assert decode_photo(bytes(whole) + b"more").shape == (24, 32, 3)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))

    end = whole.index(b"IEND") - 4
    lying_at_its_end = whole[:end] + b"\x7f\xff\xff\xff" + whole[end + 4 :]
    for data in (bytes(lying), bytes(lying_at_its_end), bytes(whole[:-6])):
        with pytest.raises(MediaError, match="cut short"):
            decode_photo(data)
