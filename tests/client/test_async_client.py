"""The asyncio client: as the other one, awaited."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from kinema_client import AsyncClient, Client, ServerUnavailableError, Summary
from kinema_core.errors import InvalidInputError
from kinema_core.frames import LumaFrame
from kinema_server.app import RunningServer
from tests.fakes import FakeEngine, random_film


async def live(num_frames: int) -> AsyncIterator[LumaFrame]:
    for frame in random_film(num_frames):
        await asyncio.sleep(0.001)
        yield frame


async def test_a_film_comes_back_as_the_plain_client_has_it(server: RunningServer, kinema: Client) -> None:
    film = list(random_film(6))
    expected = await asyncio.to_thread(lambda: list(kinema.colorize_frames(film)))

    async with AsyncClient(server.address) as client:
        stream = client.colorize_frames(film)
        colored = [frame async for frame in stream]

    for sent, here, there in zip(film, expected, colored, strict=True):
        assert there.luma is sent.luma
        np.testing.assert_array_equal(there.cb, here.cb)
        np.testing.assert_array_equal(there.cr, here.cr)
    assert stream.summary is not None
    assert stream.summary.num_frames == 6
    assert stream.accepted is not None
    assert stream.timings is not None
    assert stream.is_cut is not None


async def test_a_live_source_of_the_event_loop_is_colorized(server: RunningServer) -> None:
    async with AsyncClient(server.address) as client:
        colored = [frame async for frame in client.colorize_frames_to_rgb(live(8))]

    assert [frame.pts for frame in colored] == [frame.pts for frame in random_film(8)]


async def test_a_source_that_waits_for_ever_does_not_keep_a_stream_from_closing(server: RunningServer) -> None:
    async def stalled() -> AsyncIterator[LumaFrame]:
        async for frame in live(2):
            yield frame
        await asyncio.Event().wait()

    async with AsyncClient(server.address) as client, client.colorize_frames(stalled()) as stream:
        await anext(stream)
        await anext(stream)
        async with asyncio.timeout(10):
            await stream.aclose()

        assert [frame async for frame in stream] == []


async def test_a_task_that_is_cancelled_cancels_its_stream(server: RunningServer, engine: FakeEngine) -> None:
    engine.gate.clear()
    async with AsyncClient(server.address) as client:
        waiting = asyncio.create_task(anext(client.colorize_frames(live(100))))
        while not engine.seen:  # noqa: ASYNC110 - the server's thread makes it so
            await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        engine.gate.set()

    assert server.metrics.registry.get_sample_value("kinema_frames_total", {"outcome": "colorized"}) == 0


async def test_two_streams_run_side_by_side(server: RunningServer) -> None:
    async def pts_of(num_frames: int) -> list[int]:
        return [frame.pts async for frame in client.colorize_frames(live(num_frames))]

    async with AsyncClient(server.address) as client:
        both = await asyncio.gather(pts_of(5), pts_of(9))

    assert list(both) == [[frame.pts for frame in random_film(num_frames)] for num_frames in (5, 9)]


async def test_photographs_and_models_are_awaited(server: RunningServer) -> None:
    async with AsyncClient(server.address) as client:
        (model,) = await client.list_models()
        with pytest.raises(InvalidInputError):
            await client.colorize_image(b"hello")

    assert model.name == "fake"


async def test_errors_are_those_of_the_plain_client() -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(ServerUnavailableError):
            await anext(client.colorize_frames(random_film(1)))

        stream = client.colorize_frames([])
        assert [frame async for frame in stream] == []
        assert stream.summary == Summary(num_frames=0, num_cuts=0)
