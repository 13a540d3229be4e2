"""One engine for many: in turn, within bounds, and nothing for those who left."""

import asyncio
from collections.abc import AsyncIterator
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.errors import CancelledWorkError
from kinema_core.frames import ColorTags
from kinema_core.pipeline import Options
from kinema_server.errors import BusyError
from kinema_server.scheduler import Lane, Scheduler
from kinema_server.stream import OutputForm, PixelFormat, SentFrame, Stream, StreamSpec, Tally
from tests.fakes import FAKE_MANIFEST, FakeEngine, random_luma
from tests.server.waiting import until

NUM_CREDITS = 4


def picture(number: float) -> NDArray[np.float32]:
    """Make a picture that can be told from the others."""
    return np.full((1, 1, 8, 8), number, np.float32)


def numbers_seen(engine: FakeEngine) -> list[float]:
    return [float(lightness[0, 0, 0, 0]) for lightness in engine.seen]


async def test_lanes_take_turns_however_much_waits_in_one() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=3) as scheduler:
        with scheduler.lane(10) as greedy, scheduler.lane(10) as modest, scheduler.lane(10) as third:
            engine.gate.clear()
            answers = [scheduler.submit(greedy, picture(1))]
            await until(lambda: engine.seen)
            answers += [scheduler.submit(greedy, picture(number)) for number in (2, 3, 4)]
            answers += [scheduler.submit(modest, picture(number)) for number in (20, 30)]
            answers += [scheduler.submit(third, picture(200))]
            engine.gate.set()
            await asyncio.gather(*map(asyncio.wrap_future, answers))

    assert numbers_seen(engine) == [1, 2, 20, 200, 3, 30, 4]


async def test_what_waits_in_a_lane_that_is_left_never_reaches_the_engine() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=2) as scheduler:
        with scheduler.lane(10) as staying:
            engine.gate.clear()
            with scheduler.lane(10) as leaving:
                dropped = [scheduler.submit(leaving, picture(number)) for number in (1, 2, 3)]
                await until(lambda: engine.seen)
                kept = scheduler.submit(staying, picture(20))
            engine.gate.set()
            await asyncio.wrap_future(kept)

    assert numbers_seen(engine) == [1, 20]
    assert [answer.cancelled() for answer in dropped] == [False, True, True]


async def test_a_cancelled_picture_never_reaches_the_engine() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=1) as scheduler:
        with scheduler.lane(10) as lane:
            engine.gate.clear()
            scheduler.submit(lane, picture(1))
            cancelled = scheduler.submit(lane, picture(2))
            last = scheduler.submit(lane, picture(3))
            cancelled.cancel()
            engine.gate.set()
            await asyncio.wrap_future(last)

    assert numbers_seen(engine) == [1, 3]


async def test_a_lane_that_is_left_takes_nothing_more() -> None:
    async with Scheduler(FakeEngine(), max_lanes=1) as scheduler:
        with scheduler.lane(10) as lane:
            pass

        with pytest.raises(CancelledWorkError):
            scheduler.submit(lane, picture(1))


async def test_there_are_no_more_lanes_than_agreed() -> None:
    async with Scheduler(FakeEngine(), max_lanes=2) as scheduler:
        with scheduler.lane(1), scheduler.lane(1), pytest.raises(BusyError), scheduler.lane(1):
            pass
        with scheduler.lane(1), scheduler.lane(1):  # the places are free again
            pass


async def test_closing_cancels_what_waits_and_ends_the_threads() -> None:
    engine = FakeEngine()
    scheduler = Scheduler(engine, max_lanes=1)
    async with scheduler:
        with scheduler.lane(10) as lane:
            engine.gate.clear()
            running = scheduler.submit(lane, picture(1))
            await until(lambda: engine.seen)
            waiting = scheduler.submit(lane, picture(2))
            closing = asyncio.create_task(asyncio.to_thread(scheduler.close))
            await until(waiting.cancelled)
            engine.gate.set()
            await closing

    assert running.result().ab.shape == (1, 2, 4, 4)
    assert numbers_seen(engine) == [1]


async def test_an_engine_that_fails_once_serves_on() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=1) as scheduler:
        with scheduler.lane(10) as lane:
            engine.error = ValueError("on purpose")
            failed = scheduler.submit(lane, picture(1))
            with pytest.raises(ValueError, match="on purpose"):
                await asyncio.wrap_future(failed)
            engine.error = None
            healthy = await asyncio.wrap_future(scheduler.submit(lane, picture(2)))

    assert np.isfinite(healthy.ab).all()


def stream_over(scheduler: Scheduler, lane: Lane) -> Stream:
    spec = StreamSpec(
        height=18,
        width=32,
        pixel_format=PixelFormat.GRAY8,
        tags=ColorTags(),
        time_base=Fraction(1, 24),
        model="",
        output_form=OutputForm.CHROMA,
        options=Options(),
    )
    return Stream(spec, FAKE_MANIFEST, scheduler, lane, Tally())


class Film:
    """An endless source of frames that counts how many were taken."""

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self.num_taken = 0

    async def frames(self) -> AsyncIterator[SentFrame]:
        for seq in range(self.num_frames):
            self.num_taken += 1
            yield SentFrame(seq, 0, random_luma(18, 32, ColorTags(), seq), None)


async def test_a_stream_takes_no_more_frames_than_its_credits_before_it_answers() -> None:
    engine = FakeEngine()
    film = Film(20)
    num_taken_ahead = []
    async with Scheduler(engine, max_lanes=1) as scheduler:
        with scheduler.lane(NUM_CREDITS) as lane:
            num_answered = 0
            async for _ in stream_over(scheduler, lane).colorize(film.frames()):
                await asyncio.sleep(0.01)  # time enough to run ahead
                num_taken_ahead.append(film.num_taken - num_answered)
                num_answered += 1

    assert num_answered == 20
    assert max(num_taken_ahead) == NUM_CREDITS


async def test_a_stream_that_is_left_frees_everything_it_held() -> None:
    engine = FakeEngine()
    film = Film(1000)
    async with Scheduler(engine, max_lanes=1) as scheduler:
        with scheduler.lane(NUM_CREDITS) as lane:
            answers = stream_over(scheduler, lane).colorize(film.frames())
            await anext(answers)
            await answers.aclose()
            num_tasks = len(asyncio.all_tasks())
            num_taken = film.num_taken
            await asyncio.sleep(0.02)

    assert num_tasks == 1  # this one
    assert film.num_taken == num_taken
    assert len(engine.seen) <= NUM_CREDITS + 1
