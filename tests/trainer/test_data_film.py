"""Film-like degradation of lightness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_trainer.data.film import FilmConfig, degrade, expose, fade, grain, remove_pixels, scratch, spot
from tests.trainer.photos import make_photo

F32 = NDArray[np.float32]

SOUND = FilmConfig(
    contrast=0, exposure=0, fog=0, blur_rate=0, fading_rate=0, grain_rate=0, flicker_rate=0, scratch_rate=0, dust_rate=0
)
"""Film without a defect."""
RUINED = FilmConfig(
    contrast=1, exposure=1, fog=30, blur_rate=1, blur_pixels=4, fading_rate=1, fading=1, grain_rate=1, grain=50,
    flicker_rate=1, flicker=1, scratch_rate=1, dust_rate=1, max_dust=50,
)  # fmt: skip


def even(lightness: float, side: int = 128) -> F32:
    return np.full((side, side), lightness, np.float32)


def lightness_of(seed: int) -> F32:
    return rgb_to_lab(make_photo(seed))[..., 0]


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([FilmConfig(), RUINED]), st.sampled_from([(8, 8), (32, 48), (65, 33)]))
def test_degraded_lightness_stays_lightness(seed: int, config: FilmConfig, size: tuple[int, int]) -> None:
    lightness = rgb_to_lab(make_photo(seed, *size))[..., 0]

    degraded = degrade(lightness, config, np.random.default_rng(seed))

    assert degraded.shape == lightness.shape
    assert degraded.dtype == np.float32
    assert degraded.min() >= 0
    assert degraded.max() <= 100


@pytest.mark.parametrize("seed", range(20))
def test_a_degraded_picture_is_still_that_picture(seed: int) -> None:
    lightness = lightness_of(seed)

    degraded = degrade(lightness, FilmConfig(), np.random.default_rng(seed))

    assert np.corrcoef(degraded.ravel(), lightness.ravel())[0, 1] > 0.7


def test_the_same_random_numbers_give_the_same_bits() -> None:
    one, again = (degrade(lightness_of(1), RUINED, np.random.default_rng(5)) for _ in range(2))

    np.testing.assert_array_equal(one, again)


def test_film_without_a_defect_changes_nothing_and_its_input_is_left_alone() -> None:
    lightness = lightness_of(2)
    before = lightness.copy()

    np.testing.assert_allclose(degrade(lightness, SOUND, np.random.default_rng(0)), lightness, atol=1e-3)
    degrade(lightness, RUINED, np.random.default_rng(0))

    np.testing.assert_array_equal(lightness, before)


@pytest.mark.parametrize("seed", range(10))
def test_exposure_keeps_the_order_of_tones(seed: int) -> None:
    ramp = np.linspace(0, 100, 101, dtype=np.float32)[None]

    exposed = expose(ramp, FilmConfig(), np.random.default_rng(seed))

    assert (np.diff(exposed[0]) >= 0).all()


@pytest.mark.parametrize("seed", range(10))
def test_fading_takes_contrast_away(seed: int) -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * np.float32(100)

    faded = fade(checks.astype(np.float32), 0.5, np.random.default_rng(seed))

    contrast = np.abs(np.diff(faded, axis=1))
    assert contrast.max() <= 100
    assert contrast.min() > 30  # at most half is lost; the surface between the drawn points may overshoot a little


def test_grain_is_strongest_in_mid_tones_and_has_the_stated_strength() -> None:
    config = FilmConfig(grain=4)

    grains = {tone: [grain(even(tone), config, np.random.default_rng(s)).std() for s in range(20)] for tone in (0, 50)}

    assert np.mean(grains[50]) > 2 * np.mean(grains[0])
    assert max(grains[50]) == pytest.approx(4, abs=0.7)


def test_grain_has_a_shape_and_no_preferred_tone() -> None:
    grains = [grain(even(50), FilmConfig(), np.random.default_rng(seed)) for seed in range(20)]

    beside, apart = (
        [np.corrcoef(g[:, :-shift].ravel(), g[:, shift:].ravel())[0, 1] for g in grains] for shift in (1, 12)
    )
    assert np.mean(beside) > 0.2
    assert np.abs(apart).max() < 0.05  # white noise of so many pixels reaches 0.03
    assert max(abs(g.mean()) for g in grains) < 0.2


@pytest.mark.parametrize("seed", range(10))
def test_scratches_are_upright_and_thin(seed: int) -> None:
    changed = np.abs(scratch(even(50), 1, np.random.default_rng(seed)) - 50) > 2

    assert changed.sum(axis=1).max() <= 5  # columns of 128
    assert changed.any(axis=1).mean() >= changed.any(axis=0).mean()


@pytest.mark.parametrize("seed", range(10))
def test_dust_covers_little(seed: int) -> None:
    changed = np.abs(spot(even(50), 12, np.random.default_rng(seed)) - 50) > 2

    assert 0 < changed.mean() < 0.05


def test_flicker_is_one_gain_for_the_whole_frame() -> None:
    config = FilmConfig(
        contrast=0, exposure=0, fog=0, blur_rate=0, fading_rate=0, grain_rate=0, scratch_rate=0, dust_rate=0,
        flicker_rate=1, flicker=0.1,
    )  # fmt: skip
    lightness = lightness_of(3) * np.float32(0.5) + 5

    flickered = degrade(lightness, config, np.random.default_rng(1))

    gain = flickered / lightness
    np.testing.assert_allclose(gain, gain[0, 0], rtol=1e-4)
    assert abs(gain[0, 0] - 1) > 1e-3


def test_removed_pixels_are_black_and_as_many_as_stated() -> None:
    removed = remove_pixels(even(50), 0.2, np.random.default_rng(0))

    assert set(np.unique(removed)) == {0, 50}
    assert (removed == 0).mean() == pytest.approx(0.2, abs=0.015)  # 5 standard deviations of 16,384 draws
    np.testing.assert_array_equal(remove_pixels(even(50), 0, np.random.default_rng(0)), even(50))


@pytest.mark.parametrize("wrong", [{"grain_rate": 1.5}, {"fading": 2.0}, {"grain": -1.0}])
def test_rates_and_strengths_without_a_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be 0"):
        FilmConfig(**wrong)  # type: ignore[arg-type]  # mypy cannot tell which fields the keys are
