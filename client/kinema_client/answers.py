"""What a server says beside the pictures."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """What will really be used for a stream."""

    model: str
    model_version: str
    model_digest: str
    """SHA-256 of the model bundle's manifest, which holds the digest of each of its files."""
    engine: str
    precision: str
    credits: int
    """Frames that may be on their way at any time."""
    working_size: tuple[int, int]
    """(height, width) at which the model sees the frames."""
    smoothing: float
    saturation: float
    max_frame_rate: float | None = None
    """Frames a second that the server takes at most; None for no limit."""
    is_memory_shared: bool = False
    """Whether frames go through memory that this process and the server share."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one frame's time went, in seconds."""

    round_trip_seconds: float
    """From handing the frame to gRPC to having its colour, as the client's clock has it."""
    prepare_seconds: float
    """Luma to lightness at the model's size, as all that follows on the server."""
    queue_seconds: float
    """Waiting for the engine."""
    engine_seconds: float
    finish_seconds: float
    """Temporal smoothing, chroma upsampling and composition."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a stream."""

    num_frames: int
    """That came back in colour."""
    num_cuts: int
    num_late: int = 0
    """That were too late to be computed."""


@dataclass(frozen=True, slots=True)
class VideoAccepted:
    """What a whole film is, and what will really be used for it."""

    model: str
    model_version: str
    model_digest: str
    """As Accepted has it."""
    engine: str
    precision: str
    size: tuple[int, int]
    """(height, width) of the film's pictures."""
    working_size: tuple[int, int]
    """(height, width) at which the model sees them."""
    num_frames: int | None
    """As the film's container says, or about so many; None where nothing tells."""


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """The end of a whole film."""

    num_frames: int
    num_left_out: int
    """Pictures that could not be decoded."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a server offers."""

    name: str
    version: str
    digest: str
    licence: str
    num_parameters: int
    working_size: int
    scores: Mapping[str, float]
    """Score by name, as measured when the model was made."""
