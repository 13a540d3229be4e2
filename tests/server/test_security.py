"""Who may call a server, and that nobody listens in."""

import asyncio
import contextlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_client import AccessDeniedError, AsyncClient, Client, ServerBusyError, ServerUnavailableError, Tls
from kinema_core.errors import InvalidInputError
from kinema_server.app import RunningServer, running_server
from kinema_server.errors import StartError
from kinema_server.keys import KeyRing, digest_of, new_key
from kinema_server.settings import Settings
from tests.fakes import FAKE_BUNDLE, FakeEngine, random_film
from tests.server.waiting import until
from tests.server.wire import call_of, error_info

KEY, FRAMES_ONLY_KEY = new_key(), new_key()
KEYS = f"""
[[key]]
name = "archive"
sha256 = "{digest_of(KEY)}"
max_streams = 1

[[key]]
name = "studio"
sha256 = "{digest_of(FRAMES_ONLY_KEY)}"
methods = ["ColorizeFrames"]
"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Path:
    """Make a folder with everything that a server and its clients need."""
    write_certificate(authority, tmp_path)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("client@kinema.example")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    (tmp_path / "keys.toml").write_text(KEYS)
    return tmp_path


def write_certificate(authority: trustme.CA, folder: Path, *, not_after: datetime | None = None) -> None:
    issued = authority.issue_cert("127.0.0.1", not_after=not_after)
    issued.private_key_pem.write_to_path(folder / "server.key")
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")


def running(files: Path, **changes: Any) -> Any:
    known: dict[str, Any] = {
        "port": 0,
        "tls_certificate": files / "server.pem",
        "tls_key": files / "server.key",
        "grace_seconds": 0,
    }
    return running_server(Settings(**(known | changes)), bundle=FAKE_BUNDLE, engine=FakeEngine())


def channel_to(server: RunningServer, files: Path) -> grpc.Channel:
    return grpc.secure_channel(server.address, grpc.ssl_channel_credentials((files / "ca.pem").read_bytes()))


async def test_an_encrypted_stream_is_the_same_stream(files: Path) -> None:
    film = list(random_film(3))
    async with running(files) as server, AsyncClient(server.address, tls=Tls(ca=files / "ca.pem")) as kinema:
        frames = [frame async for frame in kinema.colorize_frames(film)]

    assert [frame.pts for frame in frames] == [frame.pts for frame in film]


async def test_a_client_that_does_not_know_the_authority_or_does_not_encrypt_gets_nothing(files: Path) -> None:
    stranger = trustme.CA()
    stranger.cert_pem.write_to_path(files / "stranger.pem")
    async with running(files) as server:
        for tls in (Tls(ca=files / "stranger.pem"), None):
            async with AsyncClient(server.address, tls=tls) as kinema:
                with pytest.raises(ServerUnavailableError):
                    await kinema.list_models()


async def test_a_server_may_ask_for_the_clients_certificate(files: Path) -> None:
    own = Tls(ca=files / "ca.pem", certificate=files / "client.pem", key=files / "client.key")
    async with running(files, tls_client_ca=files / "ca.pem") as server:
        async with AsyncClient(server.address, tls=own) as kinema:
            assert await kinema.list_models()
        async with AsyncClient(server.address, tls=Tls(ca=files / "ca.pem")) as kinema:
            with pytest.raises(ServerUnavailableError):
                await kinema.list_models()


async def test_a_renewed_certificate_is_taken_without_a_restart(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    renewed = trustme.CA()
    async with running(files) as server:
        async with AsyncClient(server.address, tls=Tls(ca=files / "ca.pem")) as kinema:
            assert await kinema.list_models()

        half, whole = (files / "server.key").read_bytes(), (files / "server.pem").read_bytes()
        (files / "server.key").write_bytes(b"half a file")
        async with AsyncClient(server.address, tls=Tls(ca=files / "ca.pem")) as kinema:
            assert await kinema.list_models()  # the last ones that fit together
        assert "certificate_not_reloaded" in caplog.text

        (files / "server.key").write_bytes(half)
        (files / "server.pem").write_bytes(whole)
        write_certificate(renewed, files)
        renewed.cert_pem.write_to_path(files / "renewed.pem")
        async with AsyncClient(server.address, tls=Tls(ca=files / "renewed.pem")) as kinema:
            assert await kinema.list_models()
    assert "certificate_reloaded" in caplog.text


@pytest.mark.parametrize("damage", ["missing", "no certificate", "another key"])
async def test_a_certificate_that_cannot_be_used_stops_the_start(
    damage: str, files: Path, authority: trustme.CA
) -> None:
    if damage == "missing":
        (files / "server.pem").unlink()
    elif damage == "no certificate":
        (files / "server.pem").write_text("nothing")
    else:
        authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(files / "server.key")

    with pytest.raises(StartError, match=r"server\.pem and its key cannot be used"):
        async with running(files):
            pass


@pytest.mark.parametrize(
    "sent",
    [
        (),
        (("authorization", f"Bearer {new_key()}"),),
        (("authorization", KEY),),
        (("authorization", f"Basic {KEY}"),),
        (("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {KEY}")),
    ],
)
async def test_without_a_key_nothing_is_answered(sent: tuple[tuple[str, str], ...], files: Path) -> None:
    engine = FakeEngine()
    settings = Settings(port=0, api_keys=files / "keys.toml", grace_seconds=0)
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.ColorizerStub(channel)
            reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
            calls: list[Any] = [
                lambda: stub.ListModels(pb.ListModelsRequest(), metadata=sent),
                lambda: stub.ColorizeImage(pb.ColorizeImageRequest(), metadata=sent),
                lambda: list(stub.ColorizeFrames(iter([]), metadata=sent)),
                lambda: list(stub.ColorizeVideo(iter([]), metadata=sent)),
                lambda: list(
                    reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest()]), metadata=sent)
                ),
            ]
            for call in calls:
                with pytest.raises(grpc.RpcError) as caught:
                    await asyncio.to_thread(call)
                assert call_of(caught.value).code() is grpc.StatusCode.UNAUTHENTICATED
                assert error_info(call_of(caught.value)).reason == "UNAUTHENTICATED"

            health: Any = health_pb2_grpc.HealthStub(channel)
            answer = await asyncio.to_thread(health.Check, health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert not engine.seen


async def test_a_key_opens_what_it_is_for(files: Path) -> None:
    tls = Tls(ca=files / "ca.pem")
    async with running(files, api_keys=files / "keys.toml") as server:
        async with AsyncClient(server.address, tls=tls, api_key=KEY) as kinema:
            assert await kinema.list_models()
        async with AsyncClient(server.address, tls=tls, api_key=FRAMES_ONLY_KEY) as kinema:
            assert [frame async for frame in kinema.colorize_frames(random_film(2))]
            with pytest.raises(AccessDeniedError, match="studio does not allow ListModels; it does ColorizeFrames"):
                await kinema.list_models()
        async with AsyncClient(server.address, tls=tls) as kinema:
            with pytest.raises(AccessDeniedError, match="asks for a key"):
                await kinema.list_models()


async def test_a_client_has_no_more_streams_than_its_key_allows(files: Path) -> None:
    engine = FakeEngine()
    engine.gate.clear()
    settings = Settings(
        port=0,
        tls_certificate=files / "server.pem",
        tls_key=files / "server.key",
        api_keys=files / "keys.toml",
        grace_seconds=0,
    )
    tls = Tls(ca=files / "ca.pem")
    async with (
        running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as server,
        AsyncClient(server.address, tls=tls, api_key=KEY) as archive,
        AsyncClient(server.address, tls=tls, api_key=FRAMES_ONLY_KEY) as studio,
    ):
        first = asyncio.ensure_future(anext(archive.colorize_frames(random_film(2))))
        await until(lambda: engine.seen)
        with pytest.raises(ServerBusyError, match="all 1 streams that archive may have") as caught:
            await anext(archive.colorize_frames(random_film(2)))
        assert caught.value.retry_seconds == 1
        others = asyncio.ensure_future(anext(studio.colorize_frames(random_film(2))))
        engine.gate.set()
        assert [(await frame).pts for frame in (first, others)] == [-3, -3]


async def test_keys_are_taken_and_withdrawn_without_a_restart(files: Path) -> None:
    path = files / "keys.toml"
    ring, added = KeyRing(path), new_key()
    assert ring.find(added) is None

    path.write_text(f'[[key]]\nname = "new"\nsha256 = "{digest_of(added)}"\n')
    os.utime(path, ns=(1, 1))
    client = ring.find(added)
    assert client is not None
    assert client.name == "new"
    assert ring.find(KEY) is None

    path.write_text("[[key]]\nname = 7\n")
    os.utime(path, ns=(2, 2))
    assert ring.find(added) is client  # a file that is wrong changes nothing


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no"),
        ("[[key", "cannot be read"),
        ('[[key]]\nname = "a b"\nsha256 = ""', "name must be"),
        ('[[key]]\nname = "a"\nsha256 = "abc"', "sha256 must be the 64"),
        (f'[[key]]\nname = "a"\nsha256 = "{"0" * 64}"\nmethods = ["Stop"]', "methods must be a list of ColorizeFrames"),
        (
            f'[[key]]\nname = "a"\nsha256 = "{"0" * 64}"\nmethods = [["Stop"]]',
            "methods must be a list of ColorizeFrames",
        ),
        ("key = 1", "keys must be entries below"),
        ("key = [1]", "keys must be entries below"),
        (f'[[key]]\nname = "a"\nsha256 = "{"0" * 64}"\nmax_streams = 0', "max_streams must be"),
        (f'[[key]]\nname = "a"\nsha256 = "{"0" * 64}"\nmax_pixels_per_second = "x"', "max_pixels_per_second must be"),
        (f'[[key]]\nname = "a"\nsha256 = "{"0" * 64}"\nsecret = 1', "'secret' is unknown"),
        (f'[[key]]\nname = "a"\nsha256 = "{"0" * 64}"\n' * 2, "key number 2: its name or digest is there already"),
    ],
)
def test_a_wrong_file_of_keys_is_told(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text(text)

    with pytest.raises(StartError, match=complaint) as caught:
        KeyRing(tmp_path / "keys.toml")

    assert "keys.toml" in str(caught.value)


async def test_probes_ask_for_health_beside_the_encryption(files: Path) -> None:
    settings = Settings(
        port=0,
        health_port=0,
        tls_certificate=files / "server.pem",
        tls_key=files / "server.key",
        api_keys=files / "keys.toml",
        grace_seconds=0,
    )
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        with grpc.insecure_channel(f"{server.host}:{server.health_port}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            answer = await asyncio.to_thread(health.Check, health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as caught:
                await asyncio.to_thread(pb_grpc.ColorizerStub(channel).ListModels, pb.ListModelsRequest())
            assert call_of(caught.value).code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"api_key": KEY}, "encrypted connections only"),
        ({"api_key": f"{KEY}\n", "tls": Tls()}, "printable ASCII"),
        ({"tls": Tls(certificate=Path("client.pem"))}, "belongs to tls.certificate"),
        ({"tls": Tls(ca=Path("nowhere.pem"))}, "nowhere.pem cannot be read"),
    ],
)
def test_a_client_that_cannot_be_safe_is_told(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInputError, match=complaint):
        Client("localhost:1", **arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"tls_certificate": Path("server.pem")},
        {"tls_key": Path("server.key")},
        {"tls_client_ca": Path("ca.pem")},
    ],
)
def test_settings_that_do_not_belong_together_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="tls_"):
        Settings(**changes)


async def test_calls_that_are_refused_for_their_key_are_counted_by_why(files: Path) -> None:
    async with running(files, api_keys=files / "keys.toml") as server:
        for key in (None, new_key(), FRAMES_ONLY_KEY, KEY):
            async with AsyncClient(server.address, tls=Tls(ca=files / "ca.pem"), api_key=key) as kinema:
                with contextlib.suppress(AccessDeniedError):
                    await kinema.list_models()

        counted = {
            reason: server.metrics.registry.get_sample_value("kinema_refused_keys_total", {"reason": reason})
            for reason in ("missing", "unknown", "forbidden")
        }
    assert counted == {"missing": 1, "unknown": 1, "forbidden": 1}


async def test_the_metrics_tell_when_the_certificate_ends_that_the_next_client_gets(
    files: Path, authority: trustme.CA
) -> None:
    name = "kinema_certificate_expiration_timestamp_seconds"
    ends = [datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC) for year in (2040, 2060)]
    write_certificate(authority, files, not_after=ends[0])
    async with running(files) as server:
        told = [server.metrics.registry.get_sample_value(name)]
        write_certificate(authority, files, not_after=ends[1])
        told.append(server.metrics.registry.get_sample_value(name))
        (files / "server.key").write_bytes(b"half a file")
        told.append(server.metrics.registry.get_sample_value(name))
        async with AsyncClient(server.address, tls=Tls(ca=files / "ca.pem")) as kinema:
            assert await kinema.list_models()

    assert told == [ends[0].timestamp(), ends[1].timestamp(), ends[1].timestamp()]


async def test_without_encryption_no_end_of_a_certificate_is_told() -> None:
    async with running_server(Settings(port=0, grace_seconds=0), bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        assert server.metrics.registry.get_sample_value("kinema_certificate_expiration_timestamp_seconds") is None
