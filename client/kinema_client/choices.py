"""What a caller may choose for a stream of frames."""

from typing import TypedDict


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
