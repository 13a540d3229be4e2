"""One engine for many: in turn, within bounds, and nothing for those who left."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from kinema_core.errors import CancelledWorkError
from kinema_core.frames import ColorTags
from kinema_core.pipeline import Options
from kinema_server.batching import BatchPlan, measure, measured_plan, plan
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


async def test_a_frame_is_prepared_and_queued_at_once() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=1) as scheduler:
        with scheduler.lane(10) as lane:
            answer = scheduler.submit_frame(lane, lambda: picture(7))
            inferred = await asyncio.wrap_future(answer)

    assert numbers_seen(engine) == [7]
    assert inferred.ab.shape == (1, 2, 4, 4)


async def test_a_frame_that_cannot_be_prepared_is_answered_with_its_error() -> None:
    engine = FakeEngine()

    def prepare() -> NDArray[np.float32]:
        raise ValueError("on purpose")

    async with Scheduler(engine, max_lanes=1) as scheduler:
        with scheduler.lane(10) as lane, pytest.raises(ValueError, match="on purpose"):
            await asyncio.wrap_future(scheduler.submit_frame(lane, prepare))
        with pytest.raises(CancelledWorkError):  # nor one whose lane was left meanwhile
            await asyncio.wrap_future(scheduler.submit_frame(lane, lambda: picture(1)))

    assert not engine.seen


async def test_a_frame_that_nobody_waits_for_is_neither_prepared_nor_left_open() -> None:
    prepared: list[float] = []
    is_free = threading.Event()

    def prepare(number: float) -> NDArray[np.float32]:
        prepared.append(number)
        assert is_free.wait(10)
        return picture(number)

    scheduler = Scheduler(FakeEngine(), max_lanes=1, num_cpu_threads=1)
    async with scheduler:
        with scheduler.lane(10) as lane:
            first, unwanted, last = (scheduler.submit_frame(lane, partial(prepare, number)) for number in (1, 2, 3))
            await until(lambda: prepared)
            unwanted.cancel()
            closing = asyncio.create_task(asyncio.to_thread(scheduler.close))
            await until(last.cancelled)
            is_free.set()
            await closing

    assert prepared == [1]
    assert isinstance(first.exception(), CancelledWorkError)


async def test_frames_go_to_the_engine_in_their_order_whichever_is_prepared_first() -> None:
    engine, is_free, prepared = FakeEngine(), threading.Event(), list[float]()

    def prepare(number: float) -> NDArray[np.float32]:
        assert number > 1 or is_free.wait(10)
        prepared.append(number)
        return picture(number)

    async with Scheduler(engine, max_lanes=2, num_cpu_threads=2) as scheduler:
        with scheduler.lane(10) as lane, scheduler.lane(10) as other:
            answers = [scheduler.submit_frame(lane, partial(prepare, number)) for number in (1, 2)]
            await until(lambda: prepared == [2])
            await asyncio.wrap_future(scheduler.submit(other, picture(30)))  # another lane does not wait for it
            is_free.set()
            await asyncio.gather(*map(asyncio.wrap_future, answers))

    assert numbers_seen(engine) == [30, 1, 2]


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_frame_that_fails_or_is_left_holds_up_none_behind_it(is_cancelled: bool) -> None:
    engine, is_free, prepared = FakeEngine(), threading.Event(), list[float]()

    def prepare(number: float) -> NDArray[np.float32]:
        if number == 1:
            assert is_free.wait(10)
            raise ValueError("on purpose")
        prepared.append(number)
        return picture(number)

    async with Scheduler(engine, max_lanes=1, num_cpu_threads=2) as scheduler:
        with scheduler.lane(10) as lane:
            failing, next_one = (scheduler.submit_frame(lane, partial(prepare, number)) for number in (1, 2))
            await until(lambda: prepared)
            if is_cancelled:
                failing.cancel()
            is_free.set()
            await asyncio.wrap_future(next_one)

    assert numbers_seen(engine) == [2]
    assert is_cancelled or isinstance(failing.exception(), ValueError)


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
            async for _ in stream_over(scheduler, lane).colorize(film.frames(), lambda answer: answer):
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
            answers = stream_over(scheduler, lane).colorize(film.frames(), lambda answer: answer)
            await anext(answers)
            await answers.aclose()
            num_tasks = len(asyncio.all_tasks())
            num_taken = film.num_taken
            await asyncio.sleep(0.02)

    assert num_tasks == 1  # this one
    assert film.num_taken == num_taken
    assert len(engine.seen) <= NUM_CREDITS + 1


async def test_a_batch_holds_pictures_of_all_lanes_in_turn_and_gives_each_its_own() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=3, batching=BatchPlan(max_size=3)) as scheduler:
        with scheduler.lane(10) as one, scheduler.lane(10) as other:
            engine.gate.clear()
            answers = [scheduler.submit(one, picture(90))]
            await until(lambda: engine.seen)
            answers += [scheduler.submit(one, picture(number)) for number in (1, 2, 3)]
            answers += [scheduler.submit(other, picture(number)) for number in (10, 20)]
            engine.gate.set()
            inferred = await asyncio.gather(*map(asyncio.wrap_future, answers))

    assert [batch[:, 0, 0, 0].tolist() for batch in engine.seen] == [[90], [1, 10, 2], [20, 3]]
    for number, found in zip((90, 1, 2, 3, 10, 20), inferred, strict=True):
        np.testing.assert_array_equal(found.ab, FakeEngine().infer(picture(number)))


async def test_pictures_of_another_size_do_not_join_a_batch() -> None:
    engine = FakeEngine()
    async with Scheduler(engine, max_lanes=2, batching=BatchPlan(max_size=4)) as scheduler:
        with scheduler.lane(10) as one, scheduler.lane(10) as other:
            engine.gate.clear()
            answers = [scheduler.submit(one, picture(90))]
            await until(lambda: engine.seen)
            answers += [scheduler.submit(one, picture(1)), scheduler.submit(one, picture(2))]
            answers += [scheduler.submit(other, np.full((1, 1, 16, 8), 3, np.float32))]
            engine.gate.set()
            await asyncio.gather(*map(asyncio.wrap_future, answers))

    assert [batch.shape for batch in engine.seen] == [(1, 1, 8, 8), (1, 1, 8, 8), (1, 1, 16, 8), (1, 1, 8, 8)]


async def test_a_batch_waits_a_little_for_other_lanes_and_no_longer() -> None:
    engine = FakeEngine()
    plan = BatchPlan(max_size=2, wait_seconds=0.3)
    async with Scheduler(engine, max_lanes=2, batching=plan) as scheduler:
        with scheduler.lane(10) as one, scheduler.lane(10) as other:
            first = scheduler.submit(one, picture(1))
            await asyncio.sleep(0.05)
            second = scheduler.submit(other, picture(2))
            await asyncio.gather(asyncio.wrap_future(first), asyncio.wrap_future(second))
            started = time.monotonic()
            await asyncio.wrap_future(scheduler.submit(one, picture(3)))
            waited = time.monotonic() - started
        with scheduler.lane(10) as alone:
            started = time.monotonic()
            await asyncio.wrap_future(scheduler.submit(alone, picture(4)))
            alone_waited = time.monotonic() - started

    assert [len(batch) for batch in engine.seen] == [2, 1, 1]
    assert waited > 0.25
    assert alone_waited < 0.25


async def test_one_bad_picture_does_not_fail_its_batch() -> None:
    class Picky(FakeEngine):
        def infer(self, lightness: NDArray[np.float32]) -> NDArray[np.float32]:
            self.seen.append(lightness)
            assert self.gate.wait(30)
            if (lightness == 13).any():
                raise ValueError("on purpose")
            return super().infer(lightness)

    engine = Picky()
    async with Scheduler(engine, max_lanes=1, batching=BatchPlan(max_size=4)) as scheduler:
        with scheduler.lane(10) as lane:
            engine.gate.clear()
            answers = [scheduler.submit(lane, picture(90))]
            await until(lambda: engine.seen)
            answers += [scheduler.submit(lane, picture(number)) for number in (1, 13, 2)]
            engine.gate.set()
            found = await asyncio.gather(*map(asyncio.wrap_future, answers), return_exceptions=True)

    assert [isinstance(answer, ValueError) for answer in found] == [False, False, True, False]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ({1: 0.020, 2: 0.040, 4: 0.080}, BatchPlan()),  # a CPU
        ({1: 0.020, 2: 0.0375, 4: 0.078}, BatchPlan()),  # 6 % are not worth the wait
        ({1: 0.004, 2: 0.005, 4: 0.006, 8: 0.0115}, BatchPlan(4, 0.00125)),
        ({1: 0.004}, BatchPlan()),
    ],
)
def test_the_plan_is_the_largest_batch_that_saves_time(curve: dict[int, float], expected: BatchPlan) -> None:
    assert plan(curve) == expected


def test_an_engine_is_measured_at_the_models_size() -> None:
    engine = FakeEngine()
    engine.delay_seconds = 0.02

    curve = measure(engine, FAKE_MANIFEST)

    assert list(curve) == [1, 2, 4, 8, 16]
    assert {seen.shape[1:] for seen in engine.seen} == {(1, 32, 32)}
    assert measured_plan(engine, FAKE_MANIFEST).max_size > 1  # its time does not depend on the batch
