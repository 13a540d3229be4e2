"""What strangers can send, and the code that must bear it: only errors that are meant for them may come out."""

import asyncio
import io
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from google.protobuf.message import DecodeError

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import ColorTags
from kinema_core.media.reader import FilmReader
from kinema_core.pipeline import Colorizer, Options
from kinema_server import convert
from kinema_server.errors import StartError
from kinema_server.keys import read_keys
from kinema_server.photos import decode_image
from tests.fakes import FAKE_MANIFEST

MAX_PIXELS = 1 << 16
SHAPE = (36, 64)
"""Of the stream whose state is read."""
_MAX_FRAMES = 4


def split(data: bytes) -> Iterator[bytes]:
    """Take messages apart that lie one behind the other, each behind its length in two bytes."""
    at = 0
    while at + 2 <= len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : at + 2 + length]
        at += 2 + length


def stream_of_frames(data: bytes) -> None:
    """Decode requests as a stream of frames: a config, then frames."""
    spec = None
    for message in split(data):
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


def film_request(data: bytes) -> None:
    """Decode requests as those of a film: a config, then chunks."""
    for number, message in enumerate(split(data)):
        try:
            request = pb.ColorizeVideoRequest.FromString(message)
            if number == 0:
                asyncio.run(convert.video_from_proto(_one(request)))
            else:
                convert.chunk_from_proto(request)
        except (DecodeError, InvalidInputError):
            continue


async def _one(request: pb.ColorizeVideoRequest) -> AsyncIterator[pb.ColorizeVideoRequest]:
    yield request


def new_colorizer(smoothing: float) -> Colorizer:
    """Make a colorizer that takes a state."""
    height, width = SHAPE
    options = Options(smoothing=smoothing, working_size=64)
    return Colorizer(FAKE_MANIFEST, height=height, width=width, tags=ColorTags(), options=options)


def state_of_stream(data: bytes) -> None:
    """Read the state in a resume token, as if its seal were right."""
    try:
        new_colorizer(0.5).import_state(data)
    except InvalidInputError:
        return


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
    target.__name__: target
    for target in (stream_of_frames, film_request, state_of_stream, image_request, photograph, film, file_of_keys)
}
