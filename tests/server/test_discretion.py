"""No stack trace, no path and no secret in anything that a client is told, whatever it sends."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema_core.errors import EngineError, FrameOrderError, InvalidInputError, KinemaError, MediaError
from kinema_core.errors import OutOfMemoryError as NoMemoryError
from kinema_server.app import RunningServer, running_server
from kinema_server.errors import BusyError, ForbiddenError, UnauthenticatedError, error_to_status
from kinema_server.keys import digest_of, new_key
from kinema_server.settings import Settings
from tests.core.films import make_film
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.fuzz.seeds import kept_for, made_for
from tests.fuzz.test_targets import damaged
from tests.server.wire import call_of, config, frame

KEY, UNKNOWN_KEY, SECRET = new_key(), new_key(), "5ecret" * 8
SERVICE = "/kinema.v1.Colorizer/"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def server(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[RunningServer]:
    (tmp_path / "keys.toml").write_text(f'[[key]]\nname = "it"\nsha256 = "{digest_of(KEY)}"\n')
    (tmp_path / "secret").write_text(SECRET)
    settings = Settings(
        port=0, api_keys=tmp_path / "keys.toml", resume_secret=tmp_path / "secret", max_frame_pixels=100_000
    )
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as running:
        yield running


def said_to(channel: grpc.Channel, method: str, messages: list[bytes], key: str = KEY) -> str:
    """Send messages as they are; return the code and all that came with it."""
    bare: Any = channel
    metadata = (("authorization", f"Bearer {key}"),)
    try:
        if method in {"ColorizeImage", "ListModels"}:
            bare.unary_unary(SERVICE + method)(messages[0], metadata=metadata)
        else:
            list(bare.stream_stream(SERVICE + method)(iter(messages), metadata=metadata))
    except grpc.RpcError as error:
        call = call_of(error)
        trailers = [bytes(value, "utf-8") if isinstance(value, str) else value for _, value in call.trailing_metadata()]
        return " ".join([call.code().name, call.details() or "", *(str(value, "latin-1") for value in trailers)])
    return "OK"


def check_discreet(said: str, *places: Path) -> None:
    here = [*places, Path(__file__).parents[2], Path.home(), Path(tempfile.gettempdir()), Path("/dev/"), Path("/proc/")]
    for word in (*map(str, here), "Traceback", 'File "', ".py", KEY, UNKNOWN_KEY, SECRET):
        assert word not in said, f"{word} in {said}"


def film_requests(tmp_path: Path) -> Iterator[list[bytes]]:
    make_film(tmp_path / "large.mkv", pts=[0, 40], height=400, width=600)
    make_film(tmp_path / "good.mkv", pts=[0, 40])
    good = (tmp_path / "good.mkv").read_bytes()
    films = [
        b"",
        b"no film",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"<?xml version='1.0'?><MPD/>",
        (tmp_path / "large.mkv").read_bytes(),
        good[: len(good) // 2],
        *kept_for("film")[:40],
        *itertools.chain.from_iterable(damaged(film, 3) for film in made_for("film")),
    ]
    for film in films:
        yield [_config(), *_chunks(film)]
    yield [_config(codec=pb.VIDEO_CODEC_FFV1, crf=9), *_chunks(good)]
    yield [_config(model="/etc/passwd"), *_chunks(good)]
    yield [_config(), bytes([255]) * 9]


def _config(**choices: object) -> bytes:
    made = pb.VideoConfig(**choices)  # type: ignore[arg-type]  # by name
    return pb.ColorizeVideoRequest(config=made).SerializeToString()


def _chunks(film: bytes) -> list[bytes]:
    return [
        pb.ColorizeVideoRequest(chunk=film[at : at + (1 << 20)]).SerializeToString()
        for at in range(0, len(film), 1 << 20)
    ]


STREAMS = [
    [b"\xff\xff\xff"],
    [config(model="/etc/passwd").SerializeToString()],
    [config(resume_token=bytes(300)).SerializeToString()],
    [config(size=pb.Size(width=5000, height=5000)).SerializeToString()],
    [config().SerializeToString(), b"\xff\xff\xff"],
    [config().SerializeToString(), frame(0, b"short").SerializeToString()],
    [config().SerializeToString(), pb.ColorizeFramesRequest(frame=pb.Frame(slot=1)).SerializeToString()],
]


async def test_films_and_streams_and_photographs_that_are_refused(server: RunningServer, tmp_path: Path) -> None:
    photographs = [
        pb.ColorizeImageRequest(image=image).SerializeToString()
        for image in [b"no image", *kept_for("photograph")[:40], *damaged(made_for("photograph")[0], 9)]
    ]
    calls = [("ColorizeVideo", requests) for requests in film_requests(tmp_path)]
    calls += [("ColorizeFrames", requests) for requests in STREAMS]
    calls += [("ColorizeImage", [request]) for request in (*photographs, b"\xff\xff\xff")]

    with grpc.insecure_channel(server.address) as channel:
        for method, requests in calls:
            said = await asyncio.to_thread(said_to, channel, method, requests)
            check_discreet(said, tmp_path)


async def test_keys_that_are_refused(server: RunningServer, tmp_path: Path) -> None:
    with grpc.insecure_channel(server.address) as channel:
        said = await asyncio.to_thread(said_to, channel, "ListModels", [b""], UNKNOWN_KEY)

    assert said.startswith("UNAUTHENTICATED")
    check_discreet(said, tmp_path)


@pytest.mark.parametrize(
    "error", [EngineError("in /secret/a.cpp"), OSError(2, "No such file", "/secret/b"), KeyError("/secret/c")], ids=repr
)
async def test_errors_of_the_servers_own(server: RunningServer, engine: FakeEngine, error: Exception) -> None:
    engine.error = error
    requests = [config().SerializeToString(), frame(0).SerializeToString()]

    with grpc.insecure_channel(server.address) as channel:
        said = await asyncio.to_thread(said_to, channel, "ColorizeFrames", requests)

    assert said.startswith("INTERNAL")
    check_discreet(said, Path("/secret"))


@pytest.mark.parametrize(
    "error",
    [
        InvalidInputError("field", "is wrong"),
        FrameOrderError("field", "is wrong"),
        MediaError("is wrong"),
        NoMemoryError("is short"),
        BusyError("is taken"),
        ForbiddenError("is not allowed"),
        UnauthenticatedError("is missing"),
        KinemaError("in /secret/d"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_cause_of_an_error_is_told(error: Exception) -> None:
    try:
        try:
            Path("/secret/e").read_bytes()
        except OSError as cause:
            raise error from cause
    except Exception as raised:  # noqa: BLE001 - as the servicer's outermost edge does
        status = error_to_status(raised)

    check_discreet(str(status.SerializeToString(), "latin-1"), Path("/secret"))
