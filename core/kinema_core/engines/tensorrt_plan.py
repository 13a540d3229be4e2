"""From an ONNX file to a plan: what TensorRT runs."""

from dataclasses import dataclass
from typing import Any, Final

from kinema_core.engines.engine import INPUT, OUTPUT
from kinema_core.engines.tensorrt_runtime import TensorRt
from kinema_core.errors import BundleError, EngineError

BUILD_VERSION: Final = 1
"""To be raised whenever another plan comes of the same model; plans of an older one are built anew."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The sizes that one part of a plan is made for."""

    max_batch: int
    max_side: int
    """Of height and of width, in pixels."""
    best_batch: int
    best_side: int
    """What it is at its fastest with."""

    def holds(self, height: int, width: int) -> bool:
        """Tell whether pictures of that size run in it."""
        return max(height, width) <= self.max_side


def profiles_for(working_size: int) -> tuple[Profile, ...]:
    """Return the profiles of a model; a size runs in the first that holds it.

    Pictures of a larger size than any film's at its default run one at a time: 16 of them would pass TensorRT's bound
    of 2^31 values in a tensor. 4096 is the longest side that the pipeline ever gives a model.
    """
    return (Profile(16, 1024, 4, min(working_size, 1024)), Profile(1, 4096, 1, 2048))


@dataclass(frozen=True, slots=True)
class BuiltPlan:
    """What a build gives."""

    plan: bytes
    timings: bytes
    """TensorRT's timing cache, which makes the next build faster and alike; nothing of TensorRT-RTX's."""


def build_plan(
    runtime: TensorRt, onnx_bytes: bytes, profiles: tuple[Profile, ...], *, size_multiple: int,
    targets: tuple[Any, ...] = (), timings: bytes = b"",
) -> BuiltPlan:  # fmt: skip
    """Build a plan; with TensorRT-RTX and `targets` it needs no GPU.

    Every value has the type that it has in the ONNX file; TF32 is off, so that f32 is f32.

    Args:
        runtime: TensorRT or TensorRT-RTX.
        onnx_bytes: the model.
        profiles: what sizes to build for.
        size_multiple: the smallest side.
        targets: the ComputeCapability of each GPU to build for; none for this machine's, or for all that
            TensorRT-RTX builds for by itself.
        timings: the timing cache of an earlier build, or nothing.

    Raises:
        BundleError: the model has other inputs and outputs than a Kinema model has.
        EngineError: the model cannot be parsed or built.
    """
    trt = runtime.module
    try:
        builder = trt.Builder(runtime.logger)
        network = parse_onnx(runtime, builder, onnx_bytes)
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # for the inspector; it costs names alone
        config.clear_flag(trt.BuilderFlag.TF32)
        _set_targets(config, targets)
        for profile in profiles:
            _add_profile(builder, config, profile, size_multiple)
        keeps_timings = runtime.name == "tensorrt"  # TensorRT-RTX measures nothing when it builds
        if keeps_timings:
            _set_timings(config, timings)
        plan = builder.build_serialized_network(network, config)
        measured = bytes(config.get_timing_cache().serialize()) if keeps_timings else b""
    except (RuntimeError, TypeError, ValueError, MemoryError) as err:
        raise EngineError(f"{runtime.title} cannot build the model: {err}; {runtime.complaint()}") from err
    if plan is None:
        raise EngineError(f"{runtime.title} cannot build the model: {runtime.complaint()}")
    return BuiltPlan(bytes(plan), measured)


def parse_onnx(runtime: TensorRt, builder: Any, onnx_bytes: bytes) -> Any:
    """Return the model as a strongly typed INetworkDefinition.

    Raises:
        BundleError: it has other inputs and outputs than a Kinema model has.
        EngineError: it cannot be parsed.
    """
    trt = runtime.module
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    # From 11 on networks are never anything else.
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, runtime.logger)
    if not parser.parse(onnx_bytes):
        errors = [parser.get_error(number) for number in range(parser.num_errors)]
        told = "; ".join(f"{error.node_operator()} {error.node_name()}: {error.desc()}" for error in errors)
        runtime.complaint()  # the same again
        raise EngineError(f"{runtime.title} cannot read the model: {told or 'it does not say why'}")
    inputs = [network.get_input(number) for number in range(network.num_inputs)]
    outputs = [network.get_output(number) for number in range(network.num_outputs)]
    found = [(tensor.name, tensor.dtype) for tensor in (*inputs, *outputs)]
    if len(inputs) != 1 or found != [(INPUT, trt.float32), (OUTPUT, trt.float32)]:
        raise BundleError(f"the model must take {INPUT} and give {OUTPUT}, both f32; it has {found}")
    return network


def _set_timings(config: Any, timings: bytes) -> None:
    if not config.set_timing_cache(config.create_timing_cache(timings), ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)  # of another GPU: anew


def _set_targets(config: Any, targets: tuple[Any, ...]) -> None:
    if not targets:
        return
    config.num_compute_capabilities = len(targets)
    for number, target in enumerate(targets):
        if not config.set_compute_capability(target, number):
            raise ValueError(f"it does not build for {target}")


def _add_profile(builder: Any, config: Any, profile: Profile, size_multiple: int) -> None:
    shapes = [
        (batch, 1, side, side)
        for batch, side in (
            (1, size_multiple),
            (profile.best_batch, profile.best_side),
            (profile.max_batch, profile.max_side),
        )
    ]
    made = builder.create_optimization_profile()
    made.set_shape(INPUT, *shapes)
    if config.add_optimization_profile(made) < 0:
        raise ValueError(f"it does not take sizes {shapes}")
