"""Which engine runs a model here."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine, Precision, check_options, model_file
from kinema_core.engines.onnxruntime import open_onnxruntime
from kinema_core.engines.openvino import open_openvino
from kinema_core.errors import EngineError, EngineUnavailableError, InvalidInputError

_log = logging.getLogger(__name__)


class OpenEngine(Protocol):
    """Opens one kind of engine; raises EngineUnavailableError where that cannot run."""

    def __call__(self, bundle: Bundle, *, precision: Precision, num_threads: int | None) -> Engine:
        """Open a model."""


ENGINES: Final[Mapping[str, OpenEngine]] = MappingProxyType({
    "openvino": open_openvino,
    "onnxruntime": open_onnxruntime,
})  # fmt: skip
"""Every engine by name, the first that runs is the best."""

AUTO: Final = "auto"
ENGINE_NAMES: Final = (AUTO, *ENGINES)


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An open engine, and why it is this one."""

    engine: Engine
    reason: str
    """For people: what was asked for or tried before, and why each of those is not it."""


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
        return _chosen(engine, "asked for by name")
    failures: list[str] = []
    for candidate, open_candidate in ENGINES.items():
        try:
            engine = open_candidate(bundle, precision=precision, num_threads=num_threads)
        except EngineError as err:
            _log.warning("engine_skipped", extra={"engine": candidate, "reason": str(err)})
            failures.append(f"{candidate}: {err}")
        else:
            why = f"in place of {'; '.join(failures)}" if failures else "the first choice"
            return _chosen(engine, why)
    raise EngineUnavailableError(f"no engine runs on this machine. {'; '.join(failures)}")


def _chosen(engine: Engine, why: str) -> EngineChoice:
    reason = f"{engine.name} ({engine.device}, {engine.precision}): {why}"
    _log.info("engine_opened", extra={"engine": engine.name, "precision": engine.precision, "reason": reason})
    return EngineChoice(engine, reason)
