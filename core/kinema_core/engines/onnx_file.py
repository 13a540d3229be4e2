"""An ONNX file that is not a Kinema model: somebody else's network, to be measured beside ours.

It is on nobody's list of digests. ONNX Runtime reads its graph, and runs no code of the file's own.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinema_core.engines.onnxruntime import error_types, session_options
from kinema_core.engines.telemetry import disable_onnxruntime_telemetry
from kinema_core.errors import EngineError, EngineUnavailableError, InvalidInputError

F32 = NDArray[np.float32]


class OnnxFile:
    """A session with one input and one output, both float32."""

    def __init__(self, session: Any, name: str, errors: tuple[type[Exception], ...]) -> None:
        """Check what goes in and comes out.

        Raises:
            InvalidInputError: not one float32 input and one float32 output.
        """
        inputs, outputs = session.get_inputs(), session.get_outputs()
        ports = [(port.name, port.type) for port in (*inputs, *outputs)]
        if len(inputs) != 1 or len(outputs) != 1 or any(kind != "tensor(float)" for _, kind in ports):
            raise InvalidInputError("onnx", f"{name} must have one input and one output, both float32; it has {ports}")
        self._session: Any = session
        self._name = name
        self._errors = errors
        self._input: str = inputs[0].name
        self.input_shape = tuple(side if isinstance(side, int) else None for side in inputs[0].shape)
        """What the file says of the input's shape; None where it is free."""

    def run(self, values: F32) -> F32:
        """Return the output for one input, of whatever shape the network gives.

        Raises:
            EngineError: the network refuses the input.
        """
        try:
            output: F32 = self._session.run(None, {self._input: np.ascontiguousarray(values, np.float32)})[0]
        except self._errors as err:
            raise EngineError(f"{self._name} failed on an input of shape {values.shape}: {err}") from err
        return output


def open_onnx_file(path: str | os.PathLike[str], *, num_threads: int | None = None) -> OnnxFile:
    """Open `path` in ONNX Runtime on the CPU; weights kept in a file beside it are found.

    Raises:
        EngineUnavailableError: ONNX Runtime is not installed or broken.
        EngineError: it cannot read the file.
        InvalidInputError: the network has not one float32 input and one float32 output.
    """
    name = Path(path).name
    try:
        disable_onnxruntime_telemetry()
        import onnxruntime

        errors = error_types(onnxruntime)
    except (ImportError, OSError, RuntimeError, AttributeError) as err:
        raise EngineUnavailableError(f"ONNX Runtime does not load here ({err})") from err
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(path), session_options(onnxruntime, num_threads), providers=["CPUExecutionProvider"]
        )
    except errors as err:
        raise EngineError(f"ONNX Runtime cannot read {name}: {err}") from err
    return OnnxFile(session, name, errors)
