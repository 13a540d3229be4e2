"""What a server writes down, and what it keeps to itself."""

import asyncio
import json
import logging
from typing import Any

import grpc
import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.log_fields import FieldsFormatter, JsonFormatter
from kinema_server.keys import new_key
from kinema_server.request_ids import RequestIds
from tests.fakes import FakeEngine
from tests.server.wire import config, converse, frame


def record(message: str, **fields: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO", "name": "kinema"})
    vars(made).update(fields)
    return made


@pytest.mark.parametrize("formatter", [FieldsFormatter(), JsonFormatter()])
def test_no_key_gets_into_the_log(formatter: logging.Formatter) -> None:
    key = new_key()

    for line in (
        formatter.format(record(f"refused {key}")),
        formatter.format(record("refused", header=f"Bearer {key}", other="Bearer abc.def.ghi")),
    ):
        assert key not in line
        assert "abc.def" not in line
        assert "[redacted]" in line


def test_json_is_one_line_with_all_fields_and_the_error() -> None:
    error = ValueError("two\nlines")
    failed = record("call_failed", port=7, path=b"x", exc_info=(ValueError, error, None))

    (line,) = JsonFormatter().format(failed).splitlines()
    shown = json.loads(line)

    assert (shown["event"], shown["level"], shown["logger"], shown["port"]) == ("call_failed", "INFO", "kinema", 7)
    assert shown["time"].endswith("+00:00")
    assert "two\nlines" in shown["error"]


async def test_an_answer_and_the_log_have_the_clients_request_id(
    stub: pb_grpc.ColorizerStub, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(RequestIds())
    engine.error = RuntimeError("broken")
    call = stub.ColorizeFrames(iter([config(), frame(0)]), metadata=(("x-request-id", "film-7:shot.3"),))

    with pytest.raises(grpc.RpcError):
        await asyncio.to_thread(list, call)

    assert dict(call.initial_metadata())["x-request-id"] == "film-7:shot.3"
    (failure,) = [entry for entry in caplog.records if entry.message == "call_failed"]
    assert vars(failure)["request_id"] == "film-7:shot.3"


@pytest.mark.parametrize("sent", [(), (("x-request-id", "a b"),), (("x-request-id", "x" * 65),)])
async def test_a_request_without_a_decent_id_gets_one(
    sent: tuple[tuple[str, str], ...], stub: pb_grpc.ColorizerStub
) -> None:
    calls = [stub.ListModels.future(pb.ListModelsRequest(), metadata=sent) for _ in range(2)]

    ids = [dict(await asyncio.to_thread(call.initial_metadata))["x-request-id"] for call in calls]

    assert ids[0] != ids[1]
    assert all(len(given) == 16 for given in ids)


async def test_streams_still_answer_as_before(stub: pb_grpc.ColorizerStub) -> None:
    assert len((await converse(stub, [config(), frame(0)])).frames) == 1
