"""Training data."""

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_core.frames import Matrix
from kinema_trainer.data import (
    TrainingPhotos,
    degrade,
    epoch_order,
    luma_lightness,
    random_crop,
    read_shards,
    square_photo,
    training_pair,
)
from tests.trainer.photos import encode_jpeg, make_photo, write_photos


def test_a_batch_is_the_same_bits_each_time_and_another_at_another_step(tmp_path: Path) -> None:
    photos = TrainingPhotos(write_photos(tmp_path, 5), seed=7)

    first, again, other = (photos.batch(step, batch_size=3, crop_size=64) for step in (4, 4, 5))

    np.testing.assert_array_equal(first.lightness, again.lightness)
    np.testing.assert_array_equal(first.ab, again.ab)
    assert not np.array_equal(first.lightness, other.lightness)


def test_batches_made_ahead_are_the_batches_of_their_steps(tmp_path: Path) -> None:
    photos = TrainingPhotos(write_photos(tmp_path, 5), seed=7)

    ahead = list(photos.batches(range(3, 12), batch_size=2, crop_size=64))

    assert len(ahead) == 9
    for step, batch in zip(range(3, 12), ahead, strict=True):
        np.testing.assert_array_equal(batch.ab, photos.batch(step, batch_size=2, crop_size=64).ab)


def test_an_epoch_visits_every_photograph_once() -> None:
    assert sorted(epoch_order(1, 0, 50)) == list(range(50))
    assert list(epoch_order(1, 0, 50)) != list(epoch_order(1, 1, 50))


def test_validation_shards_are_never_trained_on(tmp_path: Path) -> None:
    for shard, name in (("train-00000.tar", "seen"), ("val-00000.tar", "held_out")):
        with tarfile.open(tmp_path / shard, "w") as archive:
            encoded = encode_jpeg(make_photo(1))
            member = tarfile.TarInfo(f"{name}.jpg")
            member.size = len(encoded)
            archive.addfile(member, io.BytesIO(encoded))

    assert TrainingPhotos(tmp_path, seed=1).names == ["seen.jpg"]


def test_a_corrupt_photograph_is_named_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_photos(tmp_path, 2)
    (folder / "broken.jpg").write_bytes(b"not a picture")
    photos = TrainingPhotos(folder, seed=7)

    batch = photos.batch(0, batch_size=3, crop_size=64)

    assert batch.ab.shape == (3, 2, 32, 32)
    assert photos.corrupt == {"broken.jpg"}
    assert "photo_skipped" in caplog.text


def test_a_folder_without_photographs_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="photographs: there are none under"):
        read_shards(tmp_path)


def test_ab_is_the_area_mean_of_the_full_size() -> None:
    rgb = make_photo(3)[:64, :64]

    _, ab = training_pair(rgb, np.random.default_rng(0))

    full = rgb_to_lab(rgb)[..., 1:]
    expected = full.reshape(32, 2, 32, 2, 2).mean(axis=(1, 3)).transpose(2, 0, 1)
    np.testing.assert_allclose(ab, expected, atol=1e-3)


def test_lightness_and_ab_are_cut_from_the_same_place() -> None:
    """In a picture whose ab follows its lightness, they still do after every augmentation of place."""
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    rgb = np.zeros((150, 200, 3), np.uint8)
    rgb[..., 0] = ramp  # the more light, the more red

    for seed in range(8):
        crop = random_crop(rgb, 64, np.random.default_rng(seed))
        lab = rgb_to_lab(crop)
        assert np.corrcoef(lab[..., 0].ravel(), lab[..., 1].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("seed", range(20))
def test_degraded_lightness_stays_lightness(seed: int) -> None:
    lightness = rgb_to_lab(make_photo(seed))[..., 0].astype(np.float32)

    degraded = degrade(lightness, np.random.default_rng(seed))

    assert degraded.shape == lightness.shape
    assert degraded.dtype == np.float32
    assert degraded.min() >= 0
    assert degraded.max() <= 100
    assert np.corrcoef(degraded.ravel(), lightness.ravel())[0, 1] > 0.7


@pytest.mark.parametrize("matrix", Matrix)
def test_the_lightness_of_a_grey_picture_is_its_own_whatever_the_matrix(matrix: Matrix) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)

    np.testing.assert_allclose(luma_lightness(grey, matrix), rgb_to_lab(grey)[..., 0], atol=1e-3)


def test_a_square_is_cut_from_the_middle() -> None:
    wide: NDArray[np.uint8] = np.zeros((50, 150, 3), np.uint8)
    wide[:, 50:100] = 200

    assert (square_photo(wide, 32) == 200).all()
    assert cv2.mean(square_photo(wide, 64))[0] == pytest.approx(200, abs=1)
