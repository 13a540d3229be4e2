"""Keep the runtimes from reporting to their makers: films are private, and a server has no business phoning home.

Both do so by default. OpenVINO sends an event to Google Analytics whenever it is imported (from a forked process, and
it leaves an identifier in ~/intel) unless its package `openvino_telemetry` cannot be imported. ONNX Runtime 1.29 and
later send the model's names and hashes and a device identifier to Microsoft unless ORT_DISABLE_TELEMETRY is set before
it is loaded; someone who sets that variable to 0 has chosen otherwise, and is heeded.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Final

_OPENVINO_TELEMETRY: Final = "openvino_telemetry"


@contextlib.contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """Hide `openvino_telemetry` while OpenVINO is imported; OpenVINO then takes its own empty stand-in for good."""
    if _OPENVINO_TELEMETRY in sys.modules:  # loaded by someone else, who answers for it
        yield
        return
    sys.modules[_OPENVINO_TELEMETRY] = None  # type: ignore[assignment]  # makes its import fail
    try:
        yield
    finally:
        del sys.modules[_OPENVINO_TELEMETRY]


def disable_onnxruntime_telemetry() -> None:
    """Tell ONNX Runtime, before it is imported, to report nothing."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
