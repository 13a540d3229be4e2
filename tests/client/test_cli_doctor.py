import importlib.metadata
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from kinema_client.cli import main
from kinema_client.commands.findings import check_engines, check_gpu, check_packages, check_system
from kinema_core.bundle import Bundle
from kinema_core.engines import cuda_driver, onnxruntime_cuda, tensorrt, torch
from kinema_core.engines import tensors as tensors_module
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.tensors import Tensors
from kinema_core.errors import NoGpuError
from tests.core.tiny_models import tiny_bundle


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny")


def test_a_machine_that_can_colorize_is_told_so(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--model", str(bundle.path)])

    said = capsys.readouterr().out
    assert code == 0
    assert "works: tiny 1.0" in said
    for subject in ("Python", "CPU", "GPU", "numpy 2", "h264, hevc, av1, ffv1, prores", bundle.digest[:12], "openvino"):
        assert subject in said
    assert "\x1b" not in said


def test_an_altered_model_is_named_and_fails(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(bundle.path, altered)
    with (altered / "model.onnx").open("ab") as file:
        file.write(b"more")

    code = main(["doctor", "--model", str(altered)])

    said = capsys.readouterr().out
    assert code == 1
    assert "model.onnx" in said
    assert "→ take another bundle" in said


def test_a_package_that_does_not_load_comes_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # makes its import fail

    lacks = [finding for finding in check_packages() if not finding.is_fine]

    assert [finding.subject for finding in lacks] == ["av"]
    assert lacks[0].advice.startswith("pip install --force-reinstall 'av>=")


def test_one_engine_is_enough(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)

    code = main(["doctor", "--model", str(bundle.path)])

    said = capsys.readouterr().out
    assert code == 0
    assert "pip install --force-reinstall openvino" in said
    assert "works: tiny 1.0 on onnxruntime f32" in said


def test_torch_is_an_extra_and_not_missed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)

    findings = {finding.subject: finding for finding in check_engines(bundle.path)}

    assert findings["engine torch"].is_fine
    assert "torch does not load" in findings["engine torch"].detail


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512_vnni amx_bf16", "has AVX2, has bf16, has VNNI"),
        ("fpu avx2 avx_vnni", "has AVX2, has VNNI, no bf16"),
        ("fpu", "no AVX2, no bf16, no VNNI"),
    ],
)
def test_cpu_features_are_told_from_the_flags(flags: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: avx512_bf16\n")

    findings = {finding.subject: finding.detail for finding in check_system(tmp_path / "cpuinfo")}

    assert findings["CPU"] == expected


def test_a_system_without_cpuinfo_is_no_lack(tmp_path: Path) -> None:
    assert all(finding.is_fine for finding in check_system(tmp_path / "none"))


def find_none() -> Gpu:
    raise NoGpuError("no NVIDIA driver (libcuda.so.1 is not there)")


def find_one() -> Gpu:
    return Gpu("Fake GPU", (8, 9), 24 << 30, (13, 0))


def pretend(monkeypatch: pytest.MonkeyPatch, find: Callable[[], Gpu]) -> None:
    for module in (cuda_driver, tensorrt, onnxruntime_cuda, torch):
        monkeypatch.setattr(module, "find_gpu", find)


@pytest.mark.parametrize(
    ("vendor", "kind", "is_fine"),
    [("0x10de", "0x030200", False), ("0x10de", "0x040300", True), ("0x8086", "0x030000", True)],
    ids=["NVIDIA's GPU", "NVIDIA's sound", "another's GPU"],
)
def test_a_gpu_that_lies_idle_for_want_of_a_driver_is_a_lack(
    vendor: str, kind: str, is_fine: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, find_none)
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text(vendor + "\n")
    (device / "class").write_text(kind + "\n")

    (finding,) = check_gpu(tmp_path)

    assert finding.is_fine == is_fine
    assert "no NVIDIA driver" in finding.detail
    assert ("apt-get install nvidia-driver" in finding.advice) == (not is_fine)


def test_without_a_gpu_none_of_its_engines_is_missed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, find_none)

    findings = {finding.subject: finding for finding in check_engines(bundle.path)}

    assert findings["engines for a GPU"].is_fine
    assert "tensorrt, tensorrt-rtx, onnxruntime-cuda, torch-cuda" in findings["engines for a GPU"].detail
    assert findings["engine openvino"].is_fine


def test_with_a_gpu_each_lack_comes_with_the_command_that_mends_it(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, find_one)
    for package in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, package, None)

    findings = {finding.subject: finding for finding in check_engines(bundle.path)}

    assert (*check_gpu(),)[0].detail.startswith("Fake GPU (compute capability 8.9, 24 GiB")
    advice = {name: findings[f"engine {name}"].advice for name in ("tensorrt-rtx", "onnxruntime-cuda")}
    assert not findings["engine tensorrt-rtx"].is_fine
    assert advice == {
        "tensorrt-rtx": "pip install 'kinema[tensorrt-rtx]'",
        "onnxruntime-cuda": "pip uninstall --yes onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'",
    }
    assert findings["engine openvino"].is_fine


@pytest.mark.parametrize(
    ("tensors", "told"),
    [(None, "only the model runs there; pip install 'kinema[torch]'"), (Tensors("cuda", lambda: 0), "luma to chroma")],
)
def test_where_an_engine_runs_on_a_gpu_it_is_told_whether_frames_stay_there(
    tensors: Tensors | None, told: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, find_one)
    monkeypatch.setattr(onnxruntime_cuda, "_PROVIDER", "CPUExecutionProvider")
    monkeypatch.setattr(onnxruntime_cuda, "_PROVIDER_OPTIONS", {})
    monkeypatch.setattr(tensors_module, "find_tensors", lambda: tensors)

    findings = {finding.subject: finding for finding in check_engines(bundle.path)}

    assert findings["frames on the GPU"].is_fine
    assert told in findings["frames on the GPU"].detail


def test_onnxruntime_for_a_gpu_takes_the_place_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    version, distributions = importlib.metadata.version, importlib.metadata.distributions

    def version_of(name: str) -> str:
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.31.1" if name == "onnxruntime-gpu" else version(name)

    def find(**wanted: str) -> Iterable[importlib.metadata.Distribution]:
        return distributions(name="numpy" if wanted.get("name") == "onnxruntime-gpu" else "onnxruntime")

    monkeypatch.setattr(importlib.metadata, "version", version_of)
    monkeypatch.setattr(importlib.metadata, "distributions", find)

    findings = list(check_packages())

    assert [finding.subject for finding in findings if not finding.is_fine] == []
    assert "onnxruntime of onnxruntime-gpu 1.31.1" in findings[-1].detail
