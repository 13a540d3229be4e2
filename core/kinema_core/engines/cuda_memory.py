"""Memory, streams and events of a GPU: what running a plan takes of CUDA, and no more.

`Cuda` is the seam: `CudaRuntime` is NVIDIA's cuda-python; tests give a fake in its place.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import EngineError, EngineUnavailableError

Bytes = NDArray[np.uint8]
Handle = Any
"""A stream, an event or a graph; opaque."""


class Cuda(Protocol):
    """One GPU. Every method raises EngineError where CUDA does."""

    def allocate(self, num_bytes: int) -> int:
        """Return the address of new memory on the GPU."""

    def free(self, address: int) -> None:
        """Give memory on the GPU back."""

    def allocate_pinned(self, num_bytes: int) -> Bytes:
        """Return memory of this machine that the GPU copies from and to by itself."""

    def free_pinned(self, memory: Bytes) -> None:
        """Give such memory back."""

    def create_stream(self) -> Handle:
        """Return a new queue of work."""

    def destroy_stream(self, stream: Handle) -> None:
        """Free a queue."""

    def synchronize_stream(self, stream: Handle) -> None:
        """Wait until a queue is empty."""

    def create_event(self) -> Handle:
        """Return a new mark to set in a queue."""

    def destroy_event(self, event: Handle) -> None:
        """Free a mark."""

    def record(self, event: Handle, stream: Handle) -> None:
        """Set a mark behind what is in a queue."""

    def wait(self, stream: Handle, event: Handle) -> None:
        """Have a queue go on only once a mark was passed."""

    def synchronize_event(self, event: Handle) -> None:
        """Wait until a mark was passed."""

    def copy_to_device(self, address: int, memory: Bytes, stream: Handle) -> None:
        """Queue a copy of pinned `memory` to the GPU."""

    def copy_to_host(self, memory: Bytes, address: int, stream: Handle) -> None:
        """Queue a copy from the GPU that fills pinned `memory`."""

    def copy_on_device(self, target: int, source: int, num_bytes: int, stream: Handle) -> None:
        """Queue a copy from one address on the GPU to another."""

    def capture(self, stream: Handle, queue_work: Callable[[], None]) -> Handle:
        """Return what `queue_work` puts in a queue as one graph, without running it."""

    def launch(self, graph: Handle, stream: Handle) -> None:
        """Queue a graph."""

    def destroy_graph(self, graph: Handle) -> None:
        """Free a graph."""


class CudaRuntime:
    """The CUDA runtime of cuda-python."""

    def __init__(self) -> None:
        """Load it.

        Raises:
            EngineUnavailableError: it is not installed, or broken.
        """
        try:
            from cuda.bindings import runtime
        except (ImportError, OSError, RuntimeError) as err:
            raise EngineUnavailableError(
                f"cuda-python does not load here ({err}); install it with `pip install cuda-bindings`"
            ) from err
        self._runtime: Any = runtime

    def allocate(self, num_bytes: int) -> int:
        """Return the address of new memory on the GPU."""
        return int(self._call("cudaMalloc", num_bytes))

    def free(self, address: int) -> None:
        """Give memory on the GPU back."""
        self._call("cudaFree", address)

    def allocate_pinned(self, num_bytes: int) -> Bytes:
        """Return memory of this machine that the GPU copies from and to by itself."""
        import ctypes

        address = int(self._call("cudaHostAlloc", num_bytes, self._runtime.cudaHostAllocDefault))
        return np.ctypeslib.as_array((ctypes.c_uint8 * num_bytes).from_address(address))

    def free_pinned(self, memory: Bytes) -> None:
        """Give such memory back."""
        self._call("cudaFreeHost", memory.ctypes.data)

    def create_stream(self) -> Handle:
        """Return a new queue of work, which waits for no other."""
        return self._call("cudaStreamCreateWithFlags", self._runtime.cudaStreamNonBlocking)

    def destroy_stream(self, stream: Handle) -> None:
        """Free a queue."""
        self._call("cudaStreamDestroy", stream)

    def synchronize_stream(self, stream: Handle) -> None:
        """Wait until a queue is empty."""
        self._call("cudaStreamSynchronize", stream)

    def create_event(self) -> Handle:
        """Return a new mark to set in a queue."""
        return self._call("cudaEventCreateWithFlags", self._runtime.cudaEventDisableTiming)

    def destroy_event(self, event: Handle) -> None:
        """Free a mark."""
        self._call("cudaEventDestroy", event)

    def record(self, event: Handle, stream: Handle) -> None:
        """Set a mark behind what is in a queue."""
        self._call("cudaEventRecord", event, stream)

    def wait(self, stream: Handle, event: Handle) -> None:
        """Have a queue go on only once a mark was passed."""
        self._call("cudaStreamWaitEvent", stream, event, 0)

    def synchronize_event(self, event: Handle) -> None:
        """Wait until a mark was passed."""
        self._call("cudaEventSynchronize", event)

    def copy_to_device(self, address: int, memory: Bytes, stream: Handle) -> None:
        """Queue a copy of pinned `memory` to the GPU."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, memory.ctypes.data, memory.nbytes, kind, stream)

    def copy_to_host(self, memory: Bytes, address: int, stream: Handle) -> None:
        """Queue a copy from the GPU that fills pinned `memory`."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", memory.ctypes.data, address, memory.nbytes, kind, stream)

    def copy_on_device(self, target: int, source: int, num_bytes: int, stream: Handle) -> None:
        """Queue a copy from one address on the GPU to another."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self._call("cudaMemcpyAsync", target, source, num_bytes, kind, stream)

    def capture(self, stream: Handle, queue_work: Callable[[], None]) -> Handle:
        """Return what `queue_work` puts in a queue as one graph, without running it."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            queue_work()
        finally:
            status, captured = self._runtime.cudaStreamEndCapture(stream)  # also ends one that failed
        self._check("cudaStreamEndCapture", status)
        try:
            return self._call("cudaGraphInstantiate", captured, 0)
        finally:
            self._call("cudaGraphDestroy", captured)

    def launch(self, graph: Handle, stream: Handle) -> None:
        """Queue a graph."""
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: Handle) -> None:
        """Free a graph."""
        self._call("cudaGraphExecDestroy", graph)

    def _call(self, function: str, *arguments: Any) -> Any:
        status, *results = getattr(self._runtime, function)(*arguments)
        self._check(function, status)
        return results[0] if results else None

    def _check(self, function: str, status: Any) -> None:
        errors = self._runtime.cudaError_t
        if status == errors.cudaErrorMemoryAllocation:
            raise EngineError("the GPU has no memory left; end other programs that use it, or choose --working-size")
        if status != errors.cudaSuccess:
            _, text = self._runtime.cudaGetErrorString(status)
            told = text.decode(errors="replace") if isinstance(text, bytes) else text
            raise EngineError(f"CUDA failed: {function} says {told} ({int(status)})")
