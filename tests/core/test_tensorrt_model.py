"""How a plan is run, on FakeCuda and FakeTensorRt: no GPU has part in any of this."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kinema_core.engines.tensorrt_model import MAX_PREPARED, TensorRtModel
from kinema_core.engines.tensorrt_plan import Profile, build_plan
from kinema_core.errors import EngineError
from tests.core.fake_tensorrt import FakeCuda, fake_tensorrt
from tests.core.tiny_models import convolution_onnx, convolve

F32 = NDArray[np.float32]

PROFILES = (Profile(4, 128, 2, 64), Profile(1, 256, 1, 256))
TOLERANCE = 2e-5  # as in test_engines.py

sides = st.integers(1, 4).map(lambda n: 32 * n)


def open_model(cuda: FakeCuda, profiles: tuple[Profile, ...] = PROFILES) -> TensorRtModel:
    runtime = fake_tensorrt(cuda)
    plan = build_plan(runtime, convolution_onnx(), profiles, size_multiple=32).plan
    engine = runtime.module.Runtime(runtime.logger).deserialize_cuda_engine(plan)
    return TensorRtModel(runtime, engine, cuda, profiles, output_stride=2)


def random_lightness(seed: int, batch: int = 1, height: int = 64, width: int = 96) -> F32:
    return np.random.default_rng(seed).uniform(0, 100, (batch, 1, height, width)).astype(np.float32)


def check(model: TensorRtModel, lightness: F32) -> None:
    np.testing.assert_allclose(model.run(lightness), convolve(lightness), rtol=0, atol=TOLERANCE)


@given(calls=st.lists(st.tuples(st.integers(1, 11), sides, sides), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_every_call_gets_its_own_result_whatever_sizes_came_before(calls: list[tuple[int, int, int]]) -> None:
    cuda = FakeCuda()
    model = open_model(cuda)

    for seed, (batch, height, width) in enumerate(calls):
        check(model, random_lightness(seed, batch, height, width))

    model.close()
    assert cuda.is_empty


def test_a_size_that_comes_again_runs_as_a_graph() -> None:
    cuda = FakeCuda()
    model = open_model(cuda)

    for seed in range(4):
        check(model, random_lightness(seed))

    assert cuda.num_launches == 3  # the first run is TensorRT's own


def test_where_a_graph_cannot_be_captured_kernels_run_by_themselves(caplog: pytest.LogCaptureFixture) -> None:
    cuda = FakeCuda()
    cuda.captures_fail = True
    model = open_model(cuda)

    for seed in range(3):
        check(model, random_lightness(seed))

    assert cuda.num_launches == 0
    assert [record.getMessage() for record in caplog.records] == ["cuda_graph_not_used"]


def test_graphs_are_captured_anew_when_a_larger_call_moved_the_buffers() -> None:
    cuda = FakeCuda()
    model = open_model(cuda)
    model._runtime.module.scratch_bytes = lambda _shape: 1 << 20  # that stays where it is
    for seed in range(3):
        check(model, random_lightness(seed))

    check(model, random_lightness(3, batch=9, height=128, width=128))

    for seed in range(4, 8):
        check(model, random_lightness(seed))


def test_contexts_are_kept_for_a_few_sizes_only() -> None:
    cuda = FakeCuda()
    model = open_model(cuda)
    shapes = [(batch, height, 32 * batch) for batch in (1, 2, 4) for height in range(32, 129, 16)]

    for seed, shape in enumerate([*shapes, *shapes]):
        check(model, random_lightness(seed, *shape))

    assert len(model._prepared) == MAX_PREPARED < len(shapes)


def test_a_picture_too_large_for_one_profile_runs_in_the_next_one_at_a_time() -> None:
    cuda = FakeCuda()
    model = open_model(cuda)

    check(model, random_lightness(0, batch=3, height=64, width=256))

    assert {shape: p.context.profile for shape, p in model._prepared.items()} == {(1, 1, 64, 256): 1}


def test_a_picture_too_large_for_every_profile_is_refused() -> None:
    model = open_model(FakeCuda())

    with pytest.raises(EngineError, match="up to 256 a side, got 64x288"):
        model.run(random_lightness(0, height=64, width=288))


def test_with_a_limit_no_more_pictures_run_together() -> None:
    model = open_model(FakeCuda())
    model.batch_limit = 1

    check(model, random_lightness(0, batch=5))

    assert list(model._prepared) == [(1, 1, 64, 96)]


def test_copies_of_one_part_wait_in_their_own_streams_while_another_is_computed() -> None:
    cuda = FakeCuda()
    model = open_model(cuda)
    pending: list[int] = []
    collect = model._collect

    def watched(slot_number: int, ab: F32) -> None:
        pending.append(sum(slot.part is not None for slot in model._slots))
        collect(slot_number, ab)

    model._collect = watched  # type: ignore[method-assign]  # to look on

    check(model, random_lightness(0, batch=16))

    assert max(pending) == 2  # both slots were under way at a time


@pytest.mark.parametrize("max_bytes", [10_000, 60_000, 120_000])
def test_when_the_gpu_has_no_memory_left_the_error_says_so_and_smaller_pictures_still_run(max_bytes: int) -> None:
    cuda = FakeCuda(max_bytes)
    model = open_model(cuda)
    small = random_lightness(0, height=32, width=32)
    check(model, small) if max_bytes > 20_000 else None

    with pytest.raises(EngineError, match="no memory"):
        model.run(random_lightness(1, batch=4, height=128, width=128))

    if max_bytes > 20_000:
        check(model, small)
    model.close()
    assert cuda.is_empty


@pytest.mark.parametrize(
    "spoil",
    [
        lambda context: setattr(context, "execute_async_v3", lambda stream_handle: False),  # noqa: ARG005
        lambda context: setattr(context, "set_tensor_address", lambda *_: False),
    ],
    ids=["execution", "addresses"],
)
def test_what_tensorrt_refuses_is_an_error_with_its_own_words(spoil: Callable[[object], None]) -> None:
    cuda = FakeCuda()
    model = open_model(cuda)
    model.run(random_lightness(0))
    (prepared,) = model._prepared.values()
    spoil(prepared.context)
    prepared.graphs.clear()
    model._uses_graphs = False
    model._runtime.logger.complaints.append("Cask: no kernel image")

    with pytest.raises(EngineError, match="Cask: no kernel image"):
        model.run(random_lightness(1))


def test_after_a_failed_call_the_next_one_gets_its_own_result() -> None:
    cuda = FakeCuda()
    model = open_model(cuda)
    trt = model._runtime.module
    original = trt.distort

    def fail_once(_ab: F32, _precision: str) -> F32:
        trt.distort = original
        raise EngineError("CUDA failed: an illegal address")

    trt.distort = fail_once

    with pytest.raises(EngineError, match="illegal address"):
        model.run(random_lightness(0, batch=9))

    check(model, random_lightness(1, batch=9, height=128, width=128))


def test_a_result_belongs_to_its_caller() -> None:
    model = open_model(FakeCuda())
    lightness = random_lightness(0)
    first = model.run(lightness)
    before = first.copy()

    model.run(random_lightness(1))

    np.testing.assert_array_equal(first, before)
