"""A frame whose turn comes too late is told so: in its place, not computed, and without a trace in colour over time."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.frames import LumaFrame
from kinema_server.errors import LateError
from kinema_server.scheduler import Scheduler
from tests.fakes import FakeEngine, random_film
from tests.server.conftest import NUM_CREDITS
from tests.server.test_scheduler import numbers_seen, picture
from tests.server.test_streams import colorized_here
from tests.server.waiting import until
from tests.server.wire import Conversation, config, converse, frames_of

MAX_DELAY = 0.5


def still_film(num_frames: int) -> list[LumaFrame]:
    """Make frames between which no cut is found."""
    first = next(random_film(1))
    return [replace(first, pts=number) for number in range(num_frames)]


async def converse_with_late_frames(
    stub: pb_grpc.ColorizerStub, engine: FakeEngine, film: list[LumaFrame], max_delay: float = MAX_DELAY
) -> Conversation:
    """Send a film whose frames 1 and 2, the last of the first credits, have to wait for twice MAX_DELAY."""
    engine.gate.clear()
    requests = [config(max_delay_micros=round(max_delay * 1e6)), *frames_of(film)]
    for request, sent in zip(requests[1:], film, strict=True):
        if sent.is_cut is not None:
            request.frame.shot_cut = sent.is_cut
    talking = asyncio.create_task(converse(stub, requests))
    await until(lambda: engine.seen)
    await asyncio.sleep(2 * MAX_DELAY)
    engine.gate.set()
    return await talking


async def test_late_frames_are_answered_in_their_place_and_not_computed(
    stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    film = list(random_film(6))

    answer = await converse_with_late_frames(stub, engine, film)

    assert NUM_CREDITS == 3
    assert answer.seqs == [0, 1, 2, 3, 4, 5]
    assert [(late.seq, late.pts) for late in answer.late] == [(1, film[1].pts), (2, film[2].pts)]
    assert len(engine.seen) == 4
    assert answer.accepted.max_delay_micros == MAX_DELAY * 1e6
    assert answer.summary is not None
    assert (answer.summary.num_frames, answer.summary.num_late) == (4, 2)


async def test_colour_over_time_goes_on_as_over_a_gap(stub: pb_grpc.ColorizerStub, engine: FakeEngine) -> None:
    film = still_film(6)

    answer = await converse_with_late_frames(stub, engine, film)

    expected = colorized_here([film[0], *film[3:]])
    assert answer.planes == [[frame.cb.tobytes(), frame.cr.tobytes()] for frame in expected]


@pytest.mark.parametrize("flags", [(True, None, None), (None, True, False), (True, False, False)])
async def test_a_shot_that_was_to_begin_with_a_late_frame_begins_with_the_next(
    flags: tuple[bool | None, ...], stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    film = still_film(6)
    for number, flag in enumerate(flags, 1):
        film[number] = replace(film[number], is_cut=flag)

    answer = await converse_with_late_frames(stub, engine, film)

    assert [late.seq for late in answer.late] == [1, 2]
    assert [frame.shot_cut for frame in answer.frames] == [True, True, False, False]
    expected = colorized_here([film[0], replace(film[3], is_cut=True), *film[4:]])
    assert answer.planes == [[frame.cb.tobytes(), frame.cr.tobytes()] for frame in expected]


async def test_without_a_deadline_nothing_is_late(stub: pb_grpc.ColorizerStub, engine: FakeEngine) -> None:
    answer = await converse_with_late_frames(stub, engine, still_film(4), max_delay=0)

    assert [frame.seq for frame in answer.frames] == [0, 1, 2, 3]
    assert not answer.late


async def test_a_late_picture_is_told_so_and_costs_its_lane_no_turn() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=2) as scheduler:
        with scheduler.lane(10) as one, scheduler.lane(10) as other:
            engine.gate.clear()
            running = scheduler.submit(one, picture(1))
            await until(lambda: engine.seen)
            late = scheduler.submit(one, picture(2), deadline=0)
            answers = [scheduler.submit(one, picture(3)), scheduler.submit(other, picture(30))]
            engine.gate.set()
            await asyncio.gather(*map(asyncio.wrap_future, (running, *answers)))

    assert isinstance(late.exception(), LateError)
    assert numbers_seen(engine) == [1, 3, 30]
    assert (one.num_taken, other.num_taken) == (2, 1)


def test_the_still_film_of_these_tests_has_one_shot() -> None:
    assert [frame.is_cut for frame in colorized_here(still_film(6))] == [True] + [False] * 5
    assert len(np.unique(still_film(1)[0].luma)) > 1
