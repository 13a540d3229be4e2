"""Which engine runs a model here."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine, Precision, check_options, model_file
from kinema_core.engines.onnxruntime import open_onnxruntime
from kinema_core.engines.onnxruntime_cuda import open_onnxruntime_cuda
from kinema_core.engines.openvino import open_openvino
from kinema_core.engines.tensorrt import open_tensorrt, open_tensorrt_rtx
from kinema_core.engines.torch import open_torch, open_torch_cuda
from kinema_core.errors import EngineError, EngineUnavailableError, InvalidInputError, NoGpuError

_log = logging.getLogger(__name__)


class OpenEngine(Protocol):
    """Opens one kind of engine; raises EngineUnavailableError where that cannot run."""

    def __call__(self, bundle: Bundle, *, precision: Precision, num_threads: int | None) -> Engine:
        """Open a model."""


GPU_ENGINES: Final[Mapping[str, OpenEngine]] = MappingProxyType({
    "tensorrt": open_tensorrt,
    "tensorrt-rtx": open_tensorrt_rtx,
    "onnxruntime-cuda": open_onnxruntime_cuda,
    "torch-cuda": open_torch_cuda,
})  # fmt: skip
"""Those that need an NVIDIA GPU; they raise NoGpuError where there is none."""

CPU_ENGINES: Final[Mapping[str, OpenEngine]] = MappingProxyType({
    "openvino": open_openvino,
    "onnxruntime": open_onnxruntime,
    "torch": open_torch,
})  # fmt: skip

ENGINES: Final[Mapping[str, OpenEngine]] = MappingProxyType({**GPU_ENGINES, **CPU_ENGINES})
"""Every engine by name, the first that runs is the best."""

AUTO: Final = "auto"
ENGINE_NAMES: Final = (AUTO, *ENGINES)


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An open engine, and why it is this one."""

    engine: Engine
    reason: str
    """For people: what was asked for or tried before, and why each of those is not it."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Why not, by the name of each engine that was tried before, in order."""


def open_engine(
    bundle: Bundle, name: str = AUTO, *, precision: Precision = "f32", num_threads: int | None = None
) -> EngineChoice:
    """Open the engine called `name`, or the first of ENGINES that runs here for "auto"; the caller closes it.

    Raises:
        InvalidInputError: an unknown engine or precision, or fewer than one thread.
        EngineUnavailableError: the engine cannot run on this machine, or for "auto" none can; or the bundle has no form
            for the precision.
        EngineError: the engine that was asked for failed on this model.
        BundleError: the model is not a Kinema model.
    """
    check_options(precision, num_threads)
    if name not in ENGINE_NAMES:
        raise InvalidInputError("engine", f"must be one of {', '.join(ENGINE_NAMES)}, got {name!r}")
    model_file(bundle, precision)  # what the bundle lacks, no engine can run
    if name != AUTO:
        engine = ENGINES[name](bundle, precision=precision, num_threads=num_threads)
        return _chosen(engine, "asked for by name", {})
    passed_over: dict[str, str] = {}
    for candidate, open_candidate in ENGINES.items():
        try:
            engine = open_candidate(bundle, precision=precision, num_threads=num_threads)
        except EngineError as err:
            # A machine without a GPU is no fault that a log should warn of at every start.
            level = logging.INFO if isinstance(err, NoGpuError) else logging.WARNING
            _log.log(level, "engine_skipped", extra={"engine": candidate, "reason": str(err)})
            passed_over[candidate] = str(err)
        else:
            return _chosen(engine, _in_place_of(passed_over), passed_over)
    raise EngineUnavailableError(f"no engine runs on this machine. {_told(passed_over)}")


def _in_place_of(passed_over: Mapping[str, str]) -> str:
    return f"in place of {_told(passed_over)}" if passed_over else "the first choice"


def _told(passed_over: Mapping[str, str]) -> str:
    """Say each reason once, behind all engines that it holds for: "tensorrt, tensorrt-rtx: no GPU"."""
    names: dict[str, list[str]] = {}
    for name, reason in passed_over.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(who)}: {reason}" for reason, who in names.items())


def _chosen(engine: Engine, why: str, passed_over: Mapping[str, str]) -> EngineChoice:
    reason = f"{engine.name} ({engine.device}, {engine.precision}): {why}"
    _log.info("engine_opened", extra={"engine": engine.name, "precision": engine.precision, "reason": reason})
    return EngineChoice(engine, reason, passed_over)
