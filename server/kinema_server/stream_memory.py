"""What a stream can hold at a time, estimated from what it is; tests/server/test_stream_memory.py measures a server."""

from kinema_core.frames import chroma_shape
from kinema_server.stream import OutputForm, PixelFormat, StreamSpec

_FIXED_BYTES = 2 << 20
"""Of the call, its tasks and small arrays."""
_MESSAGES_READ = 3
"""Frames beyond the credits: one that arrives, in gRPC's form and in protobuf's, and one that waits for its pace."""
_ANSWERS_SENT = 4
"""Forms of the answer on its way out: planes, bytes, message, gRPC's."""
_STATE_BYTES_PER_WORKING_PIXEL = 64
"""Optical flow, the shot's colours and the detector's pictures."""
_FINISH_BYTES_PER_PIXEL = 16
"""Upsampling and composition at half the size, of the one frame that is being finished."""
_FINISH_BYTES_PER_PIXEL_RGB = 48
"""The same in linear light at the full size."""


def estimate_bytes(spec: StreamSpec, working_shape: tuple[int, int], num_credits: int) -> int:
    """Return about how many bytes a stream holds with all its credits in flight."""
    return _fixed_bytes(spec, working_shape) + num_credits * _bytes_per_credit(spec, working_shape)


def credits_within(spec: StreamSpec, working_shape: tuple[int, int], max_bytes: int) -> int:
    """Return with how many credits a stream stays within so many bytes; 0 or less where it does with none."""
    return (max_bytes - _fixed_bytes(spec, working_shape)) // _bytes_per_credit(spec, working_shape)


def _bytes_per_credit(spec: StreamSpec, working_shape: tuple[int, int]) -> int:
    received = sum(spec.pixel_format.plane_bytes(spec.height, spec.width))
    grey = spec.height * spec.width if spec.pixel_format is PixelFormat.RGB24 else 0
    lightness_and_ab = 8 * working_shape[0] * working_shape[1]
    return received + grey + lightness_and_ab


def _fixed_bytes(spec: StreamSpec, working_shape: tuple[int, int]) -> int:
    num_pixels = spec.height * spec.width
    is_rgb = spec.output_form is OutputForm.RGB24
    received = sum(spec.pixel_format.plane_bytes(spec.height, spec.width))
    state = _STATE_BYTES_PER_WORKING_PIXEL * working_shape[0] * working_shape[1]
    finishing = (_FINISH_BYTES_PER_PIXEL_RGB if is_rgb else _FINISH_BYTES_PER_PIXEL) * num_pixels
    return _FIXED_BYTES + _MESSAGES_READ * received + _ANSWERS_SENT * answer_bytes(spec) + state + finishing


def answer_bytes(spec: StreamSpec) -> int:
    """Return how many bytes the planes of an answer have."""
    num_pixels = spec.height * spec.width
    if spec.output_form is OutputForm.RGB24:
        return 3 * num_pixels
    chroma_height, chroma_width = chroma_shape(spec.height, spec.width)
    num_samples = 2 * chroma_height * chroma_width
    if spec.output_form is OutputForm.YUV420:
        num_samples += num_pixels
    return num_samples * (2 if spec.pixel_format.bit_depth == 10 else 1)
