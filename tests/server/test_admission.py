"""Whom a server lets in: within its pixels a second and its memory, and all that was taken comes back."""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from hypothesis import given
from hypothesis import strategies as st

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.errors import InvalidInputError
from kinema_server.access import Quotas, caller
from kinema_server.admission import ASSUMED_FRAME_RATE, Admission
from kinema_server.app import RunningServer, running_server
from kinema_server.convert import spec_from_proto
from kinema_server.errors import BusyError
from kinema_server.keys import METHODS, Client, read_keys
from kinema_server.ledger import Ledger
from kinema_server.pace import TOLERANCE, Pace
from kinema_server.settings import Settings
from kinema_server.stream import StreamSpec
from tests.fakes import FAKE_BUNDLE, FAKE_MANIFEST, FakeEngine
from tests.server.waiting import until
from tests.server.wire import (
    HEIGHT,
    WIDTH,
    Conversation,
    config,
    converse,
    error_info,
    field_at_fault,
    frame,
    status_of,
)

PIXELS = HEIGHT * WIDTH


@given(st.data())
def test_what_is_taken_is_given_back_and_no_account_goes_beyond_its_limit(data: st.DataObject) -> None:
    ledger, taken = Ledger(), Counter[str]()
    leaving: list[tuple[contextlib.ExitStack, str, int]] = []
    for is_next_to_leave in data.draw(st.lists(st.booleans(), max_size=20)):
        if leaving and is_next_to_leave:
            stack, account, amount = leaving.pop(data.draw(st.integers(0, len(leaving) - 1)))
            with contextlib.suppress(ZeroDivisionError):
                if amount % 2:
                    stack.close()
                else:  # a stream that ends in an error
                    stack.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
            taken[account] -= amount
        else:
            account, amount = data.draw(st.sampled_from("ab")), data.draw(st.integers(0, 10))
            limit = data.draw(st.none() | st.integers(0, 30))
            stack = contextlib.ExitStack()
            has_room = limit is None or taken[account] + amount <= limit
            try:
                stack.enter_context(ledger.taken(amount, limit, "full", account=account))
            except BusyError:
                assert not has_room
            else:
                assert has_room
                taken[account] += amount
                leaving.append((stack, account, amount))
        assert ledger.total == taken.total() >= 0
    for stack, *_ in leaving:
        stack.close()
    assert ledger.total == 0


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 16),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_no_stretch_of_time_holds_more_frames_than_the_rate_and_one_burst(
    rate: float, burst: int, gaps: list[float]
) -> None:
    pace, now, let_through = Pace(rate, burst=burst), 1000.0, []
    for gap in gaps:
        now += gap
        now += pace.wait(now)  # who waits sends no further meanwhile
        let_through.append(now)

    for first, since in enumerate(let_through):
        for last in range(first, len(let_through)):
            most = burst + rate * (let_through[last] - since)
            assert last - first + 1 <= most + 1e-6 * (1 + most)


def test_a_sender_that_keeps_its_rate_never_waits() -> None:
    pace = Pace(25, burst=2)

    assert [pace.wait(1000 + number / 25) for number in range(100)] == [0.0] * 100


def spec_of(**changes: Any) -> StreamSpec:
    return spec_from_proto(config(**changes).config, max_pixels=1 << 26)


def admission(**settings: Any) -> Admission:
    return Admission(Settings(**settings), FAKE_MANIFEST)


def test_large_frames_get_fewer_credits() -> None:
    small, large = spec_of(), spec_of(size=pb.Size(width=7680, height=4320), pixel_format=pb.PIXEL_FORMAT_YUV420P10LE)
    usual = admission(credits=8)

    assert usual.terms(small).num_credits == 8
    assert 1 <= usual.terms(large).num_credits < 8
    assert usual.terms(large).memory_bytes < 1.5 * (1 << 30)
    assert admission(credits=8, max_stream_memory_bytes=1).terms(large).num_credits == 1


def test_a_stream_that_never_has_room_is_told_so_instead_of_to_come_again() -> None:
    small, slow = admission(max_memory_bytes=64 << 20), admission(max_pixels_per_second=100 * PIXELS)

    with pytest.raises(InvalidInputError, match=r"config\.size: needs some .* MiB") as too_large:
        small.terms(spec_of(size=pb.Size(width=4096, height=4096)))
    with pytest.raises(InvalidInputError, match="must be at most 100 for 32x18 here, got 101") as too_fast:
        slow.terms(spec_of(max_frame_rate=101.0))

    assert (too_large.value.field, too_fast.value.field) == ("config.size", "config.max_frame_rate")
    assert slow.terms(spec_of(max_frame_rate=100.0)).pixels_per_second == 100 * PIXELS


@pytest.mark.parametrize(
    ("limit", "declared", "expected"),
    [
        (None, None, None),
        (None, 50, 50),
        (100 * PIXELS, None, ASSUMED_FRAME_RATE),
        (100 * PIXELS, 50, 50),
        (7 * PIXELS + 3, None, 7 + 3 / PIXELS),  # alone it is to find room
    ],
)
def test_a_stream_is_held_to_what_it_says_or_to_what_is_usual(
    limit: int | None, declared: float | None, expected: float | None
) -> None:
    terms = admission(max_pixels_per_second=limit).terms(spec_of(max_frame_rate=declared))

    assert terms.max_frame_rate == expected
    assert terms.pixels_per_second <= (limit or 50 * PIXELS)


def test_the_key_limits_pixels_a_second_over_all_its_streams() -> None:
    client = Client("studio", frozenset(METHODS), None, max_pixels_per_second=60 * PIXELS)
    quotas, anybody = Quotas(), admission()
    token = caller.set(client)
    try:
        terms = anybody.terms(spec_of())
        assert terms.max_frame_rate == ASSUMED_FRAME_RATE
        with quotas.stream(terms.pixels_per_second), quotas.stream(terms.pixels_per_second):
            with pytest.raises(BusyError, match="that studio may send"), quotas.stream(1):
                pass
            with quotas.stream():  # a photograph
                pass
        with quotas.stream(60 * PIXELS):
            pass
        with pytest.raises(InvalidInputError, match="must be at most 60"):
            anybody.terms(spec_of(max_frame_rate=61.0))
    finally:
        caller.reset(token)


async def while_one_is_open(server: RunningServer, *, rate: float) -> tuple[Conversation, Conversation]:
    """Open a stream of 32x18, try to open another like it, end the first and try again."""
    may_end = threading.Event()

    def held_open() -> Iterator[pb.ColorizeFramesRequest]:
        yield config(max_frame_rate=rate)
        may_end.wait(timeout=10)

    with grpc.insecure_channel(server.address) as channel:
        stub = pb_grpc.ColorizerStub(channel)
        first = stub.ColorizeFrames(held_open())
        await asyncio.to_thread(next, first)
        second = await converse(stub, [config(max_frame_rate=rate), frame(0)])
        may_end.set()
        await asyncio.to_thread(list, first)
        third = await converse(stub, [config(max_frame_rate=rate), frame(0)])
    return second, third


MEMORY = admission(credits=3).terms(spec_of()).memory_bytes


@pytest.mark.parametrize(
    ("limits", "what"),
    [({"max_pixels_per_second": 45 * PIXELS}, "pixels a second"), ({"max_memory_bytes": 2 * MEMORY - 1}, "memory")],
)
async def test_a_stream_beyond_the_limits_is_refused_with_a_hint_as_long_as_the_others_run(
    limits: dict[str, int], what: str
) -> None:
    settings = Settings(port=0, credits=3, grace_seconds=0, **limits)  # type: ignore[arg-type]  # by name
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        second, third = await while_one_is_open(server, rate=30.0)
        sample = server.metrics.registry.get_sample_value
        left = [sample(name) for name in ("kinema_stream_pixels_per_second", "kinema_stream_memory_bytes")]

    assert second.refusal is not None
    assert second.refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error_info(second.refusal).reason == "BUSY"
    assert what in (second.refusal.details() or "")
    assert any(detail.Unpack(RetryInfo()) for detail in status_of(second.refusal).details)
    assert len(third.frames) == 1
    assert left == [0, 0]


async def test_what_open_streams_have_taken_is_shown(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    sample = server.metrics.registry.get_sample_value
    engine.gate.clear()
    talking = asyncio.create_task(converse(stub, [config(max_frame_rate=25.0), frame(0)]))
    await until(lambda: engine.seen)

    assert sample("kinema_stream_pixels_per_second") == 25 * PIXELS
    assert sample("kinema_stream_memory_bytes") == MEMORY

    engine.gate.set()
    await talking
    assert sample("kinema_stream_memory_limit_bytes") == float("inf")


async def test_frames_beyond_the_rate_wait_and_are_all_answered(stub: pb_grpc.ColorizerStub) -> None:
    started = time.monotonic()

    answer = await converse(stub, [config(max_frame_rate=20.0), *(frame(seq) for seq in range(11))])

    assert time.monotonic() - started >= (11 - answer.accepted.credits) / (20 * TOLERANCE)
    assert answer.seqs == list(range(11))
    assert answer.accepted.max_frame_rate == 20


@pytest.mark.parametrize("rate", [0.05, -1.0, 1001.0, float("nan")])
async def test_a_rate_out_of_range_is_refused(stub: pb_grpc.ColorizerStub, rate: float) -> None:
    answer = await converse(stub, [config(max_frame_rate=rate)])

    assert answer.refusal is not None
    assert field_at_fault(answer.refusal) == "config.max_frame_rate"


def test_a_file_of_keys_may_say_pixels_a_second(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(f'[[key]]\nname = "a"\nsha256 = "{"0" * 64}"\nmax_pixels_per_second = 5\n')

    (client,) = read_keys(path).values()

    assert (client.max_streams, client.max_pixels_per_second) == (None, 5)
