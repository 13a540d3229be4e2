"""What an outbox promises: each frame comes out once and in order, over however many calls, and within the credits."""

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_client.outbox import Outbox
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import LumaFrame
from tests.fakes import random_film

calls = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8), st.integers(0, 8)), max_size=8)
"""Of each call: its credits, how many frames are asked for, and how many of those are answered."""


def pull(frames: Iterator[object], outbox: Outbox, count: int) -> list[int]:
    """Take frames as gRPC would, but only where that does not wait."""
    taken = []
    for _ in range(count):
        if not outbox._num_credits:
            break
        if (sent := next(frames, None)) is None:
            break
        taken.append(sent.seq)  # type: ignore[attr-defined]  # a Sent
    return taken


@given(st.integers(1, 12), calls)
def test_every_frame_is_answered_once_over_any_number_of_calls(
    num_frames: int, planned: list[tuple[int, int, int]]
) -> None:
    outbox = Outbox(random_film(num_frames, 2, 2))
    assert outbox.first() is not None
    answered: list[int] = []

    for num_credits, num_asked, num_answered in [*planned, (num_frames, num_frames, num_frames)]:
        frames = outbox.frames_for(outbox.begin_call())
        outbox.grant(num_credits)
        taken = pull(frames, outbox, num_asked)
        assert taken == list(range(len(answered), len(answered) + len(taken)))
        assert len(taken) <= num_credits
        for seq in taken[:num_answered]:
            sent = outbox.answered(seq)
            assert sent is not None
            answered.append(sent.seq)

    assert answered == list(range(num_frames))
    assert outbox.num_unanswered == 0


def test_an_answer_out_of_turn_is_none() -> None:
    outbox = Outbox(random_film(3, 2, 2))
    outbox.first()
    frames = outbox.frames_for(outbox.begin_call())
    outbox.grant(2)
    next(frames)

    assert outbox.answered(1) is None  # taken in no call yet
    assert outbox.answered(0) is not None
    assert outbox.answered(0) is None


def test_a_call_that_is_over_gets_no_frame_and_what_it_waited_for_is_the_next_call_s() -> None:
    is_inside, may_go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[LumaFrame]:
        film = random_film(3, 2, 2)
        yield next(film)
        is_inside.set()
        assert may_go_on.wait(timeout=10)
        yield from film

    outbox = Outbox(slow())
    outbox.first()
    old: list[int] = []
    outbox.grant(1)
    frames = outbox.frames_for(outbox.begin_call())
    outbox.grant(5)
    thread = threading.Thread(target=lambda: old.extend(sent.seq for sent in frames))
    thread.start()
    assert is_inside.wait(timeout=10)

    after = outbox.frames_for(outbox.begin_call())
    outbox.grant(5)
    may_go_on.set()
    new = [sent.seq for sent in after]
    thread.join(timeout=10)

    assert old == [0]
    assert new == [0, 1, 2]


@pytest.mark.parametrize("error", [MediaError("broken"), RuntimeError("a bug of the caller's")])
def test_an_error_of_the_source_ends_it_and_is_kept(error: Exception) -> None:
    def broken() -> Iterator[LumaFrame]:
        yield from random_film(2, 2, 2)
        raise error

    outbox = Outbox(broken())
    outbox.first()
    frames = outbox.frames_for(outbox.begin_call())
    outbox.grant(9)

    assert [sent.seq for sent in frames] == [0, 1]
    assert outbox.error is error
    assert not outbox.is_done()
    assert [outbox.answered(seq) is not None for seq in (0, 1)] == [True, True]
    assert outbox.is_done()


def test_a_frame_unlike_the_first_is_an_error_of_the_source() -> None:
    outbox = Outbox([next(random_film(1, 2, 2)), next(random_film(1, 2, 4))])
    outbox.first()
    frames = outbox.frames_for(outbox.begin_call())
    outbox.grant(9)

    assert [sent.seq for sent in frames] == [0]
    assert isinstance(outbox.error, InvalidInputError)
