"""What a caller may choose for a stream of frames, and for a whole film."""

from typing import Literal, TypedDict


class Choices(TypedDict, total=False):
    """Each may be left to the server."""

    model: str
    """A name from `list_models`; by default the first."""
    smoothing: float
    """Over time, 0 (every frame for itself) to 1; by default 0.5."""
    saturation: float
    """Factor on chroma, 0 to 2; by default 1."""
    working_size: int
    """The model sees about working_size squared pixels, 64 to 1024; by default 0: the model's own size."""


class VideoChoices(Choices, total=False):
    """Each may be left to the server."""

    codec: Literal["h264", "hevc", "av1", "ffv1", "prores"]
    """How the new film is encoded; by default h264, ffv1 is lossless."""
    crf: int
    """Quality of a lossy codec, 0 (best) to 51, of av1 to 63; by default 18, of hevc 20, of av1 24."""
    deinterlace: Literal["auto", "on", "off"]
    """Which pictures are two fields that are to become one whole picture; by default as the film is marked."""
    is_lenient: bool
    """Whether what cannot be decoded or carried over is left out, instead of being an error; by default not."""
