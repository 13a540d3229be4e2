"""How long the model would take on a device if nothing but arithmetic and memory stood in its way.

After Williams, Waterman and Patterson, "Roofline" (2009), layer by layer: a convolution takes at least the time of its
arithmetic at the measured rate of large matrix products, and at least the time of moving its input, weights and output
at the measured rate of large copies. The sum of the greater of the two is the roofline time; what lies between
convolutions is taken to be fused into them, and is free.
"""

from dataclasses import dataclass
from typing import Final

BYTES: Final = {"f32": 4, "f16": 2, "bf16": 2, "int8": 1}
"""Of a number, by precision."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution."""

    num_operations: float
    """Multiplications and additions, each counted."""
    num_moved: float
    """Numbers of its input, weights and output."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What the device does at best, measured."""

    matmul_flops: dict[str, float]
    """Operations a second of a large matrix product, by precision."""
    copy_bytes: float
    """Bytes a second that are read and written by a copy within the device's memory."""
    upload_bytes: float
    """Bytes a second from pinned host memory."""
    download_bytes: float
    """Bytes a second to pinned host memory."""


def roofline_seconds(layers: list[Layer], rates: Rates, precision: str) -> float:
    """Return the least seconds that `layers` can take, as the module says; int8 is held against the rate of f16."""
    flops = rates.matmul_flops["f16" if precision == "int8" else precision]
    num_bytes = BYTES[precision]
    return sum(max(layer.num_operations / flops, layer.num_moved * num_bytes / rates.copy_bytes) for layer in layers)
