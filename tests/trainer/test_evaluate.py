"""Scoring a model on photographs."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.errors import InvalidInputError
from kinema_trainer.cli import evaluate
from kinema_trainer.evaluate import evaluate_photos
from kinema_trainer.export import export_bundle
from kinema_trainer.train import new_state
from tests.fakes import F32, FakeEngine
from tests.trainer.photos import write_photos
from tests.trainer.recipes import TINY


class OneColour(FakeEngine):
    """Gives every pixel the same ab."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self._ab = np.array([a, b], np.float32)[:, None, None]

    def infer(self, lightness: F32) -> F32:
        height, width = (side // 2 for side in lightness.shape[2:])
        return np.tile(self._ab, (1, 1, height, width))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle of an untrained network: it says grey."""
    checkpoint = tmp_path / "last.pt"
    new_state(TINY, pretrained=False).save(checkpoint, TINY)
    return export_bundle(checkpoint, tmp_path / "bundle", name="tiny", version="1", data="", licence="Apache-2.0")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return write_photos(folder, 4)


def test_a_model_that_says_grey_scores_as_the_grey_baseline(bundle: Bundle, photos: Path) -> None:
    result = evaluate_photos(photos, OneColour(0, 0), bundle, size=64)

    assert result.num_photos == 4
    assert result.methods["model"] == result.methods["grey"]


def test_the_mean_ab_baseline_has_the_better_ab_psnr_and_no_cast(bundle: Bundle, photos: Path) -> None:
    methods = evaluate_photos(photos, OneColour(0, 0), bundle, size=64).methods

    assert methods["mean_ab"].ab_psnr > methods["grey"].ab_psnr
    assert abs(methods["mean_ab"].a_error) < abs(methods["grey"].a_error) + 1


def test_the_truth_is_never_what_the_model_sees(bundle: Bundle, tmp_path: Path) -> None:
    """Two photographs of one lightness and other colours are colorized alike."""
    folder = tmp_path / "pair"
    folder.mkdir()
    grey = np.full((64, 64, 3), 119, np.uint8)
    (folder / "grey.png").write_bytes(cv2.imencode(".png", grey)[1].tobytes())
    (folder / "red.png").write_bytes(cv2.imencode(".png", np.full((64, 64, 3), (98, 98, 174), np.uint8))[1].tobytes())

    each = evaluate_photos(folder, OneColour(10, 20), bundle, size=64).each

    assert each["grey.png"].colourfulness == pytest.approx(each["red.png"].colourfulness, rel=0.03)
    assert each["grey.png"].truth_colourfulness < each["red.png"].truth_colourfulness


def test_photographs_that_cannot_be_read_are_named_and_not_scored(bundle: Bundle, photos: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"not a picture")

    result = evaluate_photos(photos, OneColour(0, 0), bundle, size=64)

    assert result.skipped == ["broken.jpg"]
    assert result.num_photos == 4


def test_a_limit_takes_that_many(bundle: Bundle, photos: Path) -> None:
    assert evaluate_photos(photos, OneColour(0, 0), bundle, size=64, limit=3).num_photos == 3


def test_no_readable_photograph_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(b"not a picture")

    with pytest.raises(InvalidInputError, match="not one readable photograph"):
        evaluate_photos(folder, OneColour(0, 0), bundle)


def test_the_command_writes_every_score_and_a_picture(bundle: Bundle, photos: Path, tmp_path: Path) -> None:
    app = Typer()
    app.command()(evaluate)
    scores, grid = tmp_path / "out" / "scores.json", tmp_path / "grid.png"

    run = CliRunner().invoke(app, ["--photos", str(photos), "--model", str(bundle.path), "--json", str(scores),
                                   "--size", "64", "--grid", str(grid)])  # fmt: skip

    assert run.exit_code == 0, run.output
    written = json.loads(scores.read_text())
    assert written["model_digest"] == load_bundle(bundle.path).digest
    assert set(written["methods"]) == {"model", "grey", "mean_ab"}
    assert set(written["methods"]["model"]) >= {"psnr", "ssim", "delta_e", "colourfulness", "delta_colourfulness"}
    assert len(written["each"]) == 4
    assert cv2.imread(str(grid)) is not None
