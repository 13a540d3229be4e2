"""What strangers can send, and the code that must bear it: only errors that are meant for them may come out."""

import io
import tempfile
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from google.protobuf.message import DecodeError

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.media.reader import FilmReader
from kinema_server import convert
from kinema_server.errors import StartError
from kinema_server.keys import read_keys
from kinema_server.photos import decode_image

MAX_PIXELS = 1 << 16
_MAX_FRAMES = 4


def stream_of_frames(data: bytes) -> None:
    """Decode requests, each behind its length in two bytes, as a stream of frames: a config, then frames."""
    spec = None
    at = 0
    while at + 2 <= len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        message, at = data[at + 2 : at + 2 + length], at + 2 + length
        try:
            request = pb.ColorizeFramesRequest.FromString(message)
            if request.HasField("config"):
                spec = convert.spec_from_proto(request.config, max_pixels=MAX_PIXELS)
                assert 1 <= spec.height * spec.width <= MAX_PIXELS
            elif spec is not None:
                sent = convert.frame_from_proto(request.frame, spec)
                assert sent.picture.size <= 3 * MAX_PIXELS
        except (DecodeError, InvalidInputError):
            continue


def image_request(data: bytes) -> None:
    """Decode the request for a photograph, all but the photograph."""
    try:
        convert.photo_from_proto(pb.ColorizeImageRequest.FromString(data))
    except (DecodeError, InvalidInputError):
        return


def photograph(data: bytes) -> None:
    """Decode a photograph."""
    try:
        rgb = decode_image(data, max_pixels=MAX_PIXELS)
    except InvalidInputError:
        return
    assert rgb.shape[0] * rgb.shape[1] <= MAX_PIXELS


def film(data: bytes) -> None:
    """Read the first pictures of a film that somebody sent."""
    try:
        with FilmReader(io.BytesIO(data), is_lenient=bool(data and data[-1] % 2)) as reader:
            if reader.height * reader.width <= MAX_PIXELS:
                for frame in islice(reader, _MAX_FRAMES):
                    assert frame.luma.shape == reader.size
    except (MediaError, InvalidInputError):
        return


def file_of_keys(data: bytes) -> None:
    """Read a file of API keys."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            read_keys(Path(file.name))
        except StartError:
            return


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (stream_of_frames, image_request, photograph, film, file_of_keys)
}
