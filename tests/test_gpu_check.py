"""benchmarks/gpu_check.sh runs from end to end where there is no GPU, and one part's crash is that part's alone."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.gpu_check import main, run_part
from benchmarks.gpu_rates import layers_of
from benchmarks.gpu_roofline import Layer, Rates, roofline_seconds
from kinema_core.bundle import load_bundle
from tests.core.tiny_models import tiny_bundle

ROOT = Path(__file__).resolve().parent.parent
RATES = Rates({"f32": 1e9, "f16": 4e9, "bf16": 4e9}, copy_bytes=1e8, upload_bytes=1e7, download_bytes=1e7)


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "benchmarks" / script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
        env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": ""} | environment,
    )  # fmt: skip


def test_the_dry_run_fills_every_table_and_says_what_cannot_run(tmp_path: Path) -> None:
    done = run("gpu_check.sh", "--dry-run", OUT=str(tmp_path), WHEELS="nowhere", GPU_CHECK_HOME=str(tmp_path / "home"))

    assert done.returncode == 0, done.stderr
    report, tables = json.loads((tmp_path / "gpu_check.json").read_text()), (tmp_path / "gpu_check.md").read_text()
    parts = report["parts"]
    assert parts["machine"]["rates"]["matmul_flops"].keys() == {"f32", "f16", "bf16"}
    assert parts["parity:torch:f32"]["delta_e"] < 0.1
    assert [row["batch"] for row in parts["speed:onnxruntime:f32"]["rows"]] == [1, 2]
    assert [row["streams"] for row in parts["frames:torch:f32"]["rows"]] == [1, 2]
    assert parts["frames:torch:f32"]["is_on_device"]
    assert parts["parity:torch:f32"]["by_both_ways"]["equal"] > 0.9
    assert "dry run" in tables.splitlines()[0]
    assert all(f"| {engine} | f32 |" in tables for engine in ("torch", "onnxruntime"))
    if "failed" in parts["parity:onnxruntime-cuda:f32"]:
        assert f"`parity:onnxruntime-cuda:f32`: {parts['parity:onnxruntime-cuda:f32']['failed']}" in tables


@pytest.mark.parametrize(
    ("program", "seconds", "reason"),
    [
        ("import os; os.abort()", 30, "crashed with signal 6"),
        ("import time; time.sleep(60)", 0.5, "longer than 0 seconds"),
        ("raise SystemExit('no GPU')", 30, "no GPU"),
        ("print('hello')", 30, "no result"),
        ("pass", 30, "no result"),
    ],
)
def test_a_part_that_fails_is_told_with_its_reason(program: str, seconds: float, reason: str) -> None:
    assert reason in run_part([sys.executable, "-c", program], seconds)["failed"]


def test_a_compiled_torch_is_an_engine_of_its_own_here(tmp_path: Path) -> None:
    main(["--parts", "parity", "--engines", "torch-cuda-compiled", "--out", str(tmp_path)])

    parts = json.loads((tmp_path / "gpu_check.json").read_text())["parts"]
    assert parts.keys() == {"parity:torch-cuda-compiled:f16", "parity:torch-cuda-compiled:f32"}
    for part in parts.values():
        assert "failed" not in part or "engine: must be" not in part["failed"]


def test_a_part_gives_what_it_printed_last() -> None:
    assert run_part([sys.executable, "-c", "print('warming up'); print('{\"ms\": 2}')"], 30) == {"ms": 2}


def test_what_no_time_is_left_for_is_told_and_what_is_known_is_kept(tmp_path: Path) -> None:
    known = {"parts": {"parity:torch-cuda:f16": {"failed": "no GPU"}}}
    (tmp_path / "gpu_check.json").write_text(json.dumps(known))

    status = main(["--minutes", "0", "--parts", "parity", "--engines", "torch-cuda", "--out", str(tmp_path)])

    parts = json.loads((tmp_path / "gpu_check.json").read_text())["parts"]
    assert status == 1
    assert parts["parity:torch-cuda:f16"]["failed"] == "no GPU"
    assert "no time was left" in parts["parity:torch-cuda:f32"]["failed"]


def test_a_layer_is_bound_by_arithmetic_or_by_memory() -> None:
    arithmetic, memory = Layer(num_operations=2e9, num_moved=1e3), Layer(num_operations=10, num_moved=1e8)

    assert roofline_seconds([arithmetic], RATES, "f32") == pytest.approx(2)
    assert roofline_seconds([memory], RATES, "f32") == pytest.approx(4)
    assert roofline_seconds([arithmetic, memory], RATES, "f16") == pytest.approx(0.5 + 2)


def test_a_convolution_is_counted_by_hand(tmp_path: Path) -> None:
    (layer,) = layers_of(tiny_bundle(tmp_path / "tiny"), 3, 32, 64)

    num_results = 3 * 2 * 16 * 32
    assert layer == Layer(num_operations=2 * 9 * num_results, num_moved=3 * 32 * 64 + 18 + num_results)


def test_the_shipped_model_costs_what_its_manifest_says() -> None:
    bundle = load_bundle()

    operations = sum(layer.num_operations for layer in layers_of(bundle, 1, 256, 256))

    assert operations / 1e9 == pytest.approx(bundle.manifest.scores["gflops"], rel=0.01)


def test_wheels_are_packed_in_chunks_and_installed_again(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "carried", "x = 5\n" + "# filler\n" * 500)
    folder, home = tmp_path / "wheels", tmp_path / "home"

    packed = run("pack_wheels.sh", str(folder), str(wheel), CHUNK_BYTES="300")
    chunks = sorted(path.name for path in folder.iterdir())
    installed = run("gpu_check.sh", "--help", WHEELS=str(folder), GPU_CHECK_HOME=str(home))

    assert packed.returncode == 0, packed.stderr
    assert chunks[0] == "SHA256SUMS"
    assert len(chunks) > 3
    assert installed.returncode == 0, installed.stderr
    assert (home / "site" / "carried.py").read_text().startswith("x = 5")


def test_a_damaged_wheel_is_not_installed(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, "damaged", "x = 5\n" * 500)
    folder, home = tmp_path / "wheels", tmp_path / "home"
    run("pack_wheels.sh", str(folder), str(wheel), CHUNK_BYTES="300")
    chunk = min(folder.glob("*.part-*"))
    chunk.write_bytes(bytes(299) + chunk.read_bytes()[299:])

    installed = run("gpu_check.sh", "--help", WHEELS=str(folder), GPU_CHECK_HOME=str(home))

    assert "cannot be installed" in installed.stderr
    assert not (home / "site").exists()


def write_wheel(folder: Path, name: str, content: str) -> Path:
    """Write a wheel of one module, as PEP 427 describes it."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {inside: hashlib.sha256(text.encode()).digest() for inside, text in files.items()}
    rows = [
        f"{inside},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(files[inside])}"
        for inside, digest in digests.items()
    ]
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in (files | {f"{info}/RECORD": "\n".join([*rows, f"{info}/RECORD,,"])}).items():
            archive.writestr(inside, text)
    return path
