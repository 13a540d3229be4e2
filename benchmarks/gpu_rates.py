"""What a device does at best, measured, and what a model asks of it, counted."""

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import torch

from benchmarks.gpu_roofline import Layer, Rates
from kinema_core.bundle import Bundle
from kinema_core.engines.onnx_to_torch import Convolution, module_from_onnx

DTYPES: Final = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def measure_rates(device: str, *, is_small: bool) -> Rates:
    """Time matrix products and copies on `device`; small ones only show that it works."""
    side, num_bytes = (64, 1 << 20) if is_small else (8192, 1 << 31)
    matmul = {name: _matmul_flops(device, dtype, side) for name, dtype in DTYPES.items()}
    source, target = (torch.zeros(num_bytes, dtype=torch.uint8, device=device) for _ in range(2))
    copy = 2 * num_bytes / seconds_of(lambda: target.copy_(source), device)
    host = torch.zeros(num_bytes // 8, dtype=torch.uint8, pin_memory=device == "cuda")
    part = target[: len(host)]
    upload = len(host) / seconds_of(lambda: part.copy_(host, non_blocking=True), device)
    download = len(host) / seconds_of(lambda: host.copy_(part, non_blocking=True), device)
    return Rates(matmul, copy, upload, download)


def _matmul_flops(device: str, dtype: torch.dtype, side: int) -> float:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))  # zeros would run faster
    torch.backends.cuda.matmul.allow_tf32 = False
    return 2 * side**3 / seconds_of(lambda: left @ right, device)


def seconds_of(work: Callable[[], Any], device: str, *, num_rounds: int = 10) -> float:
    """Return the seconds of one call in the mean of `num_rounds`, after three that are not counted."""
    for _ in range(3):
        work()
    synchronize(device)
    began = perf_counter()
    for _ in range(num_rounds):
        work()
    synchronize(device)
    return (perf_counter() - began) / num_rounds


def synchronize(device: str) -> None:
    """Wait for what was queued on `device`."""
    if device == "cuda":
        torch.cuda.synchronize()


def layers_of(bundle: Bundle, batch: int, height: int, width: int) -> list[Layer]:
    """List the convolutions of a model for `batch` pictures of `height` x `width`; nothing is computed."""
    layers: list[Layer] = []

    def count(convolution: Any, given: tuple[torch.Tensor, ...], result: torch.Tensor) -> None:
        operations = 2 * result.numel() * math.prod(convolution.weight.shape[1:])
        layers.append(Layer(operations, given[0].numel() + convolution.weight.numel() + result.numel()))

    module = module_from_onnx(bundle.onnx).to("meta")
    for part in module.modules():
        if isinstance(part, Convolution):
            part.register_forward_hook(count)
    module(torch.empty(batch, 1, height, width, device="meta"))
    return layers
