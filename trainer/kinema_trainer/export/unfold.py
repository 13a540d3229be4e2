"""Bring an exported model's weights back into a network that can be trained: `fold.py`'s way, backwards.

An exported convolution holds the norm that followed it. That norm is made anew from what the convolution gives on
photographs: their mean and variance become its statistics, and its scale and shift undo them. In evaluation the network
then computes what the exported one does; in training it is normed as it was when it was made.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from kinema_trainer.export.fold import foldable_pairs, probe_of
from kinema_trainer.export.onnx_file import load_onnx_weights
from kinema_trainer.models.color_network import ColorNetwork


def unfold_onnx_weights(onnx_bytes: bytes, network: ColorNetwork, pictures: Sequence[Tensor]) -> None:
    """Give `network` the weights of an ONNX file that `export_onnx` wrote.

    Args:
        onnx_bytes: the file.
        network: its weights are overwritten; which of them are to be trained stays as it is.
        pictures: lightness, (B, 1, H, W) each, L* 0-100, on which the norms' statistics are taken.

    Raises:
        InvalidInputError: the file is of another network.
    """
    folded = load_onnx_weights(onnx_bytes, network).eval()
    norms = dict(_pairs(network))
    statistics = _statistics(folded, list(norms), pictures)
    weights = network.state_dict()
    for name, value in folded.state_dict().items():
        if name in weights:
            weights[name].copy_(value)
    for conv, norm in norms.items():
        mean, variance = statistics[conv]
        made = network.get_submodule(norm)
        assert isinstance(made, nn.BatchNorm2d)
        # Where a norm follows, a bias of the convolution's own does nothing: 0 is as good as any.
        if f"{conv}.bias" in weights:
            weights[f"{conv}.bias"].zero_()
        weights[f"{norm}.running_mean"].copy_(mean - folded.get_parameter(f"{conv}.bias"))
        weights[f"{norm}.running_var"].copy_(variance)
        weights[f"{norm}.weight"].copy_((variance + made.eps).sqrt())
        weights[f"{norm}.bias"].copy_(mean)


def _pairs(network: ColorNetwork) -> list[tuple[str, str]]:
    """List (convolution, norm) that folding joins; they are read from gradients, which frozen parts have none of."""
    was_training = network.training
    is_trained = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    pairs = foldable_pairs(network.eval().requires_grad_(), probe_of(network))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(is_trained[name])
    network.train(was_training)
    return pairs


@torch.no_grad()
def _statistics(
    folded: nn.Module, convolutions: Sequence[str], pictures: Sequence[Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return mean and variance, (C,) each, of what each convolution gives on `pictures`."""
    means: dict[str, list[Tensor]] = {name: [] for name in convolutions}
    squares: dict[str, list[Tensor]] = {name: [] for name in convolutions}

    def watch(name: str) -> Any:
        def note(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            means[name].append(output.mean((0, 2, 3)))
            squares[name].append(output.square().mean((0, 2, 3)))

        return note

    with ExitStack() as hooks:
        for name in convolutions:
            hooks.enter_context(folded.get_submodule(name).register_forward_hook(watch(name)))
        for picture in pictures:
            folded(picture)
    found = {}
    for name in convolutions:
        mean = torch.stack(means[name]).mean(0)
        variance = torch.stack(squares[name]).mean(0) - mean.square()
        found[name] = mean, variance.clamp(min=1e-6)  # of a channel that is dead, rounding leaves less than 0
    return found
