"""What an operator may do to a server, and that nobody else may."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer
from typer.testing import CliRunner

from kinema.v1 import admin_pb2 as pb
from kinema.v1 import admin_pb2_grpc as pb_grpc
from kinema.v1 import colorizer_pb2 as colorizer_pb
from kinema.v1 import colorizer_pb2_grpc as colorizer_grpc
from kinema_core.errors import InvalidInputError
from kinema_server.admin_command import AdminError, admin
from kinema_server.app import RunningServer, running_server
from kinema_server.keys import digest_of, new_key
from kinema_server.settings import Settings
from tests.core.films import make_film
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.server.waiting import until
from tests.server.wire import call_of, config, converse, error_info, field_at_fault, frame

CLIENT_KEY, ADMIN_KEY, READER_KEY = new_key(), new_key(), new_key()


def entry(name: str, key: str, more: str = "") -> str:
    return f'[[key]]\nname = "{name}"\nsha256 = "{digest_of(key)}"\n{more}\n'


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


@pytest.fixture
async def server(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[RunningServer]:
    (tmp_path / "keys.toml").write_text(entry("studio", CLIENT_KEY))
    reader = entry("reader", READER_KEY, 'methods = ["ListStreams"]')
    (tmp_path / "admins.toml").write_text(entry("operator", ADMIN_KEY) + reader)
    (tmp_path / "secret").write_text("s" * 32)
    settings = Settings(
        port=0,
        admin_port=0,
        admin_keys=tmp_path / "admins.toml",
        api_keys=tmp_path / "keys.toml",
        resume_secret=tmp_path / "secret",
        grace_seconds=0,
        max_silence_seconds=60,
    )
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as running:
        yield running
        engine.gate.set()


@pytest.fixture
def admin_channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.admin_port}") as channel:
        yield channel


@pytest.fixture
def admin_stub(admin_channel: grpc.Channel) -> pb_grpc.AdminStub:
    return pb_grpc.AdminStub(admin_channel)


async def listed(stub: pb_grpc.AdminStub) -> list[pb.RunningStream]:
    answer = await asyncio.to_thread(stub.ListStreams, pb.ListStreamsRequest(), metadata=bearer(ADMIN_KEY))
    return list(answer.streams)


async def refusal(stub: pb_grpc.AdminStub, key: str, number: int = 1) -> grpc.Call:
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(stub.EndStream, pb.EndStreamRequest(number=number), metadata=bearer(key))
    return call_of(caught.value)


async def test_a_stream_is_listed_with_whose_it_is_and_ended_with_word_to_its_client(
    server: RunningServer, admin_stub: pb_grpc.AdminStub, engine: FakeEngine
) -> None:
    engine.num_free = 2
    engine.gate.clear()
    with grpc.insecure_channel(server.address) as channel:
        call = colorizer_grpc.ColorizerStub(channel).ColorizeFrames(
            iter([config(), *(frame(seq) for seq in range(5))]), metadata=bearer(CLIENT_KEY)
        )
        await until(lambda: server.metrics.registry.get_sample_value("kinema_frames_total", {"outcome": "colorized"}))

        (row,) = await listed(admin_stub)
        await asyncio.to_thread(
            admin_stub.EndStream, pb.EndStreamRequest(number=row.number), metadata=bearer(ADMIN_KEY)
        )
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(list, call)

    assert (row.number, row.kind, row.client, row.width, row.height) == (1, "stream", "studio", 32, 18)
    assert not row.HasField("flicker")
    assert call_of(caught.value).code() is grpc.StatusCode.ABORTED
    assert error_info(call_of(caught.value)).reason == "ENDED"
    assert await listed(admin_stub) == []
    await until(lambda: server.metrics.registry.get_sample_value("kinema_places_used") == 0)
    code = {"method": "ColorizeFrames", "code": "ABORTED"}
    assert server.metrics.registry.get_sample_value("kinema_calls_total", code) == 1


async def test_a_film_is_ended_too(
    server: RunningServer, admin_stub: pb_grpc.AdminStub, engine: FakeEngine, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv", pts=list(range(0, 4000, 40)))
    engine.gate.clear()
    requests = [
        colorizer_pb.ColorizeVideoRequest(config=colorizer_pb.VideoConfig()),
        colorizer_pb.ColorizeVideoRequest(chunk=(tmp_path / "old.mkv").read_bytes()),
    ]
    with grpc.insecure_channel(server.address) as channel:
        call = colorizer_grpc.ColorizerStub(channel).ColorizeVideo(iter(requests), metadata=bearer(CLIENT_KEY))
        assert (await asyncio.to_thread(next, call)).HasField("accepted")

        (row,) = await listed(admin_stub)
        await asyncio.to_thread(admin_stub.EndStream, pb.EndStreamRequest(number=1), metadata=bearer(ADMIN_KEY))
        engine.gate.set()
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(list, call)

    assert row.kind == "film"
    assert error_info(call_of(caught.value)).reason == "ENDED"
    await until(lambda: server.metrics.registry.get_sample_value("kinema_video_places_used") == 0)


async def test_a_number_that_nobody_has_is_told(admin_stub: pb_grpc.AdminStub) -> None:
    told = await refusal(admin_stub, ADMIN_KEY, number=7)

    assert told.code() is grpc.StatusCode.NOT_FOUND
    assert field_at_fault(told) == "number"


async def test_only_an_operators_key_opens_it_and_only_for_what_it_is_for(
    server: RunningServer, admin_stub: pb_grpc.AdminStub
) -> None:
    for key in ("", CLIENT_KEY, new_key()):
        assert (await refusal(admin_stub, key)).code() is grpc.StatusCode.UNAUTHENTICATED
    assert (await refusal(admin_stub, READER_KEY)).code() is grpc.StatusCode.PERMISSION_DENIED

    with grpc.insecure_channel(server.address) as channel:
        stub = pb_grpc.AdminStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(stub.ListStreams, pb.ListStreamsRequest(), metadata=bearer(CLIENT_KEY))
        answer = await converse(colorizer_grpc.ColorizerStub(channel), [config()])
    assert call_of(caught.value).code() is grpc.StatusCode.UNIMPLEMENTED
    assert answer.refusal is not None


async def test_large_messages_are_refused(admin_channel: grpc.Channel) -> None:
    ask: Any = admin_channel.unary_unary("/kinema.v1.Admin/Reload")

    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(ask, bytes(5000), metadata=bearer(ADMIN_KEY))

    assert call_of(caught.value).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_reload_tells_which_files_are_good(admin_stub: pb_grpc.AdminStub, tmp_path: Path) -> None:
    async def reload() -> dict[str, str]:
        answer = await asyncio.to_thread(admin_stub.Reload, pb.ReloadRequest(), metadata=bearer(ADMIN_KEY))
        return {file.name: file.complaint for file in answer.files}

    before = await reload()
    (tmp_path / "keys.toml").write_text("[[key]]\n")
    after = await reload()

    assert before == {"admin keys": "", "api keys": "", "resume secret": ""}
    assert "key number 1: name must be" in after["api keys"]
    assert after["admin keys"] == ""


async def run(server: RunningServer, *arguments: str, key: str = ADMIN_KEY) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.command()(admin)
    where = ["--server", f"127.0.0.1:{server.admin_port}", "--key", key]
    done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *where])
    return done.output, done.exception


async def test_the_command_lists_ends_and_reloads(
    server: RunningServer, admin_stub: pb_grpc.AdminStub, engine: FakeEngine, tmp_path: Path
) -> None:
    engine.gate.clear()
    with grpc.insecure_channel(server.address) as channel:
        call = colorizer_grpc.ColorizerStub(channel).ColorizeFrames(
            iter([config(), frame(0)]), metadata=bearer(CLIENT_KEY)
        )
        await until(lambda: server.metrics.registry.get_sample_value("kinema_streams") == 1)

        streams, _ = await run(server, "streams")
        ended, _ = await run(server, "end", "1")
        with pytest.raises(grpc.RpcError):
            await asyncio.to_thread(list, call)
    reloaded, _ = await run(server, "reload")
    (tmp_path / "keys.toml").unlink()
    complaint, failure = await run(server, "reload")

    assert "studio" in streams
    assert "32x18" in streams
    assert ended == "stream 1 was ended\n"
    assert reloaded == "admin keys: good\napi keys: good\nresume secret: good\n"
    assert "api keys: the keys in" in complaint
    assert isinstance(failure, AdminError)
    assert await listed(admin_stub) == []


async def test_the_command_says_what_is_missing(server: RunningServer) -> None:
    _, without_number = await run(server, "end")
    _, without_key = await run(server, "streams", key="")

    assert isinstance(without_number, InvalidInputError)
    assert "UNAUTHENTICATED" in str(without_key)


@pytest.mark.parametrize("changes", [{"admin_port": 1}, {"admin_keys": Path("x")}], ids=str)
def test_a_port_without_keys_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="give both, or neither"):
        Settings(**changes)  # type: ignore[arg-type]  # by name
