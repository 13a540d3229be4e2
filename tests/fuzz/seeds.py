"""Good input to begin from, made by PyAV, OpenCV and protobuf; and input that once did harm, in `found/TARGET/`."""

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kinema.v1 import colorizer_pb2 as pb
from tests.core.films import make_film
from tests.server.wire import config, frame

FOUND = Path(__file__).parent / "found"


def seeds_of(target: str) -> list[bytes]:
    """Return good input for a target, and what was found with it."""
    found = [path.read_bytes() for path in sorted((FOUND / target).glob("*"))]
    return _MAKERS[target]() + found


def _streams() -> list[bytes]:
    full = config(
        color_tags=pb.ColorTags(matrix=pb.MATRIX_BT601, color_range=pb.COLOR_RANGE_FULL),
        time_base=pb.Rational(numerator=1, denominator=24),
        smoothing=0.5,
        saturation=1.0,
        working_size=64,
        model="fake",
    )
    tenbit = config(pixel_format=pb.PIXEL_FORMAT_GRAY10LE, output_form=pb.OUTPUT_FORM_YUV420)
    streams = ([full, frame(0), frame(1, pts=40)], [tenbit, frame(0, bytes(2 * 18 * 32))])
    return [
        b"".join(len(data).to_bytes(2, "big") + data for data in (message.SerializeToString() for message in stream))
        for stream in streams
    ]


def _image_requests() -> list[bytes]:
    request = pb.ColorizeImageRequest(image=b"image", model="fake", saturation=0.5, working_size=64)
    return [request.SerializeToString()]


def _photographs() -> list[bytes]:
    picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    return [cv2.imencode(ending, picture)[1].tobytes() for ending in (".png", ".jpg", ".webp", ".tiff", ".bmp")]


def _films() -> list[bytes]:
    recipes: list[tuple[str, dict[str, Any]]] = [
        ("a.mkv", {"sounds": ["eng"], "title": "Title"}),
        ("b.mp4", {"codec": "libx264", "sounds": ["eng"], "rotation": 90}),
        ("c.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
        ("d.ts", {"codec": "mpeg2video", "time_base": Fraction(1, 25), "pts": [0, 1, 2, 3]}),
        ("e.mkv", {"codec": "libx264", "pix_fmt": "yuv420p10le", "subtitles": "srt"}),
    ]
    films = []
    with tempfile.TemporaryDirectory() as folder:
        for name, recipe in recipes:
            make_film(Path(folder) / name, **({"pts": [0, 40, 80, 120]} | recipe))
            films.append((Path(folder) / name).read_bytes())
    return films


def _keys() -> list[bytes]:
    text = f'[[key]]\nname = "a"\nsha256 = "{"0f" * 32}"\nmethods = ["ListModels"]\nmax_streams = 2\n'
    return [text.encode()]


_MAKERS = {
    "stream_of_frames": _streams,
    "image_request": _image_requests,
    "photograph": _photographs,
    "film": _films,
    "file_of_keys": _keys,
}
