"""Photographs."""

from collections.abc import Mapping

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.bundle import Bundle
from kinema_server.convert.enums import known
from kinema_server.convert.options import options_from_proto
from kinema_server.convert.timings import timings_to_proto
from kinema_server.photos import ImageFormat, PhotoRequest
from kinema_server.stream import StageSeconds

_IMAGE_FORMATS: Mapping[pb.ImageFormat, ImageFormat] = {
    pb.IMAGE_FORMAT_UNSPECIFIED: ImageFormat.PNG,
    pb.IMAGE_FORMAT_PNG: ImageFormat.PNG,
    pb.IMAGE_FORMAT_JPEG: ImageFormat.JPEG,
}


def photo_from_proto(request: pb.ColorizeImageRequest) -> PhotoRequest:
    """Check and translate the request for a photograph; the image itself is checked as it is decoded.

    Raises:
        InvalidInputError: names the field.
    """
    output_format = known("output_format", request.output_format, _IMAGE_FORMATS)
    return PhotoRequest(request.image, request.model, options_from_proto(request, ""), output_format)


def image_to_proto(image: bytes, bundle: Bundle, seconds: StageSeconds) -> pb.ColorizeImageResponse:
    """Translate a photograph in colour."""
    return pb.ColorizeImageResponse(image=image, model_digest=bundle.digest, timings=timings_to_proto(seconds))
