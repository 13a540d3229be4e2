"""What every generator of Kinema is: a network from L* to ab that says what it costs."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

AB_SCALE = 110.0
"""Networks predict ab divided by this, so that their numbers are of the order of one."""


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """What a network costs."""

    num_parameters: int
    gflops: float
    """Floating-point operations of one picture, in units of 10^9; a multiplication and its addition count as two."""
    size: int
    """Side of that picture, in pixels."""


class ColorNetwork(nn.Module):
    """Predicts ab from L*. Scaling is inside: Lab units go in and come out."""

    size_multiple: int
    """Input height and width must be multiples of this."""
    output_stride: int
    """Output height and width are the input's divided by this."""

    @abstractmethod
    def forward(self, lightness: Tensor) -> Tensor:
        """Predict ab in Lab units, (B, 2, H/stride, W/stride), from L* 0..100, (B, 1, H, W)."""

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return what starts from weights learnt elsewhere; it learns at a lower rate. Nothing, where all is new."""
        return []

    def load_pretrained_weights(self) -> None:  # most networks have none
        """Load the weights learnt elsewhere, where there are any."""

    def describe(self, size: int = 256) -> NetworkDescription:
        """Count parameters, and the operations of one picture of `size` pixels squared."""
        return describe(self, (torch.zeros(1, 1, size, size),), size)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trained numbers in `network`."""
    return sum(p.numel() for p in network.parameters())


def describe(network: nn.Module, inputs: tuple[Tensor, ...], size: int) -> NetworkDescription:
    """Count `network`'s parameters and the operations of one pass over `inputs`."""
    was_training = network.training
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval()(*inputs)
    network.train(was_training)
    return NetworkDescription(count_parameters(network), counter.get_total_flops() / 1e9, size)
