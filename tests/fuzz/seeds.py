"""Input to begin from: good one, made by PyAV, OpenCV and protobuf; what long runs of the fuzzer have kept, in
`corpus/TARGET/`; and what once did harm, in `found/TARGET/`.
"""

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from google.protobuf.message import Message

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.frames import LumaFrame
from kinema_core.pipeline import colorize_frames
from tests.core.films import make_film
from tests.fakes import FakeEngine
from tests.fuzz.targets import SHAPE, new_colorizer
from tests.server.wire import config, frame

HERE = Path(__file__).parent


def made_for(target: str) -> list[bytes]:
    """Make good input for a target."""
    return _MAKERS[target]()


def kept_for(target: str) -> list[bytes]:
    """Return what the repository keeps for a target."""
    return [path.read_bytes() for folder in ("corpus", "found") for path in sorted((HERE / folder / target).glob("*"))]


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
    steered = config(steering=pb.Steering(warmth=0.5, reference=pb.ColourStatistics(mean_a=3, variance_a=20)))
    shared = config(shared_memory=pb.SharedMemory(pid=1, fd=3, num_slots=2, slot_bytes=576, nonce_sha256=bytes(32)))
    in_slot = pb.ColorizeFramesRequest(frame=pb.Frame(seq=1, slot=0))
    return [
        joined([full, frame(0), frame(1, pts=40)]),
        joined([tenbit, frame(0, bytes(2 * 18 * 32))]),
        joined([steered, frame(0)]),
        joined([shared, in_slot]),
    ]


def joined(messages: Sequence[Message]) -> bytes:
    """Put messages one behind the other, each behind its length, as `targets.split` takes them apart."""
    return b"".join(len(data).to_bytes(2, "big") + data for data in (each.SerializeToString() for each in messages))


def _film_requests() -> list[bytes]:
    config = pb.VideoConfig(
        model="fake", smoothing=0.5, saturation=1.0, codec=pb.VIDEO_CODEC_FFV1, crf=9, deinterlace=pb.DEINTERLACE_ON
    )
    messages = [pb.ColorizeVideoRequest(config=config), *(pb.ColorizeVideoRequest(chunk=bytes(n)) for n in (5, 500))]
    return [joined(messages)]


def _states() -> list[bytes]:
    states = []
    for smoothing in (0.0, 0.5):
        colorizer = new_colorizer(smoothing)
        list(colorize_frames(_frames(6), colorizer, FakeEngine()))
        states.append(colorizer.export_state())
    return states


def _frames(count: int) -> list[LumaFrame]:
    texture = np.random.default_rng(0).integers(30, 220, SHAPE).astype(np.uint8)
    return [LumaFrame(np.roll(texture, n, axis=1), n, Fraction(1, 25)) for n in range(count)]


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
    "film_request": _film_requests,
    "state_of_stream": _states,
    "image_request": _image_requests,
    "photograph": _photographs,
    "film": _films,
    "file_of_keys": _keys,
}
