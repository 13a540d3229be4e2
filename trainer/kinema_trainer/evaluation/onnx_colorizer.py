"""Any ONNX colorizer that takes L and gives ab, beside ours.

Published colorizers agree on Lab and on little else, so the scales are stated with the file:

    --onnx siggraph17.onnx
    --onnx other.onnx,l_offset=50,l_scale=50,ab_scale=110,size=256,name=other

The network sees (L* - l_offset) / l_scale as (1, 1, h, w) float32, and its output (1, 2, h', w') times ab_scale is read
as ab in Lab units. By default L* is 0..100, and ab is as it comes. A network of a fixed size sees the picture scaled to
that size; one of free size sees the picture at its own, or at `size` squared. ab is brought up bilinearly, as the
published code does.
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from kinema_core.color import GREY_TAGS
from kinema_core.engines.onnx_file import OnnxFile, open_onnx_file
from kinema_core.errors import EngineError, InvalidInputError
from kinema_core.frame_way import prepare_lightness
from kinema_core.frames import MAX_SIDE, Plane
from kinema_trainer.evaluation.methods import F32, MethodRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSpec:
    """An ONNX file and how its numbers are to be read."""

    path: Path
    name: str = ""
    """What tables call it; the file's stem if empty."""
    l_offset: float = 0.0
    l_scale: float = 1.0
    ab_scale: float = 1.0
    size: int = 0
    """Side of the square that the network sees; 0 for the picture's own size, or the one that the file fixes."""

    def __post_init__(self) -> None:
        if not self.l_scale > 0 or not self.ab_scale > 0:
            raise InvalidInputError(
                "onnx", f"l_scale and ab_scale must be above 0, got {self.l_scale} and {self.ab_scale}"
            )
        if not 0 <= self.size <= MAX_SIDE:
            raise InvalidInputError("onnx", f"size must be 0 to {MAX_SIDE}, got {self.size}")


def parse_onnx_spec(text: str) -> OnnxSpec:
    """Read "FILE[,key=value]...", as the module's docstring shows it.

    Raises:
        InvalidInputError: no such file, an unknown key, or a value that is no number.
    """
    file, *options = text.split(",")
    path = Path(file)
    if not path.is_file():
        raise InvalidInputError("onnx", f"there is no file {file!r}; give FILE or FILE,key=value,...")
    given = dict(option.partition("=")[::2] for option in options)
    known = [f.name for f in fields(OnnxSpec) if f.name != "path"]
    if unknown := sorted(given.keys() - set(known)):
        raise InvalidInputError("onnx", f"takes {', '.join(known)} after the file, got {unknown[0]!r}")
    try:
        return OnnxSpec(
            path=path, name=given.get("name") or path.stem, size=int(given.get("size", 0)),
            l_offset=float(given.get("l_offset", 0)), l_scale=float(given.get("l_scale", 1)),
            ab_scale=float(given.get("ab_scale", 1)),
        )  # fmt: skip
    except ValueError as err:
        raise InvalidInputError("onnx", f"size must be a whole number, the scales numbers, got {text!r}") from err


class OnnxColorizer:
    """A network from elsewhere, in ONNX Runtime."""

    def __init__(self, spec: OnnxSpec, *, num_threads: int | None = None) -> None:
        """Open the file.

        Raises:
            EngineError: ONNX Runtime cannot read it.
            InvalidInputError: it has not one input (1, 1, h, w) and one output (1, 2, h', w'), or another fixed size.
        """
        self.name = spec.name
        self._spec = spec
        self._file = open_onnx_file(spec.path, num_threads=num_threads)
        self._side = _fixed_side(self._file, spec)

    @property
    def record(self) -> MethodRecord:
        """Name the file."""
        digest = hashlib.sha256(self._spec.path.read_bytes()).hexdigest()
        return MethodRecord(kind="onnx", title=self._spec.path.name, digest=digest, engine="onnxruntime f32")

    def predict_ab(self, grey: Plane) -> F32:
        """Return ab (H, W, 2), brought up to the picture's size.

        Raises:
            EngineError: the network failed, or gave no ab.
        """
        shape = self._side or grey.shape
        lightness = prepare_lightness(grey, GREY_TAGS, (shape[0], shape[1]))
        spec = self._spec
        ab = self._file.run((lightness - np.float32(spec.l_offset)) / np.float32(spec.l_scale))
        if ab.ndim != 4 or ab.shape[:2] != (1, 2) or not np.isfinite(ab).all():
            raise EngineError(f"{spec.path.name} must give finite ab (1, 2, h, w), it gave {ab.shape}")
        small = np.ascontiguousarray(ab[0].transpose(1, 2, 0), np.float32) * np.float32(spec.ab_scale)
        return np.asarray(cv2.resize(small, grey.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _fixed_side(file: OnnxFile, spec: OnnxSpec) -> tuple[int, int] | None:
    """Return the (h, w) that the network sees, or None for the picture's own."""
    shape = file.input_shape
    if len(shape) != 4 or shape[0] not in {None, 1} or shape[1] not in {None, 1}:
        raise InvalidInputError("onnx", f"{spec.path.name} must take L as (1, 1, h, w), it takes {shape}")
    asked = (spec.size, spec.size) if spec.size else None
    height, width = shape[2:]
    if height is None or width is None:
        return asked
    if asked and asked != (height, width):
        raise InvalidInputError("onnx", f"{spec.path.name} has the fixed size {height}x{width}; leave size= out")
    return height, width
