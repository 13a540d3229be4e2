"""`kinema evaluate` from end to end."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from typer import Typer
from typer.testing import CliRunner

from kinema_core.bundle import Bundle
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.media.output_file import PartialFile
from kinema_trainer.cli.evaluate import _write, evaluate
from tests.core.tiny_models import convolution_onnx, tiny_bundle
from tests.trainer.evaluations import write_file
from tests.trainer.photos import write_photos

app = Typer()
app.command()(evaluate)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("models") / "tiny", working_size=64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return write_photos(folder, 3)


def run(photos: Path, bundle: Bundle, *options: str | Path) -> str:
    arguments = ["--photos", photos, "--model", bundle.path, "--size", "64", "--engine", "onnxruntime",
                 "--resamples", "100", *options]  # fmt: skip
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if result.exception:
        raise result.exception
    return result.output


def test_the_command_writes_every_score_a_report_and_a_picture(bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"not a picture")
    scores, grid = tmp_path / "out" / "scores.json", tmp_path / "grid.png"
    network = write_file(tmp_path / "other.onnx", convolution_onnx())

    said = run(photos, bundle, "--json", scores, "--report", tmp_path / "out", "--grid", grid, "--gains", "0.5,1",
               "--onnx", f"{network},ab_scale=0.5", "--frechet")  # fmt: skip

    written = json.loads(scores.read_text())
    assert written["model_digest"] == bundle.digest
    assert list(written["methods"]) == ["model", "other", "grey", "mean_ab"]
    assert {"psnr", "ssim", "delta_e", "delta_colourfulness", "lite0_frechet"} <= written["methods"]["model"].keys()
    assert [point["gain"] for point in written["gains"]["other"]] == [0.5, 1]
    assert written["num_photos"] == 3
    assert "tiny 1.0" in (tmp_path / "out" / "report.html").read_text()
    assert cv2.imread(str(grid)) is not None
    assert "broken.jpg" in said
    assert "ΔE00" in said


def test_a_second_model_stands_beside_the_first(bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    second = tiny_bundle(tmp_path / "second", name="second", version="3")

    run(photos, bundle, "--model", second.path, "--json", tmp_path / "scores.json")

    written = json.loads((tmp_path / "scores.json").read_text())
    assert list(written["methods"]) == ["model", "second 3", "grey", "mean_ab"]
    assert written["records"]["second 3"]["digest"] == second.digest
    assert written["model_digest"] == bundle.digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--gains", "1,much"), "gains: must be numbers with commas between"),
        (("--gains", "3"), "gains: must be above 0 and at most 2"),
        (("--onnx", "nowhere.onnx"), "onnx: there is no file"),
        (("--lpips-weights", "nowhere.pt"), "lpips_weights: .* give vgg16.pt"),
    ],
)
def test_a_wrong_option_is_refused_and_nothing_written(
    bundle: Bundle, photos: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "out"

    with pytest.raises(InvalidInputError, match=message):
        run(photos, bundle, "--json", out / "scores.json", *options)

    assert list(out.glob("*")) == []


def test_a_folder_for_a_file_is_refused_before_the_work_begins(bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a folder; name a file in it"):
        run(photos, bundle, "--json", tmp_path)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_partial_one(tmp_path: Path) -> None:
    old = write_file(tmp_path / "scores.json", b"old")
    file = PartialFile(old, overwrite=True)
    file.partial.mkdir()  # in the way

    with pytest.raises(MediaError, match="cannot be written"):
        _write(file, "new")

    assert old.read_text() == "old"


def test_evaluating_without_learned_scores_needs_no_torch() -> None:
    code = "import sys, kinema_trainer.cli.evaluate, kinema_trainer.evaluation.report; print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
