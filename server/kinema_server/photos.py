"""Photographs as bytes: sized up before anything is decoded, colorized, encoded."""

import enum
import time
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Manifest
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import check_size
from kinema_core.media.photo_header import read_photo_size
from kinema_core.media.photos import decode_photo
from kinema_core.pipeline import Options, colorize_photo
from kinema_server.lane_engine import LaneEngine
from kinema_server.scheduler import Lane, Scheduler
from kinema_server.stream import StageSeconds


class ImageFormat(enum.Enum):
    """The form of an encoded photograph; the value is the file ending that OpenCV goes by."""

    PNG = ".png"
    JPEG = ".jpg"


@dataclass(frozen=True, slots=True)
class PhotoRequest:
    """A photograph and how it is to be colorized."""

    image: bytes
    """JPEG, PNG, WebP, TIFF or BMP; read as sRGB."""
    model: str
    """Empty for the default."""
    options: Options
    output_format: ImageFormat


def colorize_encoded(
    request: PhotoRequest, scheduler: Scheduler, lane: Lane, manifest: Manifest, *, max_pixels: int
) -> tuple[bytes, StageSeconds]:
    """Decode, colorize and encode one photograph, in a thread that may wait for the engine.

    Raises:
        InvalidInputError: the image is too large, of another kind, or damaged.
        CancelledWorkError: the lane was closed meanwhile.
    """
    started = time.perf_counter()
    rgb = decode_image(request.image, max_pixels=max_pixels)
    decoded = time.perf_counter()
    engine = LaneEngine(scheduler, lane)
    colored = colorize_photo(rgb, engine, manifest, request.options)
    encoded = encode_image(colored, request.output_format)
    finish_seconds = time.perf_counter() - decoded - engine.queue_seconds - engine.engine_seconds
    return encoded, StageSeconds(decoded - started, engine.queue_seconds, engine.engine_seconds, finish_seconds)


def decode_image(image: bytes, *, max_pixels: int) -> NDArray[np.uint8]:
    """Decode to sRGB (H, W, 3), upright.

    Raises:
        InvalidInputError: the image is too large, of another kind, or damaged.
    """
    if size := read_photo_size(image):  # a few kilobytes of PNG can stand for gigabytes of pixels
        height, width = size
        check_size(height, width, field="image")
        if height * width > max_pixels:
            raise InvalidInputError("image", f"must have at most {max_pixels} pixels here, got {width}x{height}")
    try:
        return decode_photo(image, name="the image")
    except MediaError as error:
        raise InvalidInputError("image", str(error)) from error


def encode_image(rgb: NDArray[np.uint8], image_format: ImageFormat) -> bytes:
    """Encode sRGB (H, W, 3); JPEG at quality 95 without chroma subsampling."""
    options: list[int] = []
    if image_format is ImageFormat.JPEG:
        options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, encoded = cv2.imencode(image_format.value, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    return encoded.tobytes()
