"""What a caller may choose for a stream of frames or a photograph."""

from typing import TypedDict

from kinema_core.steering.colour_statistics import ColourStatistics


class PhotoChoices(TypedDict, total=False):
    """Each may be left to the server."""

    model: str
    """A name from `list_models`; by default the first."""
    saturation: float
    """Factor on chroma, 0 to 2; by default 1."""
    working_size: int
    """The model sees about working_size squared pixels, 64 to 1024; by default 0: the model's own size."""
    warmth: float
    """-1 (cold) to 1 (warm); by default 0."""
    desaturate_blacks: float
    """L*, 0 to 50, below which colour fades; by default 0: off."""
    desaturate_highlights: float
    """L*, 50 to 100, above which colour fades; by default 100: off."""
    reference: ColourStatistics | None
    """The palette to give, as `kinema_core.steering.reference.measure_colour` finds it; by default None."""
    keep_colour: bool
    """Whether what is in colour already is left as it is; a stream's frames must bring their chroma. Off by default."""


class Choices(PhotoChoices, total=False):
    """Each may be left to the server."""

    smoothing: float
    """Over time, 0 (every frame for itself) to 1; by default 0.5."""
