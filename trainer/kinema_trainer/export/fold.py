"""Fold what a network computes of its weights alone into the weights: BatchNorm and spectral norm.

A BatchNorm goes into the convolution before it where nothing else takes that convolution's output. Who takes it is
read from the autograd graph of one pass, and not from the order in which modules are registered: in a pre-activation
block (He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016) a norm may follow a sum, or a convolution
whose output is needed unnormed as well. Such a norm stays; the engines run it as it is.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kinema_core.errors import InvalidInputError
from kinema_trainer.models.color_network import ColorNetwork

Convolution: TypeAlias = nn.Conv2d | nn.ConvTranspose2d

MAX_RELATIVE_DIFFERENCE = 1e-4
"""Of the folded network's output, relative to the largest ab: float32 sums in another order, over some fifty layers."""


def fold_norms(network: ColorNetwork) -> ColorNetwork:
    """Return a copy in evaluation mode, in which every norm that can be folded is, and an identity stands in its place.

    Raises:
        InvalidInputError: the copy computes something else; this is a defect of the network's or of this function.
    """
    folded = copy.deepcopy(network).eval().requires_grad_()
    _fold_parametrizations(folded)
    probe = probe_of(folded)
    with torch.no_grad():
        expected = folded(probe)
    for conv_name, norm_name in foldable_pairs(folded, probe):
        conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
        assert isinstance(conv, Convolution)
        assert isinstance(norm, nn.BatchNorm2d)
        fused = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
        folded.set_submodule(conv_name, fused)
        folded.set_submodule(norm_name, nn.Identity())
    with torch.no_grad():
        difference = float((folded(probe) - expected).abs().max())
    allowed = MAX_RELATIVE_DIFFERENCE * (1 + float(expected.abs().max()))
    if not difference <= allowed:  # NaN fails too
        raise InvalidInputError("network", f"changes ab by {difference:.3g} when its norms are folded, more than "
                                f"{allowed:.3g}; its norms must not be folded")  # fmt: skip
    return folded


def foldable_pairs(network: nn.Module, probe: Tensor) -> list[tuple[str, str]]:
    """List (convolution, norm) by their names, where the norm is all that takes the convolution's output.

    Args:
        network: in evaluation mode, its parameters with gradients.
        probe: an input; each module that is to be folded must run once on it.
    """
    made_by: dict[Node, str] = {}
    taken_by: list[tuple[Node, str]] = []
    num_runs: Counter[str] = Counter()

    def watch(name: str) -> Any:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            num_runs[name] += 1
            if isinstance(module, nn.BatchNorm2d) and inputs[0].grad_fn is not None:
                taken_by.append((inputs[0].grad_fn, name))
            elif output.grad_fn is not None:
                made_by[output.grad_fn] = name

        return note

    with ExitStack() as hooks, torch.enable_grad():
        for name, module in network.named_modules():
            if _is_foldable_convolution(module) or isinstance(module, nn.BatchNorm2d):
                hooks.enter_context(module.register_forward_hook(watch(name)))
        output = network(probe)
    num_takers = Counter(_edges(output.grad_fn))
    pairs = [(made_by[node], norm) for node, norm in taken_by if node in made_by and num_takers[node] == 1]
    return [pair for pair in pairs if all(num_runs[name] == 1 for name in pair)]


def _is_foldable_convolution(module: nn.Module) -> bool:
    # torch folds a norm into a transposed convolution only where that has one group
    return isinstance(module, nn.Conv2d) or (isinstance(module, nn.ConvTranspose2d) and module.groups == 1)


def _edges(root: Node) -> Iterator[Node]:
    """Yield, for every edge of the autograd graph behind `root`, the node that it leads to."""
    seen, waiting = {root}, [root]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None:
                yield node
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)


def _fold_parametrizations(network: nn.Module) -> None:
    """Leave the weights as plain parameters that `parametrize` computes at every pass, spectral norm above all."""
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            assert isinstance(module.parametrizations, nn.ModuleDict)
            values = {name: getattr(module, name).detach() for name in module.parametrizations}
            # Not `remove_parametrizations`: it strips the class, which the copy shares with the original.
            module.__class__ = parametrize.type_before_parametrizations(module)
            del module.parametrizations
            for name, value in values.items():
                setattr(module, name, nn.Parameter(value))


def probe_of(network: ColorNetwork) -> Tensor:
    """Return two small pictures that `network` takes, as lightness (2, 1, S, S), the same each time."""
    size = network.size_multiple * max(1, 64 // network.size_multiple)
    return 100 * torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0))
