"""A caller who sets a deadline hears of every frame that missed it."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema_client import AsyncClient, Client, ProtocolError, Summary, convert
from kinema_core.errors import InvalidInputError
from kinema_core.frames import LumaFrame
from kinema_server.app import RunningServer
from tests.client.conftest import NUM_CREDITS
from tests.fakes import FakeEngine, random_film

MAX_DELAY = 0.5


def opened_late(engine: FakeEngine) -> threading.Thread:
    """Hold the engine until what waits behind the frame that it has is too late."""
    engine.gate.clear()

    def wait() -> None:
        end = time.monotonic() + 10
        while not engine.seen and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(2 * MAX_DELAY)
        engine.gate.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_late_frames_are_told_of_in_their_place(kinema: Client, engine: FakeEngine) -> None:
    film = [replace(frame, pts=number) for number, frame in enumerate(random_film(6))]
    heard: list[tuple[str, int]] = []
    opener = opened_late(engine)

    def on_late(frame: LumaFrame) -> None:
        assert frame is film[frame.pts]
        heard.append(("late", frame.pts))

    stream = kinema.colorize_frames(film, max_delay_seconds=MAX_DELAY, on_late=on_late)
    heard.extend(("colour", frame.pts) for frame in stream)
    opener.join()

    assert NUM_CREDITS == 3
    assert heard == [("colour", 0), ("late", 1), ("late", 2), ("colour", 3), ("colour", 4), ("colour", 5)]
    assert stream.summary is not None
    assert (stream.summary.num_frames, stream.summary.num_late) == (4, 2)


async def test_the_asyncio_client_tells_too(server: RunningServer, engine: FakeEngine) -> None:
    late: list[LumaFrame] = []
    opener = opened_late(engine)

    async with AsyncClient(server.address) as client:
        stream = client.colorize_frames(random_film(3), max_delay_seconds=MAX_DELAY, on_late=late.append)
        colored = [frame async for frame in stream]
    await asyncio.to_thread(opener.join)

    assert (len(colored), len(late)) == (1, 2)
    assert isinstance(stream.summary, Summary)


@pytest.mark.parametrize(
    ("choices", "field"),
    [
        ({"max_delay_seconds": 0.1}, "on_late"),
        ({"on_late": print}, "on_late"),
        ({"max_delay_seconds": 0.0, "on_late": print}, "max_delay_seconds"),
        ({"max_delay_seconds": float("nan"), "on_late": print}, "max_delay_seconds"),
        ({"max_delay_seconds": 4294.9672959, "on_late": print}, "max_delay_seconds"),
    ],
)
def test_a_deadline_and_somebody_to_tell_belong_together(kinema: Client, choices: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        list(kinema.colorize_frames(random_film(1), **choices))

    assert refused.value.field == field


def test_a_server_that_passes_over_the_deadline_is_not_used() -> None:
    asked = pb.StreamConfig(max_delay_micros=1000)

    with pytest.raises(ProtocolError, match="too old for deadlines"):
        convert.accepted_from_proto(pb.StreamAccepted(credits=1), asked)


def test_an_error_of_the_listener_ends_the_stream(kinema: Client, engine: FakeEngine) -> None:
    opener = opened_late(engine)

    def complain(frame: LumaFrame) -> None:
        raise RuntimeError(f"frame {frame.pts} is missing")

    listener: Callable[[LumaFrame], None] = complain
    stream = kinema.colorize_frames(random_film(20), max_delay_seconds=MAX_DELAY, on_late=listener)
    with pytest.raises(RuntimeError, match="is missing"):
        list(stream)
    opener.join()

    assert stream.is_closed
