"""TensorRT and TensorRT-RTX: one API in two Python packages."""

import importlib
import logging
from dataclasses import dataclass
from typing import Any, Final, Literal

from kinema_core.engines.cuda_driver import Gpu
from kinema_core.errors import EngineUnavailableError

_log = logging.getLogger(__name__)

TensorRtName = Literal["tensorrt", "tensorrt-rtx"]

_MODULES: Final = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
_MAJOR_VERSIONS: Final = {"tensorrt": (10, 11), "tensorrt-rtx": (1,)}
_ADVICE: Final = {
    "tensorrt": "install TensorRT 10 or 11 as NVIDIA offers it, with `pip install 'kinema[tensorrt]'` from NVIDIA's "
    "own index, for PyPI alone has no libraries of it",
    "tensorrt-rtx": "install it with `pip install 'kinema[tensorrt-rtx]'`",
}


@dataclass(frozen=True, slots=True)
class TensorRt:
    """One of the two packages, loaded."""

    name: TensorRtName
    module: Any
    version: str
    logger: Any
    """An ILogger, whose `complaints` are what went wrong last."""

    @property
    def title(self) -> str:
        """Its name and version, for people."""
        return f"{'TensorRT' if self.name == 'tensorrt' else 'TensorRT-RTX'} {self.version}"

    def complaint(self) -> str:
        """Return, and forget, what it has said of errors since it was last asked."""
        told = "; ".join(self.logger.complaints) or "it does not say why"
        self.logger.complaints.clear()
        return told


def load_tensorrt(name: TensorRtName) -> TensorRt:
    """Import one of the two. Where a plan is to run, the driver must have been asked for its GPU before.

    Raises:
        EngineUnavailableError: it is not installed, broken, or of a version that is not known to work.
    """
    try:
        module = importlib.import_module(_MODULES[name])
        version, logger_type = str(module.__version__), module.ILogger
    except (ImportError, OSError, RuntimeError, AttributeError) as err:
        raise EngineUnavailableError(f"{name} does not load here ({err}); {_ADVICE[name]}") from err
    allowed = _MAJOR_VERSIONS[name]
    if version.partition(".")[0] not in map(str, allowed):
        told = " or ".join(map(str, allowed))
        raise EngineUnavailableError(f"{name} must be of version {told}, found {version}; {_ADVICE[name]}")
    return TensorRt(name, module, version, _make_logger(logger_type))


def target_of(runtime: TensorRt, gpu: Gpu) -> Any | None:
    """Return the ComputeCapability that plans for `gpu` are built with; None for TensorRT, which always asks the GPU.

    Raises:
        EngineUnavailableError: this TensorRT-RTX does not know GPUs of its kind.
    """
    if runtime.name == "tensorrt":
        return None
    known = compute_capabilities(runtime)
    if gpu.compute_capability not in known:
        told = ", ".join(f"{major}.{minor}" for major, minor in known)
        raise EngineUnavailableError(f"{runtime.title} has no code for {gpu}; it lists the compute capabilities {told}")
    return known[gpu.compute_capability]


def compute_capabilities(runtime: TensorRt) -> dict[tuple[int, int], Any]:
    """List what TensorRT-RTX can build for: its ComputeCapability by compute capability, as in (8, 9)."""
    named = runtime.module.ComputeCapability.__members__
    found = {name.removeprefix("SM"): value for name, value in named.items() if name.startswith("SM")}
    return {(int(digits[:-1]), int(digits[-1])): found[digits] for digits in sorted(found, key=int)}


def _make_logger(logger_type: Any) -> Any:
    """Make an ILogger that hands everything on to Python's logging and keeps the complaints."""

    class PythonLogger(logger_type):  # type: ignore[misc]  # its base is known at run time alone
        def __init__(self) -> None:
            logger_type.__init__(self)
            self.complaints: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            is_error = severity in {logger_type.Severity.ERROR, logger_type.Severity.INTERNAL_ERROR}
            if is_error:
                self.complaints.append(" ".join(message.split()))
            # A complaint is raised as an error by whoever called; twice said is once too often.
            _log.debug("tensorrt_said", extra={"severity": str(severity), "reason": message})

    return PythonLogger()
