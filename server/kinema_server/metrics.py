"""Every metric of the server. docs/operations.md says what each is for."""

import contextlib
import importlib.metadata
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine
from kinema_core.quality.live import Reading
from kinema_server.access import Refusal
from kinema_server.admission import Admission
from kinema_server.scheduler import Scheduler, Wait
from kinema_server.stream import StageSeconds

T = TypeVar("T")

FRAME_STAGES = ("preprocess", "temporal", "compose", "send")
ENGINE_STAGES = ("queue", "batch_wait", "engine")
OUTCOMES = ("colorized", "late", "dropped", "failed", "left_out")
OFFER_OUTCOMES = ("used", "declined")

# Where the buckets lie was measured: benchmarks/latencies.py, with its numbers in benchmarks/RESULTS.md.
STAGE_SECONDS_BUCKETS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7, 10
)  # fmt: skip
FRAME_SECONDS_BUCKETS = (
    0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7, 10, 15
)  # fmt: skip
PHOTO_SECONDS_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
BATCH_BUCKETS = (1, 2, 4, 8, 16)  # batching.SIZES
COLOURFULNESS_BUCKETS = (1, 2, 4, 8, 12, 16, 20, 25, 30, 40, 60)
FLICKER_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5)

_CGROUP_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


class Metrics:
    """The metrics of one server, in a registry of their own. Is the scheduler's EngineWatch."""

    def __init__(self, bundle: Bundle, engine: Engine, passed_over: Mapping[str, str] | None = None) -> None:
        """Make them all; `passed_over` tells why not, by the name of each engine that was tried before `engine`."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._declare_calls()
        self._declare_frames()
        self._declare_streams()
        self._declare_seconds()
        self._declare_engine_runs()
        self._declare_quality()
        self._describe(bundle, engine)
        self._note_passed_over(passed_over or {})
        self._note_memory_limit()

    def ran(self, waits: Sequence[Wait], engine_seconds: float) -> None:
        """Count a run of the engine."""
        self.batch_pictures.observe(len(waits))
        by_stage = self._by_stage  # a look-up by label costs as much as the observation itself
        for wait in waits:
            by_stage["queue"].observe(wait.queue)
            by_stage["batch_wait"].observe(wait.batch)
            by_stage["engine"].observe(engine_seconds)

    def failed(self) -> None:
        """Count a run of the engine that failed."""
        self.engine_failures.inc()

    def observe_frame(self, seconds: StageSeconds, *, send_seconds: float, frame_seconds: float) -> None:
        """Count a frame of a stream that was answered; its run of the engine has been counted."""
        self.frames.labels("colorized").inc()
        for stage, value in zip(
            FRAME_STAGES, (seconds.prepare, seconds.temporal, seconds.compose, send_seconds), strict=True
        ):
            self._by_stage[stage].observe(value)
        self.frame_seconds.observe(frame_seconds)

    def refused(self, refusal: Refusal) -> None:
        """Count a call that was refused for its key."""
        self.refused_keys.labels(refusal.value).inc()

    @contextlib.contextmanager
    def sharing(self, offer: AbstractContextManager[T | None]) -> Iterator[T | None]:
        """Count what became of an offer of memory, which is None where it was declined, and the stream that uses it."""
        with offer as memory:
            self.shared_memory_offers.labels("declined" if memory is None else "used").inc()
            with contextlib.nullcontext() if memory is None else self.streams_sharing_memory.track_inprogress():
                yield memory

    def observe_photo(self, seconds: float) -> None:
        """Count a photograph that was answered."""
        self.photo_seconds.observe(seconds)

    def observe_quality(self, reading: Reading) -> None:
        """Count what a frame looks like."""
        if reading.colourfulness is not None:
            self.colourfulness.observe(reading.colourfulness)
        if reading.flicker is not None:
            self.flicker.observe(reading.flicker)

    def watch_scheduler(self, scheduler: Scheduler, *, max_places: int, max_video_places: int) -> None:
        """Show, whenever asked, how full a scheduler is."""
        for name, help_text, read in (
            ("kinema_queue_depth", "Pictures that wait for the engine.", lambda: scheduler.num_waiting),
            ("kinema_places_used", "Streams, films and photographs under way.", lambda: scheduler.num_lanes),
            ("kinema_places_max", "Streams, films and photographs there is room for.", lambda: max_places),
            ("kinema_video_places_used", "Whole films under way.", lambda: scheduler.num_videos),
            ("kinema_video_places_max", "Whole films there is room for.", lambda: max_video_places),
        ):
            Gauge(name, help_text, registry=self.registry).set_function(read)

    def watch_admission(self, admission: Admission) -> None:
        """Show, whenever asked, how much of what streams may have is taken."""
        pixels_limit, memory_limit = admission.max_pixels_per_second, admission.max_memory_bytes
        for name, help_text, read in (
            (
                "kinema_stream_pixels_per_second",
                "Pixels a second that open streams may send, of those that are held to a rate.",
                lambda: admission.pixels_per_second,
            ),
            (
                "kinema_stream_pixels_per_second_limit",
                "Beyond it streams are refused; +Inf for no limit.",
                lambda: math.inf if pixels_limit is None else pixels_limit,
            ),
            (
                "kinema_stream_memory_bytes",
                "Memory that open streams can hold, estimated.",
                lambda: admission.memory_bytes,
            ),
            (
                "kinema_stream_memory_limit_bytes",
                "Beyond it streams are refused; +Inf for no limit.",
                lambda: math.inf if memory_limit is None else memory_limit,
            ),
        ):
            Gauge(name, help_text, registry=self.registry).set_function(read)

    def watch_certificate(self, not_after: Callable[[], datetime]) -> None:
        """Show, whenever asked, when the server's certificate ends."""
        Gauge(
            "kinema_certificate_expiration_timestamp_seconds",
            "When the server's certificate ends; missing where there is none.",
            registry=self.registry,
        ).set_function(lambda: not_after().timestamp())

    def _declare_calls(self) -> None:
        self.calls = Counter(
            "kinema_calls_total",
            "Calls that have ended, by gRPC status code.",
            ["method", "code"],
            registry=self.registry,
        )
        self.refused_keys = Counter(
            "kinema_refused_keys_total",
            "Calls that were refused for their key: none was given, nobody's, or one that does not allow the method.",
            ["reason"],
            registry=self.registry,
        )
        for reason in Refusal:
            self.refused_keys.labels(reason.value)

    def _declare_frames(self) -> None:
        self.frames = Counter(
            "kinema_frames_total",
            "Frames of streams and films: colorized; late for the client's deadline, and not computed; dropped because"
            " the client left; failed with their stream; left out of a film because they were damaged.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in OUTCOMES:
            self.frames.labels(outcome)
        self.frames_wasted = Counter(
            "kinema_frames_wasted_total",
            "Frames of streams that went to the engine and whose answer nobody got: of those dropped and failed.",
            registry=self.registry,
        )

    def _declare_streams(self) -> None:
        self.streams_drained = Counter(
            "kinema_streams_drained_total", "Streams that were sent on to another server.", registry=self.registry
        )
        self.streams_resumed = Counter(
            "kinema_streams_resumed_total", "Streams that were taken over from another server.", registry=self.registry
        )
        self.resume_tokens_refused = Counter(
            "kinema_resume_tokens_refused_total",
            "Resume tokens that could not be used, so that their streams began anew.",
            registry=self.registry,
        )
        self.streams_sharing_memory = Gauge(
            "kinema_streams_sharing_memory",
            "Streams that are open and whose frames go through memory shared with their client.",
            registry=self.registry,
        )
        self.shared_memory_offers = Counter(
            "kinema_shared_memory_offers_total",
            "Streams whose client offered memory for frames: it is used, or it was declined, for reasons in the log.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in OFFER_OUTCOMES:
            self.shared_memory_offers.labels(outcome)

    def _declare_seconds(self) -> None:
        self.stage_seconds = Histogram(
            "kinema_stage_seconds",
            "Seconds in each stage. Queue (the wait for a turn), batch_wait (for others to join) and engine (its whole"
            " batch's run): every picture, of photographs and films too; the other stages: frames of streams.",
            ["stage"],
            buckets=STAGE_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self._by_stage = {stage: self.stage_seconds.labels(stage) for stage in (*FRAME_STAGES, *ENGINE_STAGES)}
        self.frame_seconds = Histogram(
            "kinema_frame_seconds",
            "Seconds from taking in a frame of a stream to having sent its answer.",
            buckets=FRAME_SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.photo_seconds = Histogram(
            "kinema_photo_seconds",
            "Seconds of a photograph that was answered, its wait for other photographs included.",
            buckets=PHOTO_SECONDS_BUCKETS,
            registry=self.registry,
        )

    def _declare_engine_runs(self) -> None:
        self.batch_pictures = Histogram(
            "kinema_batch_pictures", "Pictures in one run of the engine.", buckets=BATCH_BUCKETS, registry=self.registry
        )
        self.engine_failures = Counter(
            "kinema_engine_failures_total", "Runs of the engine that failed.", registry=self.registry
        )

    def _declare_quality(self) -> None:
        self.scene_cuts = Counter(
            "kinema_scene_cuts_total", "Shots that began behind the first of a stream or film.", registry=self.registry
        )
        self.colourfulness = Histogram(
            "kinema_colourfulness",
            "Colourfulness (Hasler and Suesstrunk's M3, 0 is grey) of every eighth frame with contrast, before the"
            " saturation that a client chose.",
            buckets=COLOURFULNESS_BUCKETS,
            registry=self.registry,
        )
        self.flicker = Histogram(
            "kinema_flicker_delta_ab",
            "Root of the mean squared change of (a, b), in Lab units, from frame to frame along the motion within a"
            " shot; of every eighth frame.",
            buckets=FLICKER_BUCKETS,
            registry=self.registry,
        )

    def _describe(self, bundle: Bundle, engine: Engine) -> None:
        manifest = bundle.manifest
        Info("kinema_build", "The version of Kinema.", registry=self.registry).info(
            {"version": importlib.metadata.version("kinema")}
        )
        Info("kinema_engine", "The engine that runs the model.", registry=self.registry).info(
            {
                "engine": engine.name,
                "precision": engine.precision,
                "device": engine.device,
            }
        )
        Info("kinema_model", "The model.", registry=self.registry).info(
            {
                "model": manifest.name,
                "version": manifest.version,
                "digest": bundle.digest,
            }
        )

    def _note_passed_over(self, passed_over: Mapping[str, str]) -> None:
        gauge = Gauge(
            "kinema_engine_passed_over",
            "1 for each engine that was tried before the one that runs, with the reason why it is not it.",
            ["engine", "reason"],
            registry=self.registry,
        )
        for engine, reason in passed_over.items():
            gauge.labels(engine, reason).set(1)

    def _note_memory_limit(self) -> None:
        limit = memory_limit_bytes(_CGROUP_MEMORY_LIMIT)
        if limit is not None:
            gauge = Gauge(
                "kinema_memory_limit_bytes",
                "Memory that this container may use; missing where nothing limits it.",
                registry=self.registry,
            )
            gauge.set(limit)


def memory_limit_bytes(path: Path) -> int | None:
    """Read a control group's memory limit; None where there is none, or no control group."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
