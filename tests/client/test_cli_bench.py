import json
from pathlib import Path

import numpy as np
import pytest

from kinema_client.cli import main
from kinema_client.commands.bench import measure
from kinema_client.commands.stage_times import synthetic_film, time_engine, time_stages
from kinema_core.bundle import Bundle
from kinema_core.engines import tensorrt
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.errors import EngineUnavailableError, NoGpuError
from kinema_core.frames import ColorTags
from tests.core.tiny_models import tiny_bundle
from tests.fakes import FAKE_MANIFEST, FakeEngine
from tests.tensors import TensorEngine

MODELS = ["model: openvino f32", "model: onnxruntime f32", "model: torch f32", "model: torch bf16"]
STAGES = ["prepare", *MODELS, "finish", "compose", "encode"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


def test_every_stage_is_timed_at_every_size_in_the_order_of_a_frames_way(bundle: Bundle) -> None:
    milliseconds, lacks = measure(bundle, sizes=[(48, 64), (32, 96)], num_frames=5)

    stages = [stage for stage in milliseconds if stage != "model: openvino bf16"]  # not every CPU has it
    assert stages == STAGES
    assert all(list(row) == ["64x48", "96x32"] for row in milliseconds.values())
    assert all(value > 0 for row in milliseconds.values() for value in row.values())
    assert any("onnxruntime bf16" in lack for lack in lacks)
    assert len(lacks) == len({lack.partition(": ")[2] for lack in lacks})  # each reason is told once


def test_one_engine_alone_can_be_measured(bundle: Bundle) -> None:
    milliseconds, _ = measure(bundle, "onnxruntime", sizes=[(32, 32)], num_frames=5)

    assert [stage for stage in milliseconds if stage.startswith("model")] == ["model: onnxruntime f32"]


def test_an_engine_that_does_not_run_here_cannot_be_measured(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_none() -> Gpu:
        raise NoGpuError("no driver")

    monkeypatch.setattr(tensorrt, "find_gpu", find_none)

    with pytest.raises(EngineUnavailableError, match="tensorrt f32, tensorrt f16, tensorrt bf16: no driver"):
        measure(bundle, "tensorrt", sizes=[(32, 32)], num_frames=5)


@pytest.mark.slow
def test_the_numbers_are_shown_and_written(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["bench", "--model", str(bundle.path), "--json", str(tmp_path / "bench.json")])

    said = capsys.readouterr().out
    report = json.loads((tmp_path / "bench.json").read_text())
    assert code == 0
    assert report["digest"] == bundle.digest
    assert all(stage in said for stage in STAGES)
    assert f"{report['milliseconds']['encode']['1280x720']:.1f}" in said


def test_frames_are_timed_where_the_engine_keeps_them() -> None:
    engine, film = TensorEngine(), synthetic_film(96, 128, 6)

    times = time_stages(film, FAKE_MANIFEST, engine)
    milliseconds = time_engine(film, FAKE_MANIFEST, engine)

    assert engine.num_on_device == [1] * 12
    assert min(times.prepare, times.finish, times.compose, milliseconds) > 0


def test_a_stage_is_timed_by_the_clock_that_is_given() -> None:
    ticks = iter(range(10_000))

    times = time_stages(synthetic_film(16, 24, 6), FAKE_MANIFEST, FakeEngine(), clock=lambda: float(next(ticks)))

    # One tick from the beginning of a frame to its end; all frames in one go where the encoder looks ahead.
    assert (times.prepare, times.finish, times.compose) == (1000, 1000, 1000)
    assert times.encode == pytest.approx(1000 / 6)


def test_the_synthetic_film_is_legal_moves_and_is_the_same_each_time() -> None:
    film, again = synthetic_film(24, 32, 4), synthetic_film(24, 32, 4)

    assert all(np.array_equal(one.luma, other.luma) for one, other in zip(film, again, strict=True))
    assert not np.array_equal(film[0].luma, film[1].luma)
    assert film[0].tags == ColorTags()
    assert film[0].luma.min() >= 16
    assert film[0].luma.max() <= 235
