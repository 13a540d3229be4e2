"""The engines and the way of frames on a real GPU; skipped where there is none."""

from typing import Any

import numpy as np
import pytest

from kinema_core.bundle import load_bundle
from kinema_core.engines.engine import Precision
from kinema_core.engines.select import GPU_ENGINES, open_engine
from kinema_core.engines.self_test import max_delta_e, mean_delta_e
from kinema_core.errors import EngineUnavailableError
from kinema_core.frame_way import HOST, way_for
from kinema_core.frames import ColorTags
from kinema_core.pipeline import Colorizer, colorize_frames
from tests.core.test_parity import SIZES, picture
from tests.tensors import moving_film


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


@pytest.mark.parametrize("name", ["torch", *(pytest.param(name, marks=pytest.mark.gpu) for name in GPU_ENGINES)])
def test_frames_that_stay_there_get_the_colours_of_the_cpus_way_in_any_company(name: str) -> None:
    bundle = load_bundle()
    try:
        engine: Any = open_engine(bundle, name).engine
    except EngineUnavailableError as err:
        pytest.skip(str(err))
    if name == "torch":  # in a GPU's place, so that this test is known to work
        engine.takes_tensors = True
    assert engine.takes_tensors
    way, film = way_for(engine), list(moving_film(6, 360, 640))
    on_device, on_host = (
        Colorizer(bundle.manifest, height=360, width=640, tags=ColorTags(), way=each) for each in (way, HOST)
    )

    frames, expected = (list(colorize_frames(film, colorizer, engine)) for colorizer in (on_device, on_host))
    pictures = [on_device.picture(on_device.prepare(frame)) for frame in film[:3]]
    together = way.infer(engine, pictures)
    alone = [way.infer(engine, [picture])[0] for picture in pictures]

    for frame, host_frame in zip(frames, expected, strict=True):
        difference = np.abs(np.stack([frame.cb, frame.cr]) - np.stack([host_frame.cb, host_frame.cr]).astype(int))
        assert np.percentile(difference, 99.9) <= 1  # docs/gpu-frames.md says what differs
    for ab, own in zip(together, alone, strict=True):
        np.testing.assert_array_equal(ab.cpu().numpy(), own.cpu().numpy())
    engine.close()


@pytest.mark.gpu
def test_some_engine_on_a_gpu_runs() -> None:
    choice = open_engine(load_bundle())

    assert choice.engine.device == "cuda", choice.reason
    choice.engine.close()
