"""The seam between Kinema and whatever runs the model.

What every engine promises:

- **Shapes.** `infer` takes (B, 1, h, w) and returns (B, 2, h/s, w/s): B at least 1; h and w any multiples of the
  manifest's `size_multiple`, in any order from call to call; s is the manifest's `output_stride`.
- **Values.** L* 0..100 in, ab in Lab units out, both float32, C-contiguous, finite. The result is the caller's own: no
  later call writes to it. The input is only read.
- **The same bits.** One engine gives the same input the same output, bit for bit, whatever else is in the batch,
  whatever sizes came before, and on however many threads. Between engines, precisions, versions of a
  runtime and kinds of CPU the last bits differ, for their sums run in another order. In int8 such a last bit can tip a
  rounding, and then ab differ by a step of 8 bits; CPUs without VNNI may saturate sums besides.
- **Threads.** `infer` may be called from any thread. One inference runs at a time; a second call waits for the first.
- **Errors.** A wrong input is an InvalidInputError before anything runs. What goes wrong after that is an EngineError,
  and so is a result that is not finite.
- **Life.** `close` frees the model, waits for an inference that runs, and may be called twice; after it `infer` raises
  EngineError.

An engine that opens has passed `check_engine`: it ran once and gave numbers of the right shape. One on a GPU was also
held against the CPU (`self_test.py`), and its `precision` tells what it came to, which may be safer than was asked for.
"""

from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import INT8_ONNX_FILE, ONNX_FILE, Bundle, Manifest
from kinema_core.errors import EngineError, EngineUnavailableError, InvalidInputError
from kinema_core.frames import MAX_SIDE

F32 = NDArray[np.float32]

INPUT: Final = "lightness"
OUTPUT: Final = "ab"
"""What the model's one input and one output are called in the ONNX file."""

MAX_AB: Final = 1000.0
"""Lab units; the colours of sRGB end at 128."""
MIN_CONTENT: Final = 20.0
"""L* between the darkest and the lightest pixel; where there is less, a quantized model may round to no colour."""

Precision = Literal["f32", "f16", "bf16", "int8"]
"""What the model is computed in; its input and output are float32 either way.

"f16" is for GPUs alone. "int8" runs the bundle's quantized form, in which what is not quantized stays f32.
"""


class Engine(Protocol):
    """Runs one model; the module's docstring is its contract."""

    name: str
    """As `open_engine` takes it."""
    precision: str
    device: str

    def infer(self, lightness: F32) -> F32:
        """Predict ab (B, 2, h/s, w/s) from L* (B, 1, h, w).

        Raises:
            InvalidInputError: the input is not as the contract says.
            EngineError: the model could not run, or gave something that is no number.
        """

    def close(self) -> None:
        """Free the model."""


def check_options(precision: str, num_threads: int | None) -> None:
    """Check what every engine is opened with.

    Raises:
        InvalidInputError: an unknown precision, or fewer than one thread.
    """
    if precision not in get_args(Precision):
        raise InvalidInputError("precision", f"must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    if num_threads is not None and num_threads < 1:
        raise InvalidInputError("num_threads", f"must be at least 1, got {num_threads}")


def model_file(bundle: Bundle, precision: Precision) -> tuple[str, bytes]:
    """Return name and content of the bundle's ONNX file for `precision`.

    Raises:
        EngineUnavailableError: "int8", and the bundle has no such form.
    """
    if precision != "int8":
        return ONNX_FILE, bundle.onnx
    if bundle.int8_onnx is None:
        raise EngineUnavailableError(
            f"model {bundle.manifest.name!r} has no int8 form, only {', '.join(bundle.forms)}; use precision f32, or "
            "a bundle that `kinema export --int8` wrote"
        )
    return INT8_ONNX_FILE, bundle.int8_onnx


def check_lightness(lightness: F32, manifest: Manifest) -> F32:
    """Return `lightness`, C-contiguous, if it is what the model takes.

    The runtimes do not tell: they take 33 rows for a model that needs 32, and OpenVINO even two channels for one.

    Raises:
        InvalidInputError: wrong type, shape or size, or values outside L* 0..100 (NaN, too).
    """
    if lightness.dtype != np.float32:
        raise InvalidInputError(INPUT, f"must be float32, got {lightness.dtype}")
    shape, multiple = lightness.shape, manifest.size_multiple
    if lightness.ndim != 4 or shape[0] < 1 or shape[1] != 1:
        raise InvalidInputError(INPUT, f"must be (B, 1, h, w) with B at least 1, got {shape}")
    if any(side % multiple or not multiple <= side <= MAX_SIDE for side in shape[2:]):
        raise InvalidInputError(
            INPUT, f"height and width must be multiples of {multiple} up to {MAX_SIDE}, got {shape[2:]}"
        )
    low, high = float(lightness.min()), float(lightness.max())
    if not (low >= 0 and high <= 100):  # NaN fails too
        raise InvalidInputError(INPUT, f"must be L* 0 to 100, got {low} to {high}")
    return np.ascontiguousarray(lightness)


def check_ab(ab: F32) -> F32:
    """Return `ab` if it holds only numbers.

    Raises:
        EngineError: NaN or infinite somewhere.
    """
    if not np.isfinite(ab).all():
        raise EngineError("the model returned values that are not finite; try another engine or precision f32")
    return ab


def check_colour(ab: F32, lightness: F32) -> None:
    """Refuse numbers that are no colours, before a frame comes out grey or garish without a word.

    Args:
        ab: (B, 2, h/s, w/s), Lab units, as an engine returned it.
        lightness: (B, 1, h, w), L* 0-100, what it was given.

    Raises:
        EngineError: ab is of another number of pictures or another shape, further out than any colour, or zero
            throughout where the picture shows something.
    """
    stride = lightness.shape[2] // max(1, ab.shape[2]) if ab.ndim == 4 else 0
    if not stride or ab.shape != (len(lightness), 2, *(side // stride for side in lightness.shape[2:])):
        raise EngineError(f"the model returned {ab.shape} for a picture of {lightness.shape}")
    if not float(np.abs(ab).max()) <= MAX_AB:  # NaN fails too
        raise EngineError(f"the model returned ab beyond {MAX_AB:g}, which is no colour")
    if not ab.any() and float(np.ptp(lightness)) > MIN_CONTENT:
        raise EngineError("the model returned no colour at all")


def check_engine(engine: Engine, manifest: Manifest) -> None:
    """Run `engine` once on a small grey ramp.

    Raises:
        EngineError: it fails, or what it returns has the wrong type or shape or is not finite.
    """
    height, width, stride = manifest.size_multiple, 2 * manifest.size_multiple, manifest.output_stride
    ramp = np.linspace(0, 100, 2 * height * width, dtype=np.float32).reshape(2, 1, height, width)
    ab = engine.infer(ramp)
    expected = (2, 2, height // stride, width // stride)
    if ab.shape != expected or ab.dtype != np.float32:
        raise EngineError(
            f"{engine.name} gave {ab.dtype} {ab.shape} where the manifest of {manifest.name!r} promises "
            f"float32 {expected}"
        )
