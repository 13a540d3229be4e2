"""A real server with a fake engine, on a thread of its own, and a client of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from kinema_client import Client
from kinema_core.bundle import Bundle
from kinema_core.engines.engine import Engine
from kinema_server.app import RunningServer, running_server
from kinema_server.settings import Settings
from tests.fakes import FAKE_BUNDLE, FakeEngine

NUM_CREDITS = 3


class StoppableServer(NamedTuple):
    running: RunningServer
    stop: Callable[[], object]
    """Tells it to stop, and does not wait."""


@contextmanager
def server_on_a_thread(engine: FakeEngine, settings: Settings) -> Iterator[RunningServer]:
    with stoppable_server(engine, settings) as server:
        try:
            yield server.running
        finally:
            engine.gate.set()  # a test that failed may have left it closed


@contextmanager
def stoppable_server(engine: Engine, settings: Settings, bundle: Bundle = FAKE_BUNDLE) -> Iterator[StoppableServer]:
    started: Future[tuple[RunningServer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        is_told_to_stop = asyncio.Event()
        async with running_server(settings, bundle=bundle, engine=engine) as server:
            started.set_result((server, asyncio.get_running_loop(), is_told_to_stop))
            await is_told_to_stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    server, loop, is_told_to_stop = started.result(timeout=30)

    def stop() -> None:
        with suppress(RuntimeError):  # it has stopped
            loop.call_soon_threadsafe(is_told_to_stop.set)

    try:
        yield StoppableServer(server, stop)
    finally:
        stop()
        thread.join()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return the file of a secret that several servers may share."""
    path = tmp_path / "secret"
    path.write_text("s" * 64)
    return path


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def server(engine: FakeEngine) -> Iterator[RunningServer]:
    settings = Settings(
        port=0,
        credits=NUM_CREDITS,
        max_streams=2,
        max_frame_pixels=200_000,
        max_photo_pixels=200_000,
        grace_seconds=0,
    )
    with server_on_a_thread(engine, settings) as running:
        yield running


@pytest.fixture
def kinema(server: RunningServer) -> Iterator[Client]:
    with Client(server.address) as client:
        yield client
