import shutil
import sys
from pathlib import Path

import pytest

from kinema_client.cli import main
from kinema_client.commands.findings import check_packages, check_system
from kinema_core.bundle import Bundle
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

    findings = {finding.subject: finding.detail for finding in check_system(tmp_path / "cpuinfo", tmp_path / "none")}

    assert findings["CPU"] == expected
    assert findings["GPU"].startswith("no NVIDIA driver")


def test_a_system_without_cpuinfo_is_no_lack(tmp_path: Path) -> None:
    assert all(finding.is_fine for finding in check_system(tmp_path / "none"))
