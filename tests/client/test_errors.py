"""Every way a call can fail comes back as one error of one tree, with advice."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_client import (
    Client,
    ClientError,
    ProtocolError,
    ServerBusyError,
    ServerFailedError,
    ServerUnavailableError,
    UnknownModelError,
)
from kinema_core.errors import EngineError, FrameOrderError, InvalidInputError, KinemaError
from kinema_server import errors as servers
from tests.fakes import random_film

Requests = Iterator[pb.ColorizeFramesRequest]
Answers = Iterator[pb.ColorizeFramesResponse]


class OddServer(pb_grpc.ColorizerServicer):
    """Does in each call what the test says."""

    def __init__(self, answer: Callable[[Requests, grpc.ServicerContext], Answers]) -> None:
        self._answer = answer

    def ColorizeFrames(self, request_iterator: Requests, context: Any) -> Answers:  # noqa: N802
        yield from self._answer(request_iterator, context)

    def ColorizeVideo(self, request_iterator: Iterator[pb.ColorizeVideoRequest], context: Any) -> Any:  # noqa: ARG002, N802
        next(self._answer(iter([]), context))

    def ColorizeImage(self, _: pb.ColorizeImageRequest, context: Any) -> Any:  # noqa: N802
        next(self._answer(iter([]), context))

    def ListModels(self, _: pb.ListModelsRequest, context: Any) -> Any:  # noqa: N802
        next(self._answer(iter([]), context))


@contextmanager
def client_of(answer: Callable[[Requests, Any], Answers]) -> Iterator[Client]:
    server = grpc.server(ThreadPoolExecutor(2))
    pb_grpc.add_ColorizerServicer_to_server(OddServer(answer), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with Client(f"127.0.0.1:{port}") as kinema:
            yield kinema
    finally:
        server.stop(grace=None).wait()


def aborting(code: grpc.StatusCode, details: str, status: bytes | None = None) -> Callable[[Requests, Any], Answers]:
    def abort(_: Requests, context: grpc.ServicerContext) -> Answers:
        yield from ()
        if status is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(code, details)

    return abort


CALLS: dict[str, Callable[[Client], object]] = {
    "colorize_frames": lambda kinema: list(kinema.colorize_frames(random_film(3))),
    "colorize_image": lambda kinema: kinema.colorize_image(b"image"),
    "list_models": lambda kinema: kinema.list_models(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, ServerUnavailableError),
        (grpc.StatusCode.CANCELLED, ServerUnavailableError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, InvalidInputError),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError),
        (grpc.StatusCode.UNIMPLEMENTED, ProtocolError),
        (grpc.StatusCode.INTERNAL, ServerFailedError),
        (grpc.StatusCode.UNKNOWN, ServerFailedError),
        (grpc.StatusCode.DATA_LOSS, ServerFailedError),
    ],
)
def test_each_status_is_an_error_that_names_server_and_reason(
    call: Callable[[Client], object], code: grpc.StatusCode, expected: type[KinemaError]
) -> None:
    with client_of(aborting(code, "because")) as kinema, pytest.raises(expected) as caught:
        call(kinema)

    assert type(caught.value) is expected
    assert "because" in str(caught.value)
    assert kinema.target in str(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidInputError("config.size.width", "must be 1 to 8192 pixels, got 0"), InvalidInputError),
        (FrameOrderError("frame.seq", "must rise"), FrameOrderError),
        (servers.UnknownModelError("config.model", "must be 'default'"), UnknownModelError),
    ],
)
def test_what_was_wrong_at_the_server_is_wrong_here_in_the_same_words(
    error: InvalidInputError, expected: type[InvalidInputError]
) -> None:
    status = servers.error_to_status(error)
    refuse = aborting(grpc.StatusCode.INVALID_ARGUMENT, status.message, status.SerializeToString())

    with client_of(refuse) as kinema, pytest.raises(expected) as caught:
        list(kinema.colorize_frames(random_film(1)))

    assert (caught.value.field, caught.value.reason) == (error.field, error.reason)
    assert str(caught.value) == str(error)


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (servers.BusyError("try later"), grpc.StatusCode.RESOURCE_EXHAUSTED, ServerBusyError),
        (EngineError("at /secret"), grpc.StatusCode.INTERNAL, ServerFailedError),
        (ZeroDivisionError(), grpc.StatusCode.INTERNAL, ServerFailedError),
    ],
)
def test_what_failed_at_the_server_is_told_apart(
    error: Exception, code: grpc.StatusCode, expected: type[ClientError]
) -> None:
    status = servers.error_to_status(error)
    assert status.code == code.value[0]

    with (
        client_of(aborting(code, status.message, status.SerializeToString())) as kinema,
        pytest.raises(expected, match=status.message),
    ):
        list(kinema.colorize_frames(random_film(1)))


def test_details_that_make_no_sense_are_left_aside() -> None:
    refuse = aborting(grpc.StatusCode.INTERNAL, "because", b"\xff\xff\xff")

    with client_of(refuse) as kinema, pytest.raises(ServerFailedError, match="because"):
        kinema.list_models()


def test_a_server_that_is_not_there_is_said_to_be_so_with_advice() -> None:
    with Client("127.0.0.1:1") as kinema, pytest.raises(ServerUnavailableError) as caught:
        list(kinema.colorize_frames(random_film(1)))

    assert "127.0.0.1:1" in str(caught.value)
    assert "kinema serve" in str(caught.value)


def test_a_client_outside_its_with_block_says_what_to_do() -> None:
    kinema = Client("127.0.0.1:1")

    with pytest.raises(ClientError, match="with Client"):
        kinema.colorize_frames(random_film(1))
    with kinema:
        pass
    with pytest.raises(ClientError, match="with Client"):
        kinema.list_models()


ACCEPTED = pb.ColorizeFramesResponse(accepted=pb.StreamAccepted(credits=2))
SUMMARY = pb.ColorizeFramesResponse(summary=pb.Summary())
CHROMA = [bytes(9 * 16)] * 2


def answered(seq: int, planes: list[bytes]) -> pb.ColorizeFramesResponse:
    return pb.ColorizeFramesResponse(frame=pb.ColorFrame(seq=seq, planes=planes))


NONSENSE = {
    "nothing": [],
    "no acceptance": [SUMMARY],
    "no credit": [pb.ColorizeFramesResponse(accepted=pb.StreamAccepted())],
    "an empty message": [ACCEPTED, pb.ColorizeFramesResponse()],
    "accepted twice": [ACCEPTED, ACCEPTED],
    "no summary": [ACCEPTED, answered(0, CHROMA), answered(1, CHROMA)],
    "a summary too early": [ACCEPTED, answered(0, CHROMA), SUMMARY],
    "another seq": [ACCEPTED, answered(1, CHROMA)],
    "too few planes": [ACCEPTED, answered(0, CHROMA[:1])],
    "planes that are too short": [ACCEPTED, answered(0, [b"", b""])],
}


@pytest.mark.parametrize("responses", NONSENSE.values(), ids=NONSENSE)
def test_a_server_that_talks_nonsense_is_not_believed(responses: list[pb.ColorizeFramesResponse]) -> None:
    def talk(requests: Requests, _: object) -> Answers:
        next(requests)
        for response in responses:
            yield response
            if response.HasField("accepted"):
                next(requests), next(requests)

    with client_of(talk) as kinema, pytest.raises(ProtocolError):
        list(kinema.colorize_frames(random_film(2)))
