"""Training pairs, and which of them a step takes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from torch.utils.data import DataLoader

from kinema_core.color import rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_core.frames import Matrix
from kinema_trainer.data.crops import AffineConfig
from kinema_trainer.data.pairs import (
    DataConfig,
    PairDataset,
    SampleKey,
    StepSampler,
    epoch_order,
    luma_lightness,
    training_pair,
)
from kinema_trainer.data.sources import decode_photo
from tests.trainer.photos import encode_jpeg, make_grey_photo, make_photo

PHOTOS = {f"{seed}.jpg": encode_jpeg(make_photo(seed)) for seed in range(5)}
EVERYTHING = DataConfig(
    affine=AffineConfig(rotation_degrees=10, scale=0.2, shear_degrees=5, translation=0.1), luma_rate=0.5, film_rate=0.5,
    pixel_removal=0.1,
)  # fmt: skip


def dataset(config: DataConfig = EVERYTHING, *, seed: int = 7, output_stride: int = 2) -> PairDataset:
    return PairDataset(PHOTOS, config, seed=seed, output_stride=output_stride)


def test_a_sample_is_the_same_bits_in_any_thread_and_order() -> None:
    keys = [SampleKey(index, 32) for index in range(40)]

    in_order = [dataset()[key] for key in keys]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(dataset().__getitem__, reversed(keys)))[::-1]

    for one, other in zip(in_order, at_once, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_another_number_or_another_seed_is_another_sample() -> None:
    lightness, _ = dataset()[SampleKey(3, 32)]

    assert not torch.equal(lightness, dataset()[SampleKey(8, 32)][0])  # the same photograph, or not
    assert not torch.equal(lightness, dataset(seed=8)[SampleKey(3, 32)][0])


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_sample_has_the_stated_shape_type_and_units(stride: int) -> None:
    lightness, ab = dataset(output_stride=stride)[SampleKey(11, 32)]

    assert lightness.shape == (1, 32, 32)
    assert ab.shape == (2, 32 // stride, 32 // stride)
    assert lightness.dtype == ab.dtype == torch.float32
    assert lightness.min() >= 0
    assert 30 < lightness.max() <= 100
    assert 10 < ab.abs().max() < 128


def test_a_crop_that_the_stride_does_not_divide_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="crop_size: must be a multiple of 4, got 34"):
        dataset(output_stride=4)[SampleKey(0, 34)]


def test_every_epoch_visits_every_photograph_once() -> None:
    assert sorted(epoch_order(1, 0, 50)) == list(range(50))
    assert list(epoch_order(1, 0, 50)) != list(epoch_order(1, 1, 50))


def test_a_whole_picture_is_taken_as_it_is() -> None:
    encoded = encode_jpeg(make_photo(1, 32, 32))
    small = PairDataset({"a": encoded}, DataConfig(whole_pictures=True, flip=False), seed=1, output_stride=1)

    lightness, ab = small[SampleKey(4, 32)]

    lab = rgb_to_lab(decode_photo("a", encoded))
    np.testing.assert_array_equal(lightness[0], lab[..., 0])
    np.testing.assert_array_equal(ab, lab[..., 1:].transpose(2, 0, 1))


def test_ab_is_the_area_mean_of_the_full_size() -> None:
    rgb = make_photo(3)[:64, :64]

    _, ab = training_pair(rgb, DataConfig(), 2, np.random.default_rng(0))

    full = rgb_to_lab(rgb)[..., 1:]
    expected = full.reshape(32, 2, 32, 2, 2).mean(axis=(1, 3)).transpose(2, 0, 1)
    np.testing.assert_allclose(ab, expected, atol=1e-3)


def test_no_degradation_of_lightness_reaches_ab() -> None:
    rgb = make_photo(3)[:64, :64]
    damaged = DataConfig(luma_rate=1, film_rate=1, pixel_removal=1)

    sound_pair, damaged_pair = (
        training_pair(rgb, config, 2, np.random.default_rng(0)) for config in (DataConfig(), damaged)
    )

    assert not np.array_equal(sound_pair[0], damaged_pair[0])
    np.testing.assert_array_equal(sound_pair[1], damaged_pair[1])


@pytest.mark.parametrize("matrix", Matrix)
def test_the_lightness_of_a_grey_picture_is_its_own_whatever_the_matrix(matrix: Matrix) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)

    np.testing.assert_allclose(luma_lightness(grey, matrix), rgb_to_lab(grey)[..., 0], atol=1e-3)


def test_colourful_photographs_are_met_more_often_where_that_is_wanted() -> None:
    photos = {"grey": encode_jpeg(make_grey_photo(1)), "red": encode_jpeg(make_photo(2))}
    config = DataConfig(chroma_sampling=1, whole_pictures=True)
    chosen = PairDataset(photos, config, seed=1, output_stride=1, chroma={"grey": 0.0, "red": 40.0})

    chroma = [chosen[SampleKey(index, 32)][1].norm(dim=0).mean() for index in range(40)]

    assert min(chroma) > 5


def test_chroma_sampling_without_a_known_chroma_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="chroma"):
        dataset(DataConfig(chroma_sampling=0.5))


def test_a_folder_is_met_as_often_as_its_rate_says() -> None:
    photos = {"grey/1.jpg": encode_jpeg(make_grey_photo(1)), "red/2.jpg": encode_jpeg(make_photo(2))}
    config = DataConfig(source_rates={"red": 4.0}, whole_pictures=True)
    chosen = PairDataset(photos, config, seed=1, output_stride=1)

    num_red = sum(chosen[SampleKey(index, 32)][1].norm(dim=0).mean() > 5 for index in range(500))

    # Each gets half of an epoch; three quarters of the grey half give way, to either one alike, again and again.
    assert num_red / 500 == pytest.approx(0.5 + 0.5 * 0.6, abs=0.05)


def test_the_rate_of_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="no photographs in elsewhere; there are"):
        dataset(DataConfig(source_rates={"elsewhere": 2.0}))


def test_no_photographs_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="none to train on"):
        PairDataset({}, DataConfig(), seed=1, output_stride=1)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.integers(0, 6))
def test_the_ranks_share_out_just_the_batches_of_one_process(share: int, ranks: int, first: int, more: int) -> None:
    def keys(rank: int, world_size: int) -> list[list[SampleKey]]:
        sampler = StepSampler(
            lambda step: 32 + step, first_step=first, last_step=first + more, batch_size=share * ranks, rank=rank,
            world_size=world_size,
        )  # fmt: skip
        return list(sampler)

    by_step = zip(*(keys(rank, ranks) for rank in range(ranks)), strict=True)
    together = [[key for part in parts for key in part] for parts in by_step]

    assert together == keys(0, 1)


def test_a_resumed_sampler_goes_on_where_the_first_one_stopped() -> None:
    def sampler(first_step: int) -> StepSampler:
        return StepSampler(lambda step: 32 * (1 + step // 3), first_step=first_step, last_step=6, batch_size=4)

    assert list(sampler(0))[2:] == list(sampler(2))
    assert len(sampler(2)) == 4
    counts = Counter(key.index for batch in sampler(0) for key in batch)
    assert counts == Counter(range(24))


def test_a_batch_that_the_ranks_cannot_share_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="batch_size: must be a multiple of the number of processes, 2, got 5"):
        StepSampler(lambda _: 32, first_step=0, last_step=1, batch_size=5, world_size=2)


def test_a_loader_gives_the_steps_as_batches_of_their_sizes() -> None:
    sampler = StepSampler(lambda step: 32 if step < 2 else 64, first_step=1, last_step=3, batch_size=3)

    batches = list(DataLoader(dataset(), batch_sampler=sampler))

    assert [lightness.shape for lightness, _ in batches] == [(3, 1, 32, 32), (3, 1, 64, 64)]
    assert [ab.shape for _, ab in batches] == [(3, 2, 16, 16), (3, 2, 32, 32)]
    assert torch.equal(batches[0][1][2], dataset()[SampleKey(5, 32)][1])


def test_a_config_survives_json() -> None:
    adapter = TypeAdapter(DataConfig)

    assert adapter.validate_json(adapter.dump_json(EVERYTHING)) == EVERYTHING


@pytest.mark.parametrize(
    "wrong",
    [{"min_crop": 0.0}, {"max_crop": 0.2}, {"film_rate": 2.0}, {"min_chroma": -1.0}, {"source_rates": {"a": 0.0}}],
)
def test_a_config_without_a_meaning_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DataConfig(**wrong)
