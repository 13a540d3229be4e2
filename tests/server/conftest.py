"""A real server on a free port, with a fake engine, and a bare channel to it."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_server.app import RunningServer, running_server
from kinema_server.settings import Settings
from tests.fakes import FAKE_BUNDLE, FakeEngine

NUM_CREDITS = 3


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, credits=NUM_CREDITS, max_frame_pixels=200_000, max_photo_pixels=200_000, grace_seconds=0)


@pytest.fixture
async def server(settings: Settings, engine: FakeEngine) -> AsyncIterator[RunningServer]:
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as running:
        yield running
        engine.gate.set()  # a test that failed may have left it closed


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> pb_grpc.ColorizerStub:
    return pb_grpc.ColorizerStub(channel)
