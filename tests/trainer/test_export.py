"""From a checkpoint to a bundle."""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema_core.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from kinema_core.engines.select import open_engine
from kinema_core.errors import BundleError, EngineUnavailableError, InvalidInputError
from kinema_trainer.evaluation.photo_set import PhotoSet
from kinema_trainer.export import int8 as int8_module
from kinema_trainer.export.card import flat_scores
from kinema_trainer.export.export import Checks, export_bundle, scale_ab
from kinema_trainer.export.labels import Labels
from kinema_trainer.export.onnx_file import load_onnx_weights
from kinema_trainer.models.attention_unet import AttentionUNetConfig
from kinema_trainer.models.lite0_unet import Lite0UNet, Lite0UNetConfig
from kinema_trainer.models.pix2pix_unet import Pix2PixUNetConfig
from kinema_trainer.models.residual_unet import ResidualUNetConfig
from kinema_trainer.recipes.recipe import NetworkConfig
from kinema_trainer.training.checkpoints import load_trained_network
from tests.core.tiny_models import RUNTIMES
from tests.trainer.networks import SMALL, lively_network, random_lightness, write_lively_checkpoint
from tests.trainer.photos import make_photo
from tests.trainer.recipes import TINY, TINY_GAN

MAX_AB_DIFFERENCE = 2e-3
"""Lab units: float32 sums in another order, over some fifty layers, on ab up to 100."""

LABELS = Labels(name="tiny", data="photographs of nothing", licence="MIT", working_size=32)


def evaluation_of(bundle: Bundle) -> dict[str, Any]:
    """What `kinema evaluate` writes, the scores made up."""
    score = dict.fromkeys(
        ("psnr", "ab_psnr", "ssim", "delta_e", "colourfulness", "truth_colourfulness", "a_error", "b_error"), 12.345
    )
    return {
        "num_photos": 3,
        "confidence": 0.95,
        "intervals": {"model": {"psnr": {"low": 11.5, "high": 13.5}}},
        "photos": "val.tar",
        "size": 256,
        "onnx_digest": hashlib.sha256(bundle.onnx).hexdigest(),
        "methods": {"model": score, "grey": score | {"psnr": None}},
    }


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_lively_checkpoint(tmp_path / "last.pt")


@pytest.fixture
def small_checkpoint(tmp_path: Path) -> Path:
    return write_lively_checkpoint(tmp_path / "small.pt", SMALL)


@pytest.fixture
def photos() -> PhotoSet:
    return PhotoSet("val.tar", 32, {f"{seed}.jpg": make_photo(seed, 32, 32) for seed in range(50, 54)}, {})


@pytest.mark.parametrize(
    "network",
    [
        TINY.network,
        ResidualUNetConfig(channels=(4, 8)),
        Pix2PixUNetConfig(channels=(4, 8, 8)),
        AttentionUNetConfig(channels=(8, 8, 8, 8)),
    ],
    ids=lambda config: config.kind,
)
def test_an_exported_model_gives_what_torch_gives(tmp_path: Path, network: NetworkConfig) -> None:
    checkpoint = write_lively_checkpoint(tmp_path / "last.pt", replace(TINY, network=network))

    bundle = export_bundle(checkpoint, tmp_path / "bundle", LABELS)

    trained = load_trained_network(checkpoint).network
    assert (bundle.manifest.size_multiple, bundle.manifest.output_stride) == (
        trained.size_multiple, trained.output_stride,
    )  # fmt: skip
    for name in RUNTIMES:
        engine = open_engine(bundle, name).engine
        for height, width in ((32, 32), (64, 96)):
            with torch.no_grad():
                expected = trained(random_lightness(height, width)).numpy()
            assert expected.std() > 0.01, "a model that says grey would prove nothing"
            ab = engine.infer(random_lightness(height, width).numpy())
            np.testing.assert_allclose(ab, expected, atol=MAX_AB_DIFFERENCE)
        engine.close()


def test_the_weights_can_be_read_back_from_the_onnx_file(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_bundle(checkpoint, tmp_path / "bundle", LABELS)
    network = load_trained_network(checkpoint).network

    read_back = load_onnx_weights(bundle.onnx, TINY.network.build())

    with torch.no_grad():
        torch.testing.assert_close(
            read_back(random_lightness()), network(random_lightness()), atol=MAX_AB_DIFFERENCE, rtol=0
        )


def test_weights_of_another_network_are_not_read_back(small_checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_bundle(small_checkpoint, tmp_path / "bundle", LABELS)

    with pytest.raises(InvalidInputError, match="does not hold the weights of Lite0UNet"):
        load_onnx_weights(bundle.onnx, TINY.network.build())


@pytest.mark.parametrize("engine_name", ["openvino", "onnxruntime"])
def test_the_shipped_model_gives_what_torch_gives(engine_name: str) -> None:
    bundle = load_bundle(DEFAULT_BUNDLE)
    network = load_onnx_weights(bundle.onnx, Lite0UNet(Lite0UNetConfig())).eval()
    engine = open_engine(bundle, engine_name).engine

    ab = engine.infer(random_lightness(96, 160).numpy())
    engine.close()

    with torch.no_grad():
        expected = network(random_lightness(96, 160)).numpy()
    assert np.abs(expected).max() > 1, "a model that says grey would prove nothing"
    np.testing.assert_allclose(ab, expected, atol=MAX_AB_DIFFERENCE)


def test_a_bundle_is_not_written_over(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()

    with pytest.raises(BundleError, match="is there already"):
        export_bundle(checkpoint, tmp_path / "bundle", LABELS)


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_bytes(b"not a checkpoint")

    with pytest.raises(InvalidInputError, match=r"notes\.pt is not a checkpoint"):
        export_bundle(tmp_path / "notes.pt", tmp_path / "bundle", LABELS)


def test_the_card_and_the_manifest_state_the_scores(small_checkpoint: Path, tmp_path: Path) -> None:
    evaluation = evaluation_of(export_bundle(small_checkpoint, tmp_path / "unscored", LABELS))

    bundle = export_bundle(small_checkpoint, tmp_path / "scored", LABELS, evaluation=evaluation)

    card = (tmp_path / "scored" / "MODEL_CARD.md").read_text()
    assert flat_scores(evaluation).items() <= bundle.manifest.scores.items()
    assert bundle.manifest.scores["grey.ssim"] == 12.345
    assert "grey.psnr" not in bundle.manifest.scores, "null in JSON: it was infinite"
    assert "3 photographs of `val.tar`" in card
    assert "photographs of nothing" in card
    assert "| model, 95% interval | 11.500 to 13.500 | - |" in card
    assert "$" not in card


def test_the_card_and_the_manifest_state_costs_and_parity(small_checkpoint: Path, tmp_path: Path) -> None:
    labels = replace(LABELS, timing="3 ms on one core", training="an hour of 20 W", failures="- Parrots are **grey**.")

    bundle = export_bundle(small_checkpoint, tmp_path / "bundle", labels)

    scores, card = bundle.manifest.scores, (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert scores["gflops"] == lively_network(SMALL).describe(32).gflops > 0
    assert all(0 <= scores[f"parity.{name}.f32.max_ab_difference"] < MAX_AB_DIFFERENCE for name in RUNTIMES)
    assert "GFLOPs a picture of 32 px" in card
    assert "3 ms on one core" in card
    assert "an hour of 20 W" in card
    assert "- Parrots are **grey**." in card
    assert "| onnxruntime f32 |" in card
    assert "has no INT8 form" in card
    assert "`residual_unet`" in card


def test_what_a_model_is_said_to_do_depends_on_its_losses(tmp_path: Path) -> None:
    cards = []
    for recipe in (SMALL, TINY_GAN):
        checkpoint = write_lively_checkpoint(tmp_path / f"{recipe.name}.pt", recipe)
        cards.append((export_bundle(checkpoint, tmp_path / recipe.name, LABELS).path / "MODEL_CARD.md").read_text())

    assert ["pixel loss alone" in card for card in cards] == [True, False]
    assert ["livelier than their mean" in card for card in cards] == [False, True]


def test_scores_of_another_model_are_refused(small_checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_bundle(small_checkpoint, tmp_path / "one", LABELS)

    with pytest.raises(InvalidInputError, match="evaluate it first"):
        export_bundle(small_checkpoint, tmp_path / "other", LABELS, ab_gain=0.5, evaluation=evaluation_of(bundle))


def test_a_gain_scales_ab(small_checkpoint: Path, tmp_path: Path) -> None:
    whole, half = (export_bundle(small_checkpoint, tmp_path / f"{gain}", LABELS, ab_gain=gain) for gain in (1.0, 0.5))

    ab, half_ab = (open_engine(bundle).engine.infer(random_lightness().numpy()) for bundle in (whole, half))

    np.testing.assert_allclose(half_ab, ab / 2, atol=MAX_AB_DIFFERENCE)


def test_a_gain_goes_into_the_weights_of_a_linear_head() -> None:
    network, scaled = lively_network(), lively_network()

    scale_ab(scaled, 0.5)

    with torch.no_grad():
        torch.testing.assert_close(scaled(random_lightness()), network(random_lightness()) / 2)
    assert torch.equal(scaled.state_dict()["head.weight"], network.state_dict()["head.weight"] / 2)


def test_an_int8_form_comes_with_its_numbers(small_checkpoint: Path, tmp_path: Path, photos: PhotoSet) -> None:
    calibration = [make_photo(seed, 32, 32) for seed in range(6)]

    bundle = export_bundle(
        small_checkpoint, tmp_path / "bundle", LABELS, Checks(photos=photos, calibration=calibration)
    )

    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert bundle.forms == ("f32", "int8")
    assert bundle.manifest.scores["int8.openvino.psnr_loss"] <= int8_module.MAX_PSNR_LOSS
    assert "calibrated on 6 training photographs" in card
    assert "on 4 photographs of `val.tar`" in card


def test_int8_without_validation_photographs_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="needs validation photographs"):
        Checks(calibration=[make_photo(0, 32, 32)])


def test_a_form_that_is_refused_leaves_nothing_behind(small_checkpoint: Path, tmp_path: Path, photos: PhotoSet) -> None:
    checks = Checks(photos=photos, calibration=list(photos.truths.values()))

    with pytest.raises(InvalidInputError, match="are calibrated on"):
        export_bundle(small_checkpoint, tmp_path / "bundle", LABELS, checks)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["small.pt"]


def test_where_no_engine_runs_a_bundle_is_written_only_when_asked_for_and_says_so(
    small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in RUNTIMES:
        monkeypatch.setitem(sys.modules, package, None)  # makes its import fail

    with pytest.raises(EngineUnavailableError, match="export unchecked"):
        export_bundle(small_checkpoint, tmp_path / "checked", LABELS)
    export_bundle(small_checkpoint, tmp_path / "unchecked", LABELS, Checks(is_engine_needed=False))

    assert not (tmp_path / "checked").exists()
    assert "Not compared with torch" in (tmp_path / "unchecked" / "MODEL_CARD.md").read_text()
