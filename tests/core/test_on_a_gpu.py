"""The engines on a real GPU; skipped where there is none."""

import numpy as np
import pytest

from kinema_core.bundle import load_bundle
from kinema_core.engines.engine import Precision
from kinema_core.engines.select import GPU_ENGINES, open_engine
from kinema_core.engines.self_test import max_delta_e, mean_delta_e
from kinema_core.errors import EngineUnavailableError
from tests.core.test_parity import SIZES, picture


@pytest.mark.gpu
@pytest.mark.parametrize("name", list(GPU_ENGINES))
@pytest.mark.parametrize("precision", ["f32", "f16", "bf16", "int8"])
def test_an_engine_on_a_gpu_colours_as_the_cpu_does(name: str, precision: Precision) -> None:
    bundle = load_bundle()
    reference = open_engine(bundle, "onnxruntime").engine
    try:
        engine = open_engine(bundle, name, precision=precision).engine
    except EngineUnavailableError as err:
        pytest.skip(str(err))

    assert engine.precision == precision
    for height, width in SIZES:
        pictures = np.concatenate([picture(height, width, seed) for seed in range(5)])
        together = engine.infer(pictures)
        alone = np.concatenate([engine.infer(one[None]) for one in pictures])
        np.testing.assert_array_equal(together, alone)
        assert mean_delta_e(pictures, together, reference.infer(pictures)) < max_delta_e(precision)
    engine.close()


@pytest.mark.gpu
def test_some_engine_on_a_gpu_runs() -> None:
    choice = open_engine(load_bundle())

    assert choice.engine.device == "cuda", choice.reason
    choice.engine.close()
