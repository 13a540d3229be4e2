"""`kinema export` and `kinema models`, as a user calls them."""

import json
from pathlib import Path

import pytest

from kinema_client.cli import main
from kinema_core.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from kinema_core.engines import tensorrt
from kinema_core.engines.cuda_driver import Gpu
from kinema_core.engines.plan_cache import PlanCache
from kinema_core.engines.tensorrt import Machine
from kinema_core.errors import NoGpuError
from tests.core.fake_tensorrt import FakeCuda, fake_tensorrt
from tests.core.tiny_models import convolution_onnx, tiny_bundle
from tests.trainer.networks import SMALL, write_lively_checkpoint
from tests.trainer.photos import encode_jpeg, make_photo, write_photos


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_lively_checkpoint(tmp_path / "best.pt", SMALL)


def test_a_checkpoint_becomes_a_bundle(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["export", str(checkpoint), str(tmp_path / "bundle"), "--name", "small", "--working-size", "32"])

    said = capsys.readouterr().out
    bundle = load_bundle(tmp_path / "bundle")
    assert code == 0
    assert (bundle.manifest.name, bundle.manifest.recipe) == ("small", "small, step 7, ab x 1")
    assert "parity.openvino.f32.delta_e" in said
    assert bundle.digest[:12] in said


def test_int8_asks_for_both_kinds_of_photographs(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["export", str(checkpoint), str(tmp_path / "bundle"), "--int8"])

    assert code == 2
    assert "--calibration" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_gets_an_int8_form_of_its_own_plan(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, seeds in (("train", range(6)), ("val", range(50, 54))):
        (tmp_path / folder).mkdir()
        for seed in seeds:
            (tmp_path / folder / f"{seed}.jpg").write_bytes(encode_jpeg(make_photo(seed, 32, 32)))

    code = main(
        ["export", str(checkpoint), str(tmp_path / "bundle"), "--working-size", "32", "--int8", "--int8-first-f32", "2",
         "--calibration", str(tmp_path / "train"), "--photos", str(tmp_path / "val")]
    )  # fmt: skip

    assert code == 0
    assert "int8.onnxruntime.psnr_loss" in capsys.readouterr().out
    assert load_bundle(tmp_path / "bundle").forms == ("f32", "int8")
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "all but the first 2 convolutions in int8, calibrated on 6 training photographs" in card


def test_int8_on_the_photographs_that_it_was_calibrated_on_fails_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    photos = str(write_photos(tmp_path / "photos", 2))

    code = main(
        ["export", str(checkpoint), str(tmp_path / "bundle"), "--working-size", "32",
         "--int8", "--calibration", photos, "--photos", photos]
    )  # fmt: skip

    assert code == 1
    assert "never saw" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_models_lists_what_comes_with_kinema(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["models", "--json"])

    (model,) = json.loads(capsys.readouterr().out)
    bundle = load_bundle(DEFAULT_BUNDLE)
    assert code == 0
    assert (model["name"], model["digest"], model["forms"]) == ("default", bundle.digest, list(bundle.forms))
    assert model["psnr"] == bundle.manifest.scores["psnr"]
    assert 0 < model["colourfulness_ratio"] < 1


def test_models_lists_the_bundles_of_a_folder_and_a_bundle_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_bundle(tmp_path / "several" / "one", name="one")
    tiny_bundle(tmp_path / "several" / "two", name="two", int8_onnx=convolution_onnx())
    tiny_bundle(tmp_path / "alone", name="alone", scores={})

    folders = ("--folder", str(tmp_path / "several"), "--folder", str(tmp_path / "alone"))
    assert main(["models", "--json", *folders]) == 0
    found = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert main(["models", *folders]) == 0
    table = capsys.readouterr().out

    assert list(found) == ["default", "one", "two", "alone"]
    assert found["two"]["forms"] == ["f32", "int8"]
    assert found["two"]["megabytes"] == 2 * found["one"]["megabytes"] > 0
    assert found["alone"]["psnr"] is None
    assert "alone" in table


def test_a_broken_bundle_is_named_beside_the_whole_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny_bundle(tmp_path / "broken").path / "model.onnx").write_bytes(b"altered")
    tiny_bundle(tmp_path / "whole", name="whole")

    code = main(["models", "--json", "--folder", str(tmp_path)])

    said = capsys.readouterr()
    assert code == 1
    assert [model["name"] for model in json.loads(said.out)] == ["default", "whole"]
    assert "broken/model.onnx is not the file" in said.err


def test_a_folder_without_bundles_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--folder", str(tmp_path)]) == 2
    assert "no model bundle in" in capsys.readouterr().err


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Have FakeTensorRt found where TensorRT is looked for."""
    cuda = FakeCuda()
    gpu = Gpu("Fake GPU", (9, 0), 80 << 30, (13, 0))
    found = Machine(fake_tensorrt(cuda), cuda, gpu, PlanCache(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt, "find_machine", lambda _name: found)
    return found


def test_with_an_engine_the_bundles_plan_is_built_too(
    machine: Machine, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["export", str(checkpoint), str(tmp_path / "bundle"), "--working-size", "32", "--engine", "tensorrt",
         "--precision", "f16"]
    )  # fmt: skip

    said = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert load_bundle(tmp_path / "bundle").forms == ("f32",)
    assert "plan: f16 for Fake GPU" in said
    assert len(list(machine.cache.folder.glob("*.plan"))) == 2, "this one, and the one that was held against torch"


def test_with_an_engine_alone_it_is_the_plan_of_the_model_that_ships(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[str] = []

    def keep(given: Machine, bundle: Bundle, precision: str) -> str:
        assert given is machine
        kept.append(f"{bundle.digest} {precision}")
        return "built on purpose"

    monkeypatch.setattr(tensorrt, "keep_plan", keep)

    code = main(["export", "--engine", "tensorrt"])

    assert code == 0
    assert kept == [f"{load_bundle().digest} f32"]
    assert "plan: built on purpose" in capsys.readouterr().out


def test_without_a_gpu_nothing_is_exported_for_one(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find_none() -> Gpu:
        raise NoGpuError("no NVIDIA driver")

    monkeypatch.setattr(tensorrt, "find_gpu", find_none)

    code = main(["export", str(checkpoint), str(tmp_path / "bundle"), "--engine", "tensorrt-rtx"])

    assert code == 1
    assert "no NVIDIA driver" in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("arguments", [[], ["best.pt"], ["best.pt", "--engine", "tensorrt"]])
def test_what_is_to_be_exported_must_be_said(
    arguments: list[str], checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkpoint.parent)

    assert main(["export", *arguments]) == 2

    assert "CHECKPOINT and BUNDLE" in capsys.readouterr().err
