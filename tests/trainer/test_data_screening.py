"""What is left out of training: damaged, grey, and held-out pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_trainer.data.crops import scale_square
from kinema_trainer.data.overlap import SharedPicture, difference_hashes, shared_pictures, thumbnail
from kinema_trainer.data.screening import mean_chroma, screen
from kinema_trainer.data.sources import decode_photo
from kinema_trainer.data.training_set import read_training_set
from tests.trainer.photos import encode_jpeg, make_grey_photo, make_photo, write_photos, write_tar

Rgb = NDArray[np.uint8]


def reencoded(rgb: Rgb) -> Rgb:
    return decode_photo("", encode_jpeg(rgb, quality=30))


def enlarged(rgb: Rgb) -> Rgb:
    return scale_square(np.ascontiguousarray(rgb[:96, :96]), 150)


def mirrored(rgb: Rgb) -> Rgb:
    return reencoded(np.ascontiguousarray(rgb[:, ::-1]))


@pytest.mark.parametrize("copy", [reencoded, mirrored])
@pytest.mark.parametrize("seed", range(0, 10, 3))
def test_a_copy_of_a_held_out_picture_is_found_among_others(copy: Callable[[Rgb], Rgb], seed: int) -> None:
    training = {str(i): thumbnail(make_photo(100 + i)) for i in range(20)} | {"copy": thumbnail(copy(make_photo(seed)))}
    validation = {f"val/{i}": thumbnail(make_photo(i)) for i in range(10)}

    shared = shared_pictures(training, validation)

    assert shared == [SharedPicture("copy", f"val/{seed}")]


def test_a_copy_of_another_size_is_found() -> None:
    square = make_photo(3)[:96, :96]

    shared = shared_pictures({"large": thumbnail(enlarged(square))}, {"small": thumbnail(square)})

    assert shared == [SharedPicture("large", "small")]


def test_pictures_of_little_content_are_not_taken_for_one_another() -> None:
    """Even pictures have the same hash; their colour tells them apart."""
    red, blue = (np.full((32, 32, 3), colour, np.uint8) for colour in ((200, 30, 30), (30, 30, 200)))

    assert difference_hashes(thumbnail(red)[None]) == difference_hashes(thumbnail(blue)[None])
    assert shared_pictures({"red": thumbnail(red)}, {"blue": thumbnail(blue)}) == []


def test_each_bit_of_the_hash_says_whether_a_pixel_is_lighter_than_its_left_neighbour() -> None:
    lighter_to_the_right = np.repeat(np.arange(0, 252, 28, dtype=np.uint8)[None, :, None], 8, axis=0).repeat(3, axis=2)
    one_darker = lighter_to_the_right.copy()
    one_darker[4, 8] = 0

    hashes = difference_hashes(np.stack((lighter_to_the_right, lighter_to_the_right[:, ::-1], one_darker)))

    assert np.bitwise_count(hashes).tolist() == [64, 0, 63]


def test_nothing_is_shared_where_nothing_is_held_out() -> None:
    assert shared_pictures({"a": thumbnail(make_photo(1))}, {}) == []


@given(st.integers(0, 1000), st.sampled_from([(20, 30), (64, 64), (100, 70)]))
def test_the_mean_chroma_is_that_of_lab(seed: int, size: tuple[int, int]) -> None:
    photo = make_photo(seed, *size)

    measured = mean_chroma(photo)

    ab = rgb_to_lab(photo)[..., 1:]
    assert measured == pytest.approx(np.hypot(ab[..., 0], ab[..., 1]).mean(), rel=0.03)  # the copy is a little smoother


def test_grey_and_damaged_photographs_are_dropped_and_named() -> None:
    photos = {
        "red.jpg": encode_jpeg(make_photo(1)),
        "grey.jpg": encode_jpeg(make_grey_photo(1)),
        "broken.jpg": b"not a picture",
        "cut.jpg": encode_jpeg(make_photo(2))[:400],
    }

    screening = screen(photos, min_chroma=3)

    assert list(screening.chroma) == ["red.jpg"]
    assert screening.num_kept == 1
    assert screening.grey == ("grey.jpg",)
    assert screening.corrupt == ("broken.jpg", "cut.jpg")


def test_grey_photographs_stay_where_nobody_asks_to_drop_them() -> None:
    screening = screen({"grey.jpg": encode_jpeg(make_grey_photo(1))})

    assert screening.chroma["grey.jpg"] == pytest.approx(0, abs=0.01)
    assert screening.grey == ()


def test_a_training_set_holds_no_picture_that_is_held_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grey = encode_jpeg(make_grey_photo(9))
    copy = encode_jpeg(np.ascontiguousarray(make_photo(5)[:, ::-1]), quality=60)
    training = {f"{seed}.jpg": encode_jpeg(make_photo(seed)) for seed in range(3)}
    write_tar(tmp_path / "train-0.tar", training | {"copy.jpg": copy, "broken.jpg": b"", "grey.jpg": grey})
    write_tar(tmp_path / "val-0.tar", {"held.jpg": encode_jpeg(make_photo(5)), "hurt.jpg": b""})

    found = read_training_set(tmp_path, min_chroma=3)

    assert found.photos == training
    assert list(found.chroma) == list(training)
    assert list(found.validation) == ["held.jpg"]
    assert found.shared == (SharedPicture("copy.jpg", "held.jpg"),)
    assert found.corrupt == ("broken.jpg", "hurt.jpg")
    assert found.grey == ("grey.jpg",)
    assert {"photos_shared", "photos_corrupt", "photos_grey"} == set(caplog.messages)
    assert "left out, held out as well: 1 (copy.jpg = held.jpg)" in found.describe()


def test_a_long_list_is_cut_and_counted(tmp_path: Path) -> None:
    write_photos(tmp_path, 1)
    for i in range(12):
        (tmp_path / f"broken{i:02d}.jpg").write_bytes(b"")

    description = read_training_set(tmp_path).describe()

    assert "left out, damaged: 12 (broken00.jpg" in description
    assert description.endswith("broken09.jpg and 2 more)")


def test_a_set_of_which_nothing_is_left_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"")

    with pytest.raises(InvalidInputError, match=r"damaged: 1 \(broken\.jpg\)"):
        read_training_set(tmp_path)
