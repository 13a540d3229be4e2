"""From a checkpoint to a bundle."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.trainer.recipes import TINY
from torch import nn

from kinema_core.bundle import DEFAULT_BUNDLE, load_bundle
from kinema_core.engines.select import open_engine
from kinema_core.errors import BundleError, InvalidInputError
from kinema_trainer.export import export_bundle, flat_scores, fold_norms, load_network, load_onnx_weights
from kinema_trainer.models.residual_unet import ResidualUNet, ResidualUNetConfig
from kinema_trainer.train import RunState, new_state

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
    score = dict.fromkeys(
        ("psnr", "ab_psnr", "ssim", "delta_e", "colourfulness", "truth_colourfulness", "a_error", "b_error"), 12.345
    )
    evaluation = {"num_photos": 3, "photos": "val.tar", "size": 256, "methods": {"model": score, "grey": score}}

    bundle = export_bundle(
        checkpoint, tmp_path / "bundle", name="tiny", version="1", data="photographs of nothing", licence="MIT",
        evaluation=evaluation,
    )  # fmt: skip

    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert bundle.manifest.scores == flat_scores(evaluation)
    assert bundle.manifest.scores["grey.psnr"] == 12.345
    assert "3 photographs of `val.tar`" in card
    assert "photographs of nothing" in card
    assert "$" not in card
