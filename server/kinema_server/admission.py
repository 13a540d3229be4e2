"""Whether there is room for a stream: pixels a second and memory, beside the scheduler's places."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from kinema_core.bundle import Manifest
from kinema_core.errors import InvalidInputError
from kinema_core.pipeline import working_shape
from kinema_server.access import caller
from kinema_server.errors import BusyError
from kinema_server.ledger import Ledger
from kinema_server.settings import Settings
from kinema_server.stream import StreamSpec
from kinema_server.stream_memory import credits_within, estimate_bytes

ASSUMED_FRAME_RATE = 30.0
"""Of a stream that does not say, where pixels a second are limited."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a stream may have."""

    num_credits: int
    max_frame_rate: float | None
    """Frames a second that it is held to; None for no limit."""
    pixels_per_second: int
    """What it may send at most; 0 where nobody counts."""
    memory_bytes: int
    """What it can hold, estimated."""


class Admission:
    """The ledgers of pixels a second and of memory, over all streams of a server."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.max_pixels_per_second = settings.max_pixels_per_second
        self.max_memory_bytes = settings.max_memory_bytes
        self._max_stream_memory_bytes = settings.max_stream_memory_bytes
        self._max_credits = settings.credits
        self._manifest = manifest
        self._pixels = Ledger()
        self._memory = Ledger()

    @property
    def pixels_per_second(self) -> int:
        """What open streams may send."""
        return self._pixels.total

    @property
    def memory_bytes(self) -> int:
        """What open streams can hold, estimated."""
        return self._memory.total

    def terms(self, spec: StreamSpec) -> Terms:
        """Say what a stream would have; large frames get fewer credits, at least one.

        Raises:
            InvalidInputError: the stream is too much for this server, or for the caller's key, even alone.
        """
        num_pixels = spec.height * spec.width
        rate = self._frame_rate(spec)
        shape = working_shape(spec.height, spec.width, self._manifest, spec.options.working_size)
        limit = min(self._max_stream_memory_bytes, self.max_memory_bytes or self._max_stream_memory_bytes)
        num_credits = max(1, min(self._max_credits, credits_within(spec, shape, limit)))
        memory_bytes = estimate_bytes(spec, shape, num_credits)
        if self.max_memory_bytes is not None and memory_bytes > self.max_memory_bytes:
            raise InvalidInputError(
                "config.size",
                f"needs some {memory_bytes >> 20} MiB of memory for {spec.width}x{spec.height} as it is to be sent and"
                f" answered, and all streams here together have {self.max_memory_bytes >> 20}: send smaller frames",
            )
        return Terms(num_credits, rate, 0 if rate is None else round(rate * num_pixels), memory_bytes)

    @contextlib.contextmanager
    def admitted(self, terms: Terms) -> Iterator[None]:
        """Take what a stream is to have, until it ends.

        Raises:
            BusyError: there is not so much left.
        """
        with (
            self._pixels.taken(
                terms.pixels_per_second,
                self.max_pixels_per_second,
                "the pixels a second that this server can colorize are taken",
            ),
            self._memory.taken(
                terms.memory_bytes, self.max_memory_bytes, "the memory that this server has for streams is taken"
            ),
        ):
            yield

    @contextlib.contextmanager
    def admitted_besides(self, terms: Terms, memory_bytes: int) -> Iterator[None]:
        """Take memory for a stream beyond what it was admitted with, until it ends.

        Raises:
            BusyError: there is not so much left, or one stream may not have so much.
        """
        if terms.memory_bytes + memory_bytes > self._max_stream_memory_bytes:
            raise BusyError("the memory that one stream may have is taken")
        with self._memory.taken(
            memory_bytes, self.max_memory_bytes, "the memory that this server has for streams is taken"
        ):
            yield

    def _frame_rate(self, spec: StreamSpec) -> float | None:
        client = caller.get()
        limits = [self.max_pixels_per_second, client.max_pixels_per_second if client else None]
        known = [limit for limit in limits if limit is not None]
        most = min(known) / (spec.height * spec.width) if known else None
        if spec.max_frame_rate is None:
            return None if most is None else min(ASSUMED_FRAME_RATE, most)
        if most is not None and spec.max_frame_rate > most:
            raise InvalidInputError(
                "config.max_frame_rate",
                f"must be at most {math.floor(100 * most) / 100:g} for {spec.width}x{spec.height} here, got"
                f" {spec.max_frame_rate:g}: send fewer frames, or smaller ones",
            )
        return spec.max_frame_rate
