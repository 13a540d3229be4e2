"""Running a plan: buffers, streams and graphs around TensorRT's own `execute_async_v3`.

A call is cut into parts that a profile holds, each a power of two, so that few sizes have to be prepared. Each part
goes through one of two slots, so that the copies of one part overlap the kernels of the other:

    slot 0   copy in ── kernels ── copy out
    slot 1              copy in ── kernels ── copy out

Kernels run one part after the other, in one stream. A size that comes again runs as a CUDA graph.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinema_core.engines.batch_parts import parts_of
from kinema_core.engines.cuda_memory import Bytes, Cuda, Handle
from kinema_core.engines.engine import F32, INPUT, OUTPUT
from kinema_core.engines.tensorrt_plan import Profile
from kinema_core.engines.tensorrt_runtime import TensorRt
from kinema_core.engines.tensors import Tensors
from kinema_core.errors import EngineError

if TYPE_CHECKING:
    import torch

_log = logging.getLogger(__name__)

NUM_SLOTS: Final = 2
MAX_PREPARED: Final = 16
"""Sizes that are kept ready; the one that was longest unused makes room."""
_F32_BYTES: Final = 4
_MIN_SCRATCH_BYTES: Final = 256
"""The alignment that TensorRT asks for."""

Shape = tuple[int, int, int, int]


@dataclass(slots=True)
class _Slot:
    """What one part needs on its way: a buffer at each end of each copy, its own stream for them, and marks."""

    stream: Handle
    is_in: Handle
    """The input is on the GPU."""
    is_computed: Handle
    is_out: Handle
    """The result is back."""
    host_in: Bytes | None = None
    host_out: Bytes | None = None
    device_in: int = 0
    device_out: int = 0
    part: slice | None = None
    """Which pictures of the call are under way in it."""


@dataclass(slots=True)
class _Prepared:
    """An execution context for one size. Graphs refer to its state, so that no two sizes share one."""

    context: Any
    num_runs: list[int] = field(default_factory=lambda: [0] * NUM_SLOTS)
    graphs: dict[int, Handle] = field(default_factory=dict)
    """By slot."""


class TensorRtModel:
    """A plan that was loaded, as an open model."""

    def __init__(
        self, runtime: TensorRt, engine: Any, cuda: Cuda, profiles: tuple[Profile, ...], *, output_stride: int,
        runtime_config: Any = None, tensors: Tensors | None = None,
    ) -> None:  # fmt: skip
        """Take over `engine`, an ICudaEngine; `runtime_config` is TensorRT-RTX's IRuntimeConfig."""
        self.batch_limit: int | None = None
        """The most pictures in one run of the kernels; None for what the profile holds."""
        self._runtime = runtime
        self._engine: Any = engine
        self._runtime_config: Any = runtime_config
        self._cuda = cuda
        self._tensors = tensors
        self._profiles = profiles
        self._stride = output_stride
        self._uses_graphs = True
        self._prepared: OrderedDict[Shape, _Prepared] = OrderedDict()
        self._scratch = 0
        self._num_scratch_bytes = 0
        self._stream = cuda.create_stream()
        self._slots = [
            _Slot(cuda.create_stream(), cuda.create_event(), cuda.create_event(), cuda.create_event())
            for _ in range(NUM_SLOTS)
        ]

    def run(self, lightness: F32) -> F32:
        """Return ab for L*, as `OpenModel` says."""
        num_pictures, _, height, width = lightness.shape
        number, limit = self._profile_for(height, width)
        ab = np.empty((num_pictures, 2, height // self._stride, width // self._stride), np.float32)
        try:
            for count, part in enumerate(parts_of(num_pictures, limit)):
                slot = count % NUM_SLOTS
                self._collect(slot, ab)
                self._submit(slot, number, lightness, part)
            for slot in range(NUM_SLOTS):
                self._collect(slot, ab)
        except BaseException:
            self._abandon()
            raise
        return ab

    def run_on_device(self, lightness: "torch.Tensor") -> "torch.Tensor":
        """Return ab for L*, as `TensorModel` says, when it is done."""
        assert self._tensors is not None, "it takes no tensors"
        given = lightness.contiguous()
        num_pictures, _, height, width = given.shape
        ab = given.new_empty((num_pictures, 2, height // self._stride, width // self._stride))
        source, target = given.data_ptr(), ab.data_ptr()
        number, limit = self._profile_for(height, width)
        num_in, num_out = (tensor[0].numel() * _F32_BYTES for tensor in (given, ab))
        slot, cuda = self._slots[0], self._cuda
        try:
            cuda.record(slot.is_in, self._tensors.queue())
            cuda.wait(self._stream, slot.is_in)
            for part in parts_of(num_pictures, limit):
                num = part.stop - part.start
                self._make_room(0, num * num_in, num * num_out)  # of the first part, which is the largest
                prepared = self._prepare(number, (num, 1, height, width))
                cuda.copy_on_device(slot.device_in, source + part.start * num_in, num * num_in, self._stream)
                self._compute(0, prepared)
                cuda.copy_on_device(target + part.start * num_out, slot.device_out, num * num_out, self._stream)
            cuda.synchronize_stream(self._stream)
        except BaseException:
            self._abandon()
            raise
        return ab

    def close(self) -> None:
        """Free everything on the GPU."""
        self._abandon()
        for size in list(self._prepared):
            self._forget(size)
        self._engine = self._runtime_config = None
        if self._scratch:
            self._cuda.free(self._scratch)
        for slot in self._slots:
            self._free_buffers(slot)
            for event in (slot.is_in, slot.is_computed, slot.is_out):
                self._cuda.destroy_event(event)
            self._cuda.destroy_stream(slot.stream)
        self._cuda.destroy_stream(self._stream)

    def _profile_for(self, height: int, width: int) -> tuple[int, int]:
        """Return the number of the profile that holds pictures of a size, and how many of them it may run at a time."""
        number = next((n for n, profile in enumerate(self._profiles) if profile.holds(height, width)), None)
        if number is None:
            longest = max(profile.max_side for profile in self._profiles)
            raise EngineError(f"this plan takes pictures of up to {longest} a side, got {height}x{width}")
        most = self._profiles[number].max_batch
        return number, min(most, self.batch_limit or most)

    def _submit(self, slot_number: int, profile: int, lightness: F32, part: slice) -> None:
        slot, cuda = self._slots[slot_number], self._cuda
        pictures = lightness[part]
        num, _, height, width = pictures.shape
        num_in = pictures.nbytes
        num_out = num * 2 * (height // self._stride) * (width // self._stride) * _F32_BYTES
        self._make_room(slot_number, num_in, num_out)
        assert slot.host_in is not None
        assert slot.host_out is not None
        slot.host_in[:num_in] = pictures.reshape(-1).view(np.uint8)
        prepared = self._prepare(profile, (num, 1, height, width))
        slot.part = part
        cuda.copy_to_device(slot.device_in, slot.host_in[:num_in], slot.stream)
        cuda.record(slot.is_in, slot.stream)
        cuda.wait(self._stream, slot.is_in)
        self._compute(slot_number, prepared)
        cuda.record(slot.is_computed, self._stream)
        cuda.wait(slot.stream, slot.is_computed)
        cuda.copy_to_host(slot.host_out[:num_out], slot.device_out, slot.stream)
        cuda.record(slot.is_out, slot.stream)

    def _collect(self, slot_number: int, ab: F32) -> None:
        """Wait for what is under way in a slot, and put it in its place."""
        slot = self._slots[slot_number]
        if slot.part is None:
            return
        self._cuda.synchronize_event(slot.is_out)
        assert slot.host_out is not None
        place = ab[slot.part]
        place[...] = slot.host_out[: place.nbytes].view(np.float32).reshape(place.shape)
        slot.part = None

    def _abandon(self) -> None:
        """Wait until nothing is under way any more, whatever came of it."""
        for stream in (*(slot.stream for slot in self._slots), self._stream):
            try:
                self._cuda.synchronize_stream(stream)
            except EngineError as err:
                _log.warning("gpu_work_failed", extra={"reason": str(err)})
        for slot in self._slots:
            slot.part = None

    def _compute(self, slot_number: int, prepared: _Prepared) -> None:
        """Queue the kernels: by themselves at first, which TensorRT needs before it is captured, then as a graph."""
        graph = prepared.graphs.get(slot_number)
        if graph is None and self._uses_graphs and prepared.num_runs[slot_number]:
            graph = self._capture(slot_number, prepared)
        if graph is None:
            self._enqueue(slot_number, prepared)
        else:
            self._cuda.launch(graph, self._stream)
        prepared.num_runs[slot_number] += 1

    def _capture(self, slot_number: int, prepared: _Prepared) -> Handle | None:
        try:
            graph = self._cuda.capture(self._stream, lambda: self._enqueue(slot_number, prepared))
        except EngineError as err:
            self._uses_graphs = False
            _log.warning("cuda_graph_not_used", extra={"reason": str(err)})
            return None
        prepared.graphs[slot_number] = graph
        return graph

    def _enqueue(self, slot_number: int, prepared: _Prepared) -> None:
        slot, context = self._slots[slot_number], prepared.context
        are_set = [
            context.set_tensor_address(INPUT, slot.device_in),
            context.set_tensor_address(OUTPUT, slot.device_out),
        ]
        if not all(are_set) or not context.execute_async_v3(stream_handle=int(self._stream)):
            raise EngineError(f"{self._runtime.title} failed: {self._runtime.complaint()}")

    def _prepare(self, profile: int, shape: Shape) -> _Prepared:
        """Return the context for a size, with the scratch memory that it needs."""
        if shape in self._prepared:
            self._prepared.move_to_end(shape)
            return self._prepared[shape]
        if len(self._prepared) >= MAX_PREPARED:
            self._cuda.synchronize_stream(self._stream)
            self._forget(next(iter(self._prepared)))
        context = self._create_context()
        if context is None or not context.set_optimization_profile_async(profile, int(self._stream)):
            raise EngineError(f"{self._runtime.title} makes no context: {self._runtime.complaint()}")
        self._cuda.synchronize_stream(self._stream)
        if not context.set_input_shape(INPUT, shape):
            raise EngineError(f"{self._runtime.title} does not take {shape}: {self._runtime.complaint()}")
        self._grow_scratch(int(context.update_device_memory_size_for_shapes()))
        context.set_device_memory(self._scratch, self._num_scratch_bytes)
        self._prepared[shape] = _Prepared(context)
        return self._prepared[shape]

    def _create_context(self) -> Any:
        strategy = self._runtime.module.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._runtime_config is None:
            return self._engine.create_execution_context(strategy)
        self._runtime_config.set_execution_context_allocation_strategy(strategy)
        return self._engine.create_execution_context(self._runtime_config)

    def _grow_scratch(self, num_bytes: int) -> None:
        """Have at least so much memory for what lies between input and output; all contexts share it in turn."""
        num_bytes = max(num_bytes, _MIN_SCRATCH_BYTES)
        if num_bytes <= self._num_scratch_bytes:
            return
        self._cuda.synchronize_stream(self._stream)
        for size in list(self._prepared):
            self._forget(size)  # they hold the old address
        if self._scratch:
            self._cuda.free(self._scratch)
            self._scratch = self._num_scratch_bytes = 0
        self._scratch = self._cuda.allocate(num_bytes)
        self._num_scratch_bytes = num_bytes

    def _make_room(self, slot_number: int, num_in: int, num_out: int) -> None:
        """Have buffers of at least so many bytes in a slot, in which nothing is under way."""
        slot = self._slots[slot_number]
        if slot.host_in is not None and slot.host_out is not None:
            if num_in <= slot.host_in.nbytes and num_out <= slot.host_out.nbytes:
                return
            num_in, num_out = max(num_in, slot.host_in.nbytes), max(num_out, slot.host_out.nbytes)
        for prepared in self._prepared.values():
            if slot_number in prepared.graphs:  # it holds the old addresses
                self._cuda.destroy_graph(prepared.graphs.pop(slot_number))
        self._free_buffers(slot)
        try:
            slot.host_in = self._cuda.allocate_pinned(num_in)
            slot.host_out = self._cuda.allocate_pinned(num_out)
            slot.device_in = self._cuda.allocate(num_in)
            slot.device_out = self._cuda.allocate(num_out)
        except EngineError:
            self._free_buffers(slot)  # all or nothing
            raise

    def _free_buffers(self, slot: _Slot) -> None:
        for memory in (slot.host_in, slot.host_out):
            if memory is not None:
                self._cuda.free_pinned(memory)
        for address in (slot.device_in, slot.device_out):
            if address:
                self._cuda.free(address)
        slot.host_in = slot.host_out = None
        slot.device_in = slot.device_out = 0

    def _forget(self, size: Shape) -> None:
        prepared = self._prepared.pop(size)
        for graph in prepared.graphs.values():
            self._cuda.destroy_graph(graph)
