"""`kinema compile`: on FakeTensorRt, and with TensorRT-RTX's own builder, which needs no GPU."""

from pathlib import Path

import pytest

from kinema_client.cli import main
from kinema_core.engines import tensorrt
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.plan_cache import PlanCache
from kinema_core.engines.tensorrt import Machine
from kinema_core.errors import NoGpuError
from tests.core.fake_tensorrt import FakeCuda, fake_tensorrt
from tests.core.tiny_models import chain_onnx, tiny_bundle


@pytest.fixture
def model(tmp_path: Path) -> str:
    return str(tiny_bundle(tmp_path / "tiny", chain_onnx(), working_size=64).path)


def test_a_plan_is_built_checked_and_kept(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda = FakeCuda()
    gpu = Gpu("Fake GPU", (9, 0), 80 << 30, (13, 0))
    machine = Machine(fake_tensorrt(cuda), cuda, gpu, PlanCache(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt, "find_machine", lambda _name: machine)

    code = main(["compile", "--model", model, "--precision", "f16", "--report", str(tmp_path / "plan.json")])

    assert code == 0
    assert "f16 for Fake GPU (compute capability 9.0, 80 GiB, driver for CUDA 13.0)" in capsys.readouterr().out
    assert len(list((tmp_path / "cache").glob("*.plan"))) == 1
    assert "Layers" in (tmp_path / "plan.json").read_text()


def test_without_a_gpu_nothing_is_built_for_it(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_none() -> Gpu:
        raise NoGpuError("no NVIDIA driver")

    monkeypatch.setattr(tensorrt, "find_gpu", find_none)

    assert main(["compile", "--model", model]) == 1

    assert capsys.readouterr().err.strip().endswith("kinema: no NVIDIA driver")


def test_whether_a_model_can_be_built_is_seen_without_a_gpu(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is for Linux on x86-64")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    code = main(["compile", "--model", model, "--engine", "tensorrt-rtx", "--check"])

    said = capsys.readouterr().out
    assert code == 0
    assert "can be built for 7.5, 8.0, 8.6, 8.9, 12.0" in said
    assert "nothing was kept" in said
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("options", [["--check"], ["--engine", "tensorrt-rtx", "--check", "--report", "plan.json"]])
def test_what_needs_a_gpu_is_not_checked_without(
    options: list[str], model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "--model", model, *options]) == 1

    assert "check: is for --engine tensorrt-rtx" in capsys.readouterr().err
