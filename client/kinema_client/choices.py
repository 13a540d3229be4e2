"""What a caller may choose for a photograph, for a stream of frames, and for a whole film."""

from collections.abc import Callable
from typing import Literal, TypedDict

from kinema_core.frames import LumaFrame
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


class StreamChoices(Choices, total=False):
    """Each may be left to the server."""

    max_delay_seconds: float
    """For live pictures, 1e-6 to 4294: a frame whose turn at the model comes later than this after the server took it
    in is not computed; by default every frame is."""
    on_late: Callable[[LumaFrame], None]
    """Is told, in its place between the frames in colour, of each frame that was too late and so does not come back:
    from the thread that reads the stream. Belongs to `max_delay_seconds`."""
    max_frame_rate: float
    """For live pictures, 0.1 to 1000: frames a second that will be sent at most. The server takes no more, and where it
    has no room for them refuses the stream at its start instead of being slow. By default it is not told."""


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
