"""FakeTensorRt and FakeCuda: no GPU, no TensorRT, and no claim to be either.

FakeCuda runs what is queued as late as it may: nothing happens in a stream before somebody waits for it, a copy reads
its memory only then, and new memory is full of NaN. Code that forgets to wait gets wrong numbers. FakeTensorRt's plans
hold the ONNX file, which ONNX Runtime runs on the CPU.
"""

import ctypes
import itertools
import json
from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from kinema_core.engines.tensorrt_runtime import TensorRt, TensorRtName, _make_logger
from kinema_core.errors import EngineError

Bytes = NDArray[np.uint8]
F32 = NDArray[np.float32]


class FakeStream:
    """A queue that runs only when somebody waits for it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.work: list[Callable[[], None]] = []
        self.num_done = 0

    def __int__(self) -> int:
        return self.number

    def run_to(self, position: int) -> None:
        while self.num_done < position:
            self.num_done += 1
            self.work[self.num_done - 1]()


class FakeEvent:
    """A place in a queue."""

    def __init__(self) -> None:
        self.place: tuple[FakeStream, int] | None = None

    def run(self) -> None:
        if self.place is not None:
            self.place[0].run_to(self.place[1])


class FakeCuda:
    """Memory and queues of a GPU that is not there."""

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self.max_bytes = max_bytes
        self.memory: dict[int, Bytes] = {}
        self.pinned: dict[int, Bytes] = {}
        self.streams: dict[int, FakeStream] = {}
        self.events: set[FakeEvent] = set()
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.num_launches = 0
        self.captures_fail = False
        self._numbers = itertools.count(1)
        self._capturing: FakeStream | None = None

    @property
    def num_bytes(self) -> int:
        return sum(block.nbytes for block in self.memory.values())

    @property
    def is_empty(self) -> bool:
        return not (self.memory or self.pinned or self.streams or self.events or self.graphs)

    def allocate(self, num_bytes: int) -> int:
        if self.num_bytes + num_bytes > self.max_bytes:
            raise EngineError("the GPU has no memory left")
        address = next(self._numbers) << 32
        self.memory[address] = np.full(num_bytes, 0xFF, np.uint8)  # NaN, read as float32
        return address

    def free(self, address: int) -> None:
        self.memory.pop(address)

    def allocate_pinned(self, num_bytes: int) -> Bytes:
        memory = np.full(num_bytes, 0xFF, np.uint8)
        self.pinned[memory.ctypes.data] = memory
        return memory

    def free_pinned(self, memory: Bytes) -> None:
        self.pinned.pop(memory.ctypes.data)

    def create_stream(self) -> FakeStream:
        stream = FakeStream(next(self._numbers))
        self.streams[stream.number] = stream
        return stream

    def destroy_stream(self, stream: FakeStream) -> None:
        self.streams.pop(stream.number)

    def synchronize_stream(self, stream: FakeStream) -> None:
        assert self._capturing is None, "nothing may be waited for while work is captured"
        stream.run_to(len(stream.work))

    def create_event(self) -> FakeEvent:
        event = FakeEvent()
        self.events.add(event)
        return event

    def destroy_event(self, event: FakeEvent) -> None:
        self.events.remove(event)

    def record(self, event: FakeEvent, stream: FakeStream) -> None:
        event.place = (stream, len(stream.work))

    def wait(self, stream: FakeStream, event: FakeEvent) -> None:
        place = event.place
        assert place is not None
        stream.work.append(lambda: place[0].run_to(place[1]))

    def synchronize_event(self, event: FakeEvent) -> None:
        event.run()

    def copy_to_device(self, address: int, memory: Bytes, stream: FakeStream) -> None:
        def copy() -> None:
            self.memory[address][: memory.nbytes] = memory

        stream.work.append(copy)

    def copy_to_host(self, memory: Bytes, address: int, stream: FakeStream) -> None:
        def copy() -> None:
            memory[...] = self.memory[address][: memory.nbytes]

        stream.work.append(copy)

    def copy_on_device(self, target: int, source: int, num_bytes: int, stream: FakeStream) -> None:
        def copy() -> None:
            self._at(target, num_bytes)[...] = self._at(source, num_bytes)

        stream.work.append(copy)

    def _at(self, address: int, num_bytes: int) -> Bytes:
        """Return memory of its own, or of a tensor on the CPU, which stands in for one on the GPU."""
        if address in self.memory:
            return self.memory[address][:num_bytes]
        return np.ctypeslib.as_array((ctypes.c_uint8 * num_bytes).from_address(address))

    def capture(self, stream: FakeStream, queue_work: Callable[[], None]) -> int:
        if self.captures_fail:
            raise EngineError("CUDA failed: this is not capturable")
        begin = len(stream.work)
        self._capturing = stream
        queue_work()
        self._capturing = None
        number = next(self._numbers)
        self.graphs[number] = stream.work[begin:]
        del stream.work[begin:]
        return number

    def launch(self, graph: int, stream: FakeStream) -> None:
        self.num_launches += 1
        stream.work.extend(self.graphs[graph])

    def destroy_graph(self, graph: int) -> None:
        del self.graphs[graph]


class _Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class _Logger:
    Severity = _Severity


class FakeTensorRt:
    """Stands in for the module `tensorrt` or `tensorrt_rtx`."""

    ILogger = _Logger
    float32 = np.float32

    def __init__(self, cuda: FakeCuda, version: str = "1.7") -> None:
        self.cuda = cuda
        self.__version__ = version
        self.distort: Callable[[F32, str], F32] = lambda ab, _precision: ab
        """Falsifies what the kernels give, by precision."""
        self.scratch_bytes: Callable[[tuple[int, ...]], int] = lambda shape: 8 * int(np.prod(shape))
        """What lies between input and output, by the input's shape."""
        self.num_builds = 0
        self.contexts: list[FakeContext] = []
        self.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")
        self.NetworkDefinitionCreationFlag = SimpleNamespace()
        self.ProfilingVerbosity = SimpleNamespace(DETAILED="detailed")
        self.BuilderFlag = SimpleNamespace(TF32="TF32")
        self.LayerInformationFormat = SimpleNamespace(JSON="json")

    def Builder(self, _logger: Any) -> "FakeBuilder":  # noqa: N802  # TensorRT's name
        return FakeBuilder(self)

    def OnnxParser(self, network: Any, _logger: Any) -> "FakeParser":  # noqa: N802
        return FakeParser(network)

    def Runtime(self, logger: Any) -> "FakeRuntime":  # noqa: N802
        return FakeRuntime(self, logger)


class FakeBuilder:
    """Puts the ONNX file and the profiles into a plan."""

    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt

    def create_network(self, _flags: int) -> SimpleNamespace:
        return SimpleNamespace(onnx=b"")

    def create_builder_config(self) -> "FakeConfig":
        return FakeConfig()

    def create_optimization_profile(self) -> "FakeProfile":
        return FakeProfile()

    def build_serialized_network(self, network: Any, config: "FakeConfig") -> bytes:
        assert not config.has_tf32
        self._trt.num_builds += 1
        head = {"version": self._trt.__version__, "profiles": config.profiles}
        return json.dumps(head).encode() + b"\n" + bytes(network.onnx)


class FakeConfig:
    """What a plan is built with."""

    has_tf32 = True
    profiling_verbosity = ""

    def __init__(self) -> None:
        self.profiles: list[Any] = []
        self._timings: Any = None

    def clear_flag(self, flag: str) -> None:
        assert flag == "TF32"
        self.has_tf32 = False

    def add_optimization_profile(self, profile: "FakeProfile") -> int:
        self.profiles.append(profile.shapes)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized: bytes) -> SimpleNamespace:
        return SimpleNamespace(serialize=lambda: serialized + b"timed;")

    def set_timing_cache(self, cache: Any, *, ignore_mismatch: bool) -> bool:
        self._timings = cache
        return not ignore_mismatch

    def get_timing_cache(self) -> Any:
        return self._timings


class FakeProfile:
    """Least, best and largest shape."""

    shapes: tuple[Any, ...] = ()

    def set_shape(self, name: str, *shapes: Any) -> None:
        assert name == "lightness"
        self.shapes = shapes


class FakeParser:
    """Takes the file as it is, but for bf16, which ONNX Runtime does not compute on a CPU."""

    num_errors = 1

    def __init__(self, network: Any) -> None:
        self._network = network

    def get_error(self, _number: int) -> SimpleNamespace:
        return SimpleNamespace(node_operator=lambda: "Conv", node_name=lambda: "middle", desc=lambda: "no bf16 here")

    def parse(self, content: bytes) -> bool:
        graph = onnx.load_model_from_string(content).graph
        if any(tensor.data_type == onnx.TensorProto.BFLOAT16 for tensor in graph.initializer):
            return False
        for kind, ports in (("input", graph.input), ("output", graph.output)):
            made = [SimpleNamespace(name=port.name, dtype=np.float32) for port in ports]
            setattr(self._network, f"num_{kind}s", len(made))
            setattr(self._network, f"get_{kind}", made.__getitem__)
        self._network.onnx = content
        return True


class FakeRuntime:
    """Loads plans of its own version."""

    def __init__(self, trt: FakeTensorRt, logger: Any) -> None:
        self._trt = trt
        self._logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> "FakeCudaEngine | None":
        head, _, content = plan.partition(b"\n")
        told = json.loads(head)
        if told["version"] != self._trt.__version__:
            complaint = f"the plan is of version {told['version']}"
            self._logger.log(_Severity.ERROR, complaint)
            return None
        return FakeCudaEngine(self._trt, content, told["profiles"])


class FakeCudaEngine:
    """Runs the model on the CPU."""

    def __init__(self, trt: FakeTensorRt, content: bytes, profiles: Any) -> None:
        self.trt = trt
        self.profiles = profiles
        types = {tensor.data_type for tensor in onnx.load_model_from_string(content).graph.initializer}
        self.precision = "f16" if onnx.TensorProto.FLOAT16 in types else "f32"
        self.session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def create_execution_context(self, strategy: str) -> "FakeContext":
        assert strategy == "user managed"
        context = FakeContext(self)
        self.trt.contexts.append(context)
        return context

    def create_engine_inspector(self) -> SimpleNamespace:
        return SimpleNamespace(get_engine_information=lambda _format: '{"Layers": ["Conv"]}')


class FakeContext:
    """Queues the model's run, with the shape and the addresses of that moment."""

    def __init__(self, engine: FakeCudaEngine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._scratch = 0
        self.profile: int | None = None
        self.shape: tuple[int, ...] = ()

    def set_optimization_profile_async(self, number: int, _stream: int) -> bool:
        self.profile = number
        return number < len(self._engine.profiles)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "lightness"
        assert self.profile is not None
        least, _, most = self._engine.profiles[self.profile]
        self.shape = shape
        return all(low <= side <= high for low, side, high in zip(least, shape, most, strict=True))

    def update_device_memory_size_for_shapes(self) -> int:
        return self._engine.trt.scratch_bytes(self.shape)

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= self.update_device_memory_size_for_shapes()
        self._scratch = address

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address in self._engine.trt.cuda.memory

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, cuda, shape, addresses = self._engine, self._engine.trt.cuda, self.shape, dict(self._addresses)

        def compute() -> None:
            scratch = cuda.memory[self._scratch]
            values = cuda.memory[addresses["lightness"]][: 4 * int(np.prod(shape))].view(np.float32).reshape(shape)
            scratch[: values.nbytes] = values.reshape(-1).view(np.uint8)  # two runs at a time would disturb each other
            ab = engine.session.run(None, {"lightness": values.copy()})[0]
            ab = engine.trt.distort(ab, engine.precision)
            cuda.memory[addresses["ab"]][: ab.nbytes] = ab.reshape(-1).view(np.uint8)

        cuda.streams[stream_handle].work.append(compute)
        return True


def fake_tensorrt(cuda: FakeCuda, name: TensorRtName = "tensorrt", version: str = "10.13") -> TensorRt:
    """Return the fake as what `load_tensorrt` gives."""
    return TensorRt(name, FakeTensorRt(cuda, version), version, _make_logger(_Logger))
