"""Every metric of the server."""

import contextlib
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine
from kinema_server.stream import StageSeconds, Tally
from kinema_server.videos import Event, Progress

_BUCKETS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.calls = Counter(
            "kinema_calls_total", "Calls that have ended, by gRPC status code.", ["method", "code"], registry=registry
        )
        self.frames = Counter(
            "kinema_frames_total",
            "Frames that were received: colorized, or dropped because the client left or the stream failed.",
            ["outcome"],
            registry=registry,
        )
        for outcome in ("colorized", "dropped"):
            self.frames.labels(outcome)
        self.streams = Gauge("kinema_streams", "Streams that are open.", registry=registry)
        self.stage_seconds = Histogram(
            "kinema_stage_seconds",
            "Seconds that a frame spent in each stage; queue is the wait for the engine.",
            ["stage"],
            buckets=_BUCKETS_SECONDS,
            registry=registry,
        )
        info = Info("kinema_engine", "The engine, and the model that it runs.", registry=registry)
        info.info(
            {
                "engine": engine.name,
                "precision": engine.precision,
                "device": engine.device,
                "model": bundle.manifest.name,
                "model_version": bundle.manifest.version,
                "model_digest": bundle.digest,
            }
        )

    @contextlib.contextmanager
    def watch_stream(self) -> Iterator[Tally]:
        """Count a stream, and its frames as it ends; yields the tally that the stream is to keep."""
        tally = Tally()
        with self.streams.track_inprogress():
            try:
                yield tally
            finally:
                self.frames.labels("dropped").inc(tally.num_received - tally.num_answered)

    @contextlib.contextmanager
    def watch_video(self) -> Iterator[Callable[[Event], None]]:
        """Count a whole film as a stream, and its frames; yields what is to be told each event."""
        num_frames = 0

        def note(event: Event) -> None:
            nonlocal num_frames
            if isinstance(event, Progress):
                self.frames.labels("colorized").inc(event.num_frames - num_frames)
                num_frames = event.num_frames

        with self.streams.track_inprogress():
            yield note

    def observe(self, seconds: StageSeconds) -> None:
        """Count a frame that was answered."""
        self.frames.labels("colorized").inc()
        for stage, value in seconds._asdict().items():
            self.stage_seconds.labels(stage).observe(value)
