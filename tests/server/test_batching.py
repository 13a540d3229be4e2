"""Who else is served at the same time is not seen in anybody's colours."""

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.bundle import load_bundle
from kinema_core.engines.select import open_engine
from kinema_server.batching import BatchPlan, measure, measured_plan
from tests.fakes import FAKE_MANIFEST, FakeEngine


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_real_engines_give_a_picture_the_same_bits_alone_and_in_a_batch(name: str) -> None:
    pictures = np.random.default_rng(0).uniform(0, 100, (5, 1, 64, 96)).astype(np.float32)
    engine = open_engine(load_bundle(None), name, num_threads=1).engine

    try:
        alone = [engine.infer(picture[None])[0] for picture in pictures]
        together = {size: engine.infer(pictures[:size]) for size in (2, 3, 5)}
    finally:
        engine.close()

    for size, batch in together.items():
        for picture, expected in zip(batch, alone[:size], strict=True):
            np.testing.assert_array_equal(picture, expected)


class CarelessEngine(FakeEngine):
    """Rounds otherwise in a batch of four or more."""

    def infer(self, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
        ab = super().infer(lightness)
        return np.nextafter(ab, np.float32(np.inf)) if len(lightness) >= 4 else ab


def test_batches_that_would_change_bits_are_not_made(caplog: pytest.LogCaptureFixture) -> None:
    engine = CarelessEngine()
    engine.delay_seconds = 0.02

    assert list(measure(engine, FAKE_MANIFEST)) == [1, 2]
    assert measured_plan(engine, FAKE_MANIFEST).max_size == 2
    assert "batches_change_bits" in caplog.text


def test_an_engine_that_gains_nothing_keeps_one_picture_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Serial(FakeEngine):
        def infer(self, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
            self.delay_seconds = 0.02 * len(lightness) ** 2  # far from the limit: machines are busy
            return super().infer(lightness)

    caplog.set_level(logging.INFO)
    assert measured_plan(Serial(), FAKE_MANIFEST) == BatchPlan()
    (told,) = [record for record in caplog.records if record.message == "batching_chosen"]
    assert "save no time" in told.reason  # type: ignore[attr-defined]  # a field of the log
