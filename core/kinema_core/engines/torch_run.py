"""How the torch engine runs a module: on the CPU with bits that do not depend on company, on a GPU by CUDA graphs."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import nn

from kinema_core.engines.engine import MAX_AB, MIN_CONTENT
from kinema_core.errors import EngineError

Run: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""(B, 1, h, w) float32 to (B, 2, h/s, w/s) float32; of any device in, of the module's out, free to be kept."""

_MAX_GRAPHS: Final = 8
"""Shapes of input whose graphs are kept; each holds the activations of its batch."""
_WARM_UPS: Final = 3
"""Runs before a capture, in which cuDNN and cuBLAS take their workspaces, as torch's notes on CUDA graphs ask for."""


def run_on_cpu(module: nn.Module) -> Run:
    """Return what runs `module` picture by picture on one thread of the CPU."""
    module.eval()

    def run(lightness: torch.Tensor) -> torch.Tensor:
        num_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                return torch.cat([module(picture) for picture in torch.split(lightness, 1)])
        finally:
            torch.set_num_threads(num_threads)  # it is the process's: a trainer beside has a use for them

    return run


def run_on_cuda(module: nn.Module, *, with_graphs: bool, with_compiler: bool) -> Run:
    """Return what runs `module` on the current GPU, whole batches at a time."""
    module.eval().to("cuda").to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stubs lack it
    # Not torch.compile's own graphs: their results are overwritten by the next call unless marked, and ours are copied.
    callable_module: Run = torch.compile(module, mode="max-autotune-no-cudagraphs") if with_compiler else module
    eager = _Eager(callable_module)
    return _Graphs(eager) if with_graphs else eager


@torch.inference_mode()
def check_colour_on_device(ab: torch.Tensor, lightness: torch.Tensor) -> None:
    """Refuse numbers that are no colours, as `check_colour` does, picture by picture; three numbers of each come down.

    Raises:
        EngineError: a value is no number or further out than any colour, or all of a picture's are zero where it shows
            something.
    """
    pictures = (1, 2, 3)
    extremes = torch.stack([ab.abs().amax(pictures), lightness.amax(pictures), lightness.amin(pictures)], dim=1)
    for greatest, high, low in extremes.tolist():
        if not greatest <= MAX_AB:  # NaN fails too
            raise EngineError(f"the model returned ab beyond {MAX_AB:g} or no numbers, which is no colour")
        if greatest == 0 and high - low > MIN_CONTENT:
            raise EngineError("the model returned no colour at all")


class _Eager:
    """Queues kernel by kernel."""

    def __init__(self, module: Run) -> None:
        self._module = module

    def __call__(self, lightness: torch.Tensor) -> torch.Tensor:
        on_device = lightness.to("cuda", non_blocking=True)
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            return self._module(on_device).contiguous()


@dataclass(frozen=True, slots=True, eq=False)
class _Captured:
    graph: torch.cuda.CUDAGraph
    lightness: torch.Tensor
    ab: torch.Tensor


class _Graphs:
    """Captures a graph for each shape of input, and replays it."""

    def __init__(self, eager: _Eager) -> None:
        self._eager = eager
        self._captured: OrderedDict[torch.Size, _Captured] = OrderedDict()

    @torch.inference_mode()  # a tensor that was made in this mode may be written to in no other
    def __call__(self, lightness: torch.Tensor) -> torch.Tensor:
        shape = lightness.shape
        if shape not in self._captured:
            while len(self._captured) >= _MAX_GRAPHS:
                torch.cuda.synchronize()  # the oldest may still be running
                self._captured.popitem(last=False)
            self._captured[shape] = self._capture(lightness)
        self._captured.move_to_end(shape)
        captured = self._captured[shape]
        captured.lightness.copy_(lightness, non_blocking=True)
        captured.graph.replay()
        return captured.ab.clone()

    def _capture(self, lightness: torch.Tensor) -> _Captured:
        given = lightness.to("cuda", copy=True)
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._eager(given)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads copy frames meanwhile, which the stricter modes would forbid.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            ab = self._eager(given)
        return _Captured(graph, given, ab)
