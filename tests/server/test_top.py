"""`kinema top` shows what the server does, and says so where there is none."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.errors import InvalidInputError
from kinema_server.app import RunningServer, running_server
from kinema_server.settings import Settings
from kinema_server.top import PageError, Snapshot, look, top, view
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.server.waiting import until
from tests.server.wire import config, converse, frame


@pytest.fixture
async def server(engine: FakeEngine) -> AsyncIterator[RunningServer]:
    settings = Settings(port=0, metrics_port=0, credits=3, max_streams=5, grace_seconds=0)
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as running:
        yield running
        engine.gate.set()


def drawn(now: Snapshot, earlier: Snapshot | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(view(now, earlier))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")]


async def test_a_stream_that_runs_is_a_row_with_its_numbers(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine
) -> None:
    address = f"127.0.0.1:{server.metrics_port}"
    before = await asyncio.to_thread(look, address)
    engine.num_free = 4
    engine.gate.clear()
    talking = asyncio.create_task(converse(stub, [config(), *(frame(seq) for seq in range(9))]))
    await until(lambda: server.metrics.registry.get_sample_value("kinema_credits_used") == 3)
    await until(lambda: server.metrics.registry.get_sample_value("kinema_frame_seconds_count") == 4)

    after = await asyncio.to_thread(look, address)
    engine.gate.set()
    await talking
    lines = drawn(after, before)

    assert lines[0] == "model fake 1.2.3, fake f32 on cpu"
    assert lines[1].startswith("1 of 5 places taken,")
    assert "0 failures of the engine" in lines[2]
    assert float(lines[2].split()[0]) > 0
    (row,) = [cells(line) for line in lines if "32x18" in line]
    assert (row[0], row[1], row[2], row[4], row[6], row[7]) == ("1", "stream", "32x18", "4", "3/3", "0")
    assert float(row[5]) > 0
    stages = next(cells(lines[number + 2]) for number, line in enumerate(lines) if "preprocess" in line)
    assert len(stages) == 7
    assert all(float(stage) >= 0 for stage in stages)


async def test_a_server_without_work_shows_no_rows(server: RunningServer) -> None:
    lines = drawn(await asyncio.to_thread(look, f"127.0.0.1:{server.metrics_port}"))

    assert any("0 streams and films" in line for line in lines)
    assert not any("stream " in line for line in lines[3:] if "streams" not in line)


def test_the_command_looks_as_often_as_it_is_told_and_draws() -> None:
    async def run() -> str:
        settings = Settings(port=0, metrics_port=0, grace_seconds=0)
        async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
            arguments = [f"127.0.0.1:{server.metrics_port}", "--interval", "0.2", "--times", "2"]
            result = await asyncio.to_thread(CliRunner().invoke, application(), arguments)
            assert result.exit_code == 0, result.output
            return result.output

    output = asyncio.run(run())

    assert output.count("model fake") == 2
    assert output.count("frames/s, 0 failures") == 1  # a rate needs two looks


def application() -> typer.Typer:
    app = typer.Typer()
    app.command()(top)
    return app


def test_where_no_server_is_the_error_says_how_to_start_one() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(PageError, match=f"kinema serve --metrics-port {port}"):
            look(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["nowhere", ":9090", "host:port", "host:99999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInputError, match="HOST:PORT"):
        look(address)
