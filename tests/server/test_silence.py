"""Peers that say nothing: none holds a place for ever, and none holds more than its own."""

import asyncio
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import grpc
import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_server.app import RunningServer, running_server
from kinema_server.settings import Settings
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.server.waiting import until
from tests.server.wire import call_of, config, converse, field_at_fault, frame


@pytest.fixture
def settings() -> Settings:
    return Settings(port=0, max_streams=2, max_silence_seconds=0.5, keepalive_seconds=1, grace_seconds=0)


class Cable:
    """A way to a server that can be cut, so that neither side hears of it."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = [self._listener]
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._is_cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._is_cut.set()

    def close(self) -> None:
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._to)
        self._ends += [near, far]
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                if not self._is_cut.is_set():
                    target.sendall(data)
        except OSError:  # the other way was closed
            return


def streams(server: RunningServer) -> float | None:
    return server.metrics.registry.get_sample_value("kinema_streams")


@pytest.mark.parametrize("method", ["ColorizeFrames", "ColorizeVideo"])
async def test_a_call_that_does_not_say_what_it_wants_is_refused_after_a_while(
    stub: pb_grpc.ColorizerStub, method: str
) -> None:
    nothing: queue.Queue[object] = queue.Queue()

    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(lambda: list(getattr(stub, method)(iter(nothing.get, None))))
    nothing.put(None)

    assert call_of(caught.value).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field_at_fault(call_of(caught.value)) == "config"


async def test_a_film_whose_next_bytes_do_not_come_gives_its_place_up(
    server: RunningServer, stub: pb_grpc.ColorizerStub
) -> None:
    requests: queue.Queue[pb.ColorizeVideoRequest | None] = queue.Queue()
    requests.put(pb.ColorizeVideoRequest(config=pb.VideoConfig()))
    requests.put(pb.ColorizeVideoRequest(chunk=b"the first"))

    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(lambda: list(stub.ColorizeVideo(iter(requests.get, None))))
    requests.put(None)

    assert call_of(caught.value).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field_at_fault(call_of(caught.value)) == "chunk"
    assert streams(server) == 0


async def test_a_stream_may_rest_between_frames(stub: pb_grpc.ColorizerStub) -> None:
    def requests() -> Iterator[pb.ColorizeFramesRequest]:
        yield config()
        yield frame(0)
        rest.wait(1.2)
        yield frame(1)

    rest = threading.Event()
    answers = await asyncio.to_thread(lambda: list(stub.ColorizeFrames(requests())))

    assert [answer.WhichOneof("message") for answer in answers] == ["accepted", "frame", "frame", "summary"]


async def test_a_client_that_vanishes_without_a_word_frees_its_place(server: RunningServer) -> None:
    requests: queue.Queue[pb.ColorizeFramesRequest | None] = queue.Queue()
    requests.put(config())
    with closing(Cable(server.port)) as cable, grpc.insecure_channel(cable.address) as channel:
        call = pb_grpc.ColorizerStub(channel).ColorizeFrames(iter(requests.get, None))
        await asyncio.to_thread(next, call)
        assert streams(server) == 1

        cable.cut()

        await until(lambda: streams(server) == 0, seconds=20)
        requests.put(None)
        call.cancel()


async def test_there_are_no_more_calls_than_agreed_and_those_that_run_go_on() -> None:
    settings = Settings(port=0, max_streams=2, grace_seconds=0)
    nothing: queue.Queue[pb.ColorizeFramesRequest | None] = queue.Queue()
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.ColorizerStub(channel)

            async def refusal() -> grpc.StatusCode | None:
                answer = await converse(stub, [config(), frame(0)])
                return answer.refusal.code() if answer.refusal else None

            waiting = [stub.ColorizeFrames(iter(nothing.get, None)) for _ in range(settings.max_calls)]
            while_they_wait = [await refusal() for _ in range(3)]
            for call in waiting:
                call.cancel()
                nothing.put(None)
            later = [await refusal() for _ in range(50)]

    assert grpc.StatusCode.RESOURCE_EXHAUSTED in while_they_wait
    assert later[-1] is None
