"""What a server may be told, checked as it is built. The environment is read here and nowhere else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from kinema_core.engines.engine import Precision
from kinema_core.engines.select import AUTO, ENGINE_NAMES
from kinema_core.errors import InvalidInputError
from kinema_core.frames import MAX_SIDE
from kinema_server.resume_tokens import MAX_TOKEN_BYTES
from kinema_server.tls import TlsFiles

LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server runs.

    Raises:
        InvalidInputError: a value is out of range; names the setting.
    """

    host: str = "127.0.0.1"
    """The address to listen on; "0.0.0.0" for every network of the machine."""
    port: int = 50051
    """0 for any free port."""
    metrics_port: int | None = None
    """Where Prometheus finds the metrics, over HTTP; 0 for any free port, None for no metrics page."""
    health_port: int | None = None
    """Where health is told without a certificate or key, for probes; 0 for any free port, None for none of its own."""
    tls_certificate: Path | None = None
    """The server's certificate chain, PEM; None for no encryption. Read anew when it changes, as all files here."""
    tls_key: Path | None = None
    """Its key, PEM."""
    tls_client_ca: Path | None = None
    """Who signs the clients' certificates, PEM; None where clients need none."""
    api_keys: Path | None = None
    """The file of keys that clients may call with; None where they need none. See `keys`."""
    admin_port: int | None = None
    """Where `kinema.v1.Admin` is served, to this machine alone; 0 for any free port, None for not at all."""
    admin_keys: Path | None = None
    """The file of keys that operators call it with; as that of clients' keys."""
    resume_secret: Path | None = None
    """The file of secrets that seal resume tokens, the same for all servers of a deployment; None for one of this
    server's own, with which no other server can go on. See `resume_tokens`."""
    tracing: bool = False
    """Whether calls leave OpenTelemetry spans; OTEL_* variables say where."""
    log_format: str = "text"
    """One of LOG_FORMATS."""
    model: Path | None = None
    """Folder of a model bundle; None for the one that ships with Kinema."""
    engine: str = AUTO
    """One of ENGINE_NAMES."""
    precision: Precision = "f32"
    num_threads: int | None = None
    """Threads of the engine; None leaves it to the engine."""
    credits: int = 8
    """Frames of one stream that may be unanswered at any time."""
    max_streams: int = 64
    """Streams and photographs at a time; the next is refused."""
    max_videos: int = 2
    """Whole films at a time, which count as streams, too; the next is refused."""
    max_video_bytes: int = 8 << 30
    """The largest whole film; it is kept in the folder for temporary files until it is done."""
    max_frame_pixels: int = 4096 * 2304
    """The largest frame of a stream, width x height."""
    max_photo_pixels: int = 8192 * 4096
    """The largest photograph, width x height."""
    max_pixels_per_second: int | None = None
    """What all streams together may send; the next is refused. None for no limit."""
    max_memory_bytes: int | None = None
    """What all streams together can hold, as estimated; the next is refused. None for no limit."""
    max_stream_memory_bytes: int = 1 << 30
    """What one stream can hold, as estimated; one of large frames gets fewer credits for it."""
    shared_memory: bool = True
    """Whether clients on this machine, run by the same user, may hand over frames in memory; see `shared_frames`."""
    max_silence_seconds: float = 120.0
    """How long a call may keep the server waiting for its config, or a film for its next bytes; then it is refused.
    A stream of frames may rest between frames for however long."""
    keepalive_seconds: float = 60.0
    """How long a connection may be silent before the server asks whether the client is still there; as long again, at
    most 20 s, and it is not."""
    keep_memory: bool = True
    """Whether memory that frames leave behind is kept for the next ones; see `allocator`."""
    grace_seconds: float = 10.0
    """How long running streams may go on after the server was told to stop."""

    def __post_init__(self) -> None:
        _check_range("port", self.port, 0, 65535)
        if self.metrics_port is not None:
            _check_range("metrics_port", self.metrics_port, 0, 65535)
        if self.health_port is not None:
            _check_range("health_port", self.health_port, 0, 65535)
        if self.admin_port is not None:
            _check_range("admin_port", self.admin_port, 0, 65535)
        if (self.admin_port is None) != (self.admin_keys is None):
            raise InvalidInputError("admin_keys", "belongs to admin_port: give both, or neither")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise InvalidInputError("tls_key", "belongs to tls_certificate: give both, or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise InvalidInputError("tls_client_ca", "asks for clients' certificates, which needs tls_certificate")
        if self.num_threads is not None:
            _check_range("num_threads", self.num_threads, 1, 1024)
        _check_range("credits", self.credits, 1, 256)
        _check_range("max_streams", self.max_streams, 1, 100_000)
        _check_range("max_videos", self.max_videos, 1, 1024)
        _check_range("max_video_bytes", self.max_video_bytes, 1, 1 << 50)
        _check_range("max_frame_pixels", self.max_frame_pixels, 1, MAX_SIDE**2)
        _check_range("max_photo_pixels", self.max_photo_pixels, 1, MAX_SIDE**2)
        if self.max_pixels_per_second is not None:
            _check_range("max_pixels_per_second", self.max_pixels_per_second, 1, 1 << 50)
        if self.max_memory_bytes is not None:
            _check_range("max_memory_bytes", self.max_memory_bytes, 1, 1 << 50)
        _check_range("max_stream_memory_bytes", self.max_stream_memory_bytes, 1, 1 << 50)
        _check_range("max_silence_seconds", self.max_silence_seconds, 0.1, 86400)
        _check_range("keepalive_seconds", self.keepalive_seconds, 1, 86400)
        _check_range("grace_seconds", self.grace_seconds, 0, 3600)
        _check_choice("log_format", self.log_format, LOG_FORMATS)
        _check_choice("engine", self.engine, ENGINE_NAMES)
        _check_choice("precision", self.precision, get_args(Precision))

    @property
    def tls_files(self) -> TlsFiles | None:
        """The files for encryption; None for none."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        return TlsFiles(self.tls_certificate, self.tls_key, self.tls_client_ca)

    @property
    def max_calls(self) -> int:
        """Calls of any kind at a time, those too that have not said yet what they want."""
        return 2 * self.max_streams + 100

    @property
    def max_message_bytes(self) -> int:
        """The largest message that is received: the largest picture, as RGB, or a resume token; and room around it."""
        return max(3 * self.max_frame_pixels, 3 * self.max_photo_pixels, MAX_TOKEN_BYTES) + 64 * 1024


def settings_from(environment: Mapping[str, str], **flags: Any) -> Settings:
    """Build settings from flags, then KINEMA_* variables, then defaults; a flag that is None was not given.

    Raises:
        InvalidInputError: a value is not a number where one is needed, or is out of range.
    """
    values = {name: flag for name, flag in flags.items() if flag is not None}
    for name, (variable, parse) in _VARIABLES.items():
        text = environment.get(variable, "")
        if name in values or not text:
            continue
        try:
            values[name] = parse(text)
        except ValueError:
            raise InvalidInputError(variable, f"must be a number, got {text!r}") from None
    return Settings(**values)


_VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "host": ("KINEMA_HOST", str),
    "port": ("KINEMA_PORT", int),
    "metrics_port": ("KINEMA_METRICS_PORT", int),
    "health_port": ("KINEMA_HEALTH_PORT", int),
    "tls_certificate": ("KINEMA_TLS_CERT", Path),
    "tls_key": ("KINEMA_TLS_KEY", Path),
    "tls_client_ca": ("KINEMA_TLS_CLIENT_CA", Path),
    "api_keys": ("KINEMA_API_KEYS", Path),
    "admin_port": ("KINEMA_ADMIN_PORT", int),
    "admin_keys": ("KINEMA_ADMIN_KEYS", Path),
    "resume_secret": ("KINEMA_RESUME_SECRET", Path),
    "tracing": ("KINEMA_TRACING", lambda text: bool(int(text))),  # 1 or 0
    "log_format": ("KINEMA_LOG_FORMAT", str),
    "model": ("KINEMA_MODEL", Path),
    "engine": ("KINEMA_ENGINE", str),
    "precision": ("KINEMA_PRECISION", str),
    "num_threads": ("KINEMA_THREADS", int),
    "credits": ("KINEMA_CREDITS", int),
    "max_streams": ("KINEMA_MAX_STREAMS", int),
    "max_videos": ("KINEMA_MAX_VIDEOS", int),
    "max_video_bytes": ("KINEMA_MAX_VIDEO_BYTES", int),
    "max_frame_pixels": ("KINEMA_MAX_FRAME_PIXELS", int),
    "max_photo_pixels": ("KINEMA_MAX_PHOTO_PIXELS", int),
    "max_pixels_per_second": ("KINEMA_MAX_PIXELS_PER_SECOND", int),
    "max_memory_bytes": ("KINEMA_MAX_MEMORY_BYTES", int),
    "max_stream_memory_bytes": ("KINEMA_MAX_STREAM_MEMORY_BYTES", int),
    "shared_memory": ("KINEMA_SHARED_MEMORY", lambda text: bool(int(text))),  # 1 or 0
    "max_silence_seconds": ("KINEMA_MAX_SILENCE_SECONDS", float),
    "keepalive_seconds": ("KINEMA_KEEPALIVE_SECONDS", float),
    "keep_memory": ("KINEMA_KEEP_MEMORY", lambda text: bool(int(text))),  # 1 or 0
    "grace_seconds": ("KINEMA_GRACE_SECONDS", float),
}


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # NaN fails too
        raise InvalidInputError(name, f"must be {least} to {most}, got {value}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInputError(name, f"must be one of {', '.join(choices)}, got {value!r}")
