"""Streams driven at random, several at a time: each is answered as the contract says, and none leaves a trace."""

import queue
import time
from dataclasses import dataclass, field

import grpc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule, run_state_machine_as_test

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_server.app import RunningServer
from kinema_server.settings import Settings
from tests.client.conftest import server_on_a_thread
from tests.fakes import FakeEngine
from tests.server.wire import HEIGHT, WIDTH, call_of, config, field_at_fault, frame

MAX_STREAMS = 8


@dataclass(eq=False)
class Stream:
    """One call, and what the contract makes of what was sent."""

    requests: "queue.Queue[pb.ColorizeFramesRequest | None]"
    call: grpc.Call
    seqs: list[int] = field(default_factory=list)
    """Of the frames that are to be answered."""
    has_config: bool = False
    fault: str | None = None
    """The field that the server is to name."""

    def send(self, request: pb.ColorizeFramesRequest, *, fault: str | None = None) -> None:
        if self.fault is None:
            self.fault = fault
        self.requests.put(request)


class Streams(RuleBasedStateMachine):
    """Sends what it likes on as many streams as there are places."""

    server: RunningServer
    streams = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.channel = grpc.insecure_channel(self.server.address)
        self.stub = pb_grpc.ColorizerStub(self.channel)
        self.open: list[Stream] = []

    @rule(target=streams, is_right=st.sampled_from([True] * 4 + [False]))
    def begin(self, *, is_right: bool) -> Stream:
        requests: queue.Queue[pb.ColorizeFramesRequest | None] = queue.Queue()
        stream = Stream(requests, self.stub.ColorizeFrames(iter(requests.get, None)))
        self.open.append(stream)
        if is_right:
            self.send_config(stream)
        return stream

    @rule(stream=streams, count=st.integers(1, 5))
    def send_frames(self, stream: Stream, count: int) -> None:
        for _ in range(count):
            self.send_frame(stream, 1, HEIGHT * WIDTH)

    @rule(stream=streams)
    def send_config(self, stream: Stream) -> None:
        stream.send(config(), fault="config" if stream.has_config else None)
        stream.has_config = True

    @rule(stream=streams, change=st.sampled_from(["size", "smoothing", "pixel_format"]))
    def send_wrong_config(self, stream: Stream, change: str) -> None:
        wrong: dict[str, object] = {"size": pb.Size(), "smoothing": 2.0, "pixel_format": 0}
        fault = "config" if stream.has_config else ("config.size.width" if change == "size" else f"config.{change}")
        if not stream.has_config and change == "size":
            fault = "config.size"
        stream.send(config(**{change: wrong[change]}), fault=fault)
        stream.has_config = True

    @rule(stream=streams, step=st.integers(-1, 3), num_bytes=st.sampled_from([HEIGHT * WIDTH] * 9 + [0, 7]))
    def send_frame(self, stream: Stream, step: int, num_bytes: int) -> None:
        seq = max(0, (stream.seqs[-1] if stream.seqs else 0) + step)
        fault = None
        if not stream.has_config:
            fault = "config"
        elif num_bytes != HEIGHT * WIDTH:
            fault = "frame.planes"
        elif stream.seqs and seq <= stream.seqs[-1]:
            fault = "frame.seq"
        stream.send(frame(seq, bytes(num_bytes)), fault=fault)
        if stream.fault is None:
            stream.seqs.append(seq)

    @rule(stream=streams)
    def send_nothing(self, stream: Stream) -> None:
        stream.send(pb.ColorizeFramesRequest(), fault="message" if stream.has_config else "config")

    @rule(stream=consumes(streams))
    def cancel(self, stream: Stream) -> None:
        stream.call.cancel()
        stream.requests.put(None)
        self.open.remove(stream)

    @rule(stream=consumes(streams))
    def end(self, stream: Stream) -> None:
        stream.requests.put(None)
        self.open.remove(stream)
        self._check(stream)

    def _check(self, stream: Stream) -> None:
        """Read all answers, and compare them with what is due."""
        if not stream.has_config and stream.fault is None:
            stream.fault = "config"
        kinds, seqs = [], []
        error: grpc.RpcError | None = None
        try:
            for response in stream.call:  # type: ignore[attr-defined]  # grpc's stubs do not say that it iterates
                kinds.append(response.WhichOneof("message"))
                seqs += [response.frame.seq] if kinds[-1] == "frame" else []
        except grpc.RpcError as raised:
            error = raised
        if error is not None and call_of(error).code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            assert not kinds
            return
        assert seqs == stream.seqs
        if stream.fault is None:
            assert error is None
            assert kinds == ["accepted", *["frame"] * len(seqs), "summary"]
        else:
            assert error is not None
            assert call_of(error).code() is grpc.StatusCode.INVALID_ARGUMENT
            assert field_at_fault(call_of(error)).startswith(stream.fault)

    def teardown(self) -> None:
        for stream in self.open:
            stream.requests.put(None)
            self._check(stream)
        self.channel.close()


def test_streams_keep_the_contract_whatever_is_sent_on_them() -> None:
    chosen = Settings(port=0, credits=2, max_streams=MAX_STREAMS, grace_seconds=0)
    with server_on_a_thread(FakeEngine(), chosen) as server:
        drive(server)


def drive(server: RunningServer) -> None:
    Streams.server = server
    quickly = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))

    run_state_machine_as_test(Streams, settings=quickly)

    sample = server.metrics.registry.get_sample_value
    assert sample("kinema_frames_total", {"outcome": "colorized"})
    end = time.monotonic() + 10
    while sample("kinema_streams"):
        assert time.monotonic() < end, "a stream was left"
        time.sleep(0.05)
