"""From a checkpoint to a bundle."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kinema_core.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from kinema_core.engines.select import open_engine
from kinema_core.errors import BundleError, InvalidInputError
from kinema_trainer.export import export_bundle, flat_scores, fold_norms, load_network, load_onnx_weights
from kinema_trainer.models.residual_unet import ResidualUNet, ResidualUNetConfig
from kinema_trainer.train import RunState, new_state
from tests.trainer.recipes import TINY

MAX_AB_DIFFERENCE = 2e-3
"""Lab units: float32 sums in another order, over some fifty layers, on ab up to 100."""


def lively_state() -> RunState:
    """A network whose norms have statistics worth folding and whose head does not say grey."""
    state = new_state(TINY, pretrained=False)
    generator = torch.Generator().manual_seed(5)
    for module in state.average.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    state.average.head.weight.data.normal_(0, 0.1, generator=generator)
    return state


def evaluation_of(bundle: Bundle) -> dict[str, Any]:
    """What `kinema evaluate` writes, the scores made up."""
    score = dict.fromkeys(
        ("psnr", "ab_psnr", "ssim", "delta_e", "colourfulness", "truth_colourfulness", "a_error", "b_error"), 12.345
    )
    return {
        "num_photos": 3,
        "photos": "val.tar",
        "size": 256,
        "onnx_digest": hashlib.sha256(bundle.onnx).hexdigest(),
        "methods": {"model": score, "grey": score},
    }


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.pt"
    lively_state().save(path, TINY)
    return path


def lightness(height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(2)) * 100


def test_folding_norms_leaves_the_function_as_it_is() -> None:
    network = lively_state().average

    folded = fold_norms(network)

    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(lightness()), network(lightness()), atol=MAX_AB_DIFFERENCE, rtol=0)


@pytest.mark.parametrize("engine_name", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96)])
def test_an_exported_model_gives_what_torch_gives(
    checkpoint: Path, tmp_path: Path, engine_name: str, height: int, width: int
) -> None:
    bundle = export_bundle(checkpoint, tmp_path / "bundle", name="tiny", version="1", data="", licence="Apache-2.0")
    network, _ = load_network(checkpoint)
    engine = open_engine(bundle, engine_name).engine

    ab = engine.infer(lightness(height, width).numpy())
    engine.close()

    with torch.no_grad():
        expected = network(lightness(height, width)).numpy()
    assert np.abs(expected).max() > 1, "a model that says grey would prove nothing"
    np.testing.assert_allclose(ab, expected, atol=MAX_AB_DIFFERENCE)


def test_the_weights_can_be_read_back_from_the_onnx_file(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_bundle(checkpoint, tmp_path / "bundle", name="tiny", version="1", data="", licence="Apache-2.0")
    network, _ = load_network(checkpoint)

    read_back = load_onnx_weights(bundle.onnx, ResidualUNet(TINY.network))

    with torch.no_grad():
        torch.testing.assert_close(read_back(lightness()), network(lightness()), atol=MAX_AB_DIFFERENCE, rtol=0)


@pytest.mark.parametrize("engine_name", ["openvino", "onnxruntime"])
def test_the_shipped_model_gives_what_torch_gives(engine_name: str) -> None:
    bundle = load_bundle(DEFAULT_BUNDLE)
    network = load_onnx_weights(bundle.onnx, ResidualUNet(ResidualUNetConfig())).eval()
    engine = open_engine(bundle, engine_name).engine

    ab = engine.infer(lightness(96, 160).numpy())
    engine.close()

    with torch.no_grad():
        expected = network(lightness(96, 160)).numpy()
    assert np.abs(expected).max() > 1, "a model that says grey would prove nothing"
    np.testing.assert_allclose(ab, expected, atol=MAX_AB_DIFFERENCE)


def test_a_bundle_is_not_written_over(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()

    with pytest.raises(BundleError, match="is there already"):
        export_bundle(checkpoint, tmp_path / "bundle", name="tiny", version="1", data="", licence="Apache-2.0")


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_bytes(b"not a checkpoint")

    with pytest.raises(InvalidInputError, match=r"notes\.pt is not a checkpoint"):
        load_network(tmp_path / "notes.pt")


def test_the_card_and_the_manifest_state_the_scores(checkpoint: Path, tmp_path: Path) -> None:
    def export(name: str, evaluation: dict[str, Any] | None) -> Bundle:
        return export_bundle(
            checkpoint, tmp_path / name, name="tiny", version="1", data="photographs of nothing", licence="MIT",
            evaluation=evaluation,
        )  # fmt: skip

    evaluation = evaluation_of(export("unscored", None))

    bundle = export("scored", evaluation)

    card = (tmp_path / "scored" / "MODEL_CARD.md").read_text()
    assert bundle.manifest.scores == flat_scores(evaluation)
    assert bundle.manifest.scores["grey.psnr"] == 12.345
    assert "3 photographs of `val.tar`" in card
    assert "photographs of nothing" in card
    assert "$" not in card


def test_scores_of_another_model_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_bundle(checkpoint, tmp_path / "one", name="tiny", version="1", data="", licence="MIT")

    with pytest.raises(InvalidInputError, match="evaluate it first"):
        export_bundle(
            checkpoint, tmp_path / "other", name="tiny", version="1", data="", licence="MIT", ab_gain=0.5,
            evaluation=evaluation_of(bundle),
        )  # fmt: skip


def test_a_gain_scales_ab(checkpoint: Path, tmp_path: Path) -> None:
    whole, half = (
        export_bundle(checkpoint, tmp_path / f"{gain}", name="tiny", version="1", data="", licence="MIT", ab_gain=gain)
        for gain in (1.0, 0.5)
    )

    ab, half_ab = (open_engine(bundle).engine.infer(lightness().numpy()) for bundle in (whole, half))

    np.testing.assert_allclose(half_ab, ab / 2, atol=MAX_AB_DIFFERENCE)
