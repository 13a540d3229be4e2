"""Calls leave spans where an operator asked for them, and nothing anywhere else."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_server import tracing
from kinema_server.app import running_server
from kinema_server.errors import StartError
from kinema_server.settings import Settings
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.server.wire import config, converse, frame

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(tracing, "make_exporter", lambda: exporter)
    return exporter


@pytest.fixture
async def channel(exporter: InMemorySpanExporter) -> AsyncIterator[grpc.Channel]:  # noqa: ARG001 - in place before
    settings = Settings(port=0, grace_seconds=0, tracing=True)
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        with grpc.insecure_channel(server.address) as channel:
            yield channel


async def spans(exporter: InMemorySpanExporter, num_spans: int) -> list[Any]:
    """Wait for spans, which are sent in batches of five seconds."""
    for _ in range(200):
        if len(exporter.get_finished_spans()) >= num_spans:
            break
        await asyncio.sleep(0.05)
    return list(exporter.get_finished_spans())


async def test_a_stream_leaves_one_span_as_a_child_of_the_client_s(
    channel: grpc.Channel, exporter: InMemorySpanExporter
) -> None:
    def talk() -> int:
        requests = iter([config(), frame(0), frame(1)])
        metadata = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
        return len(list(pb_grpc.ColorizerStub(channel).ColorizeFrames(requests, metadata=metadata)))

    assert await asyncio.to_thread(talk) == 4  # accepted, two frames, summary
    (span,) = await spans(exporter, 1)

    assert span.name == "/kinema.v1.Colorizer/ColorizeFrames"
    assert span.kind is SpanKind.SERVER
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.resource.attributes["service.name"] == "kinema"


async def test_a_refusal_is_in_the_span_and_reaches_the_client_whole(
    channel: grpc.Channel, exporter: InMemorySpanExporter
) -> None:
    refused = await converse(pb_grpc.ColorizerStub(channel), [config(smoothing=7)])

    (span,) = await spans(exporter, 1)
    assert refused.field_at_fault == "config.smoothing"
    assert span.attributes["rpc.grpc.status_code"] == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def test_the_other_methods_work_as_without_traces_and_health_leaves_none(
    channel: grpc.Channel, exporter: InMemorySpanExporter
) -> None:
    health: Any = health_pb2_grpc.HealthStub(channel)
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    question = reflection_pb2.ServerReflectionRequest(list_services="")

    await asyncio.to_thread(health.Check, health_pb2.HealthCheckRequest())
    watching = health.Watch(health_pb2.HealthCheckRequest())
    assert (await asyncio.to_thread(next, watching)).status == health_pb2.HealthCheckResponse.SERVING
    watching.cancel()
    await asyncio.to_thread(lambda: list(reflection.ServerReflectionInfo(iter([question]))))
    await asyncio.to_thread(pb_grpc.ColorizerStub(channel).ListModels, pb.ListModelsRequest())

    names = {span.name for span in await spans(exporter, 2)}
    assert names == {
        "/kinema.v1.Colorizer/ListModels",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }


async def test_off_means_that_nothing_is_made(exporter: InMemorySpanExporter) -> None:
    settings = Settings(port=0, grace_seconds=0)
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=FakeEngine()) as server:
        with grpc.insecure_channel(server.address) as channel:
            await asyncio.to_thread(pb_grpc.ColorizerStub(channel).ListModels, pb.ListModelsRequest())

    with tracing.traced(False) as interceptors:
        assert interceptors == []
    assert exporter.get_finished_spans() == ()


def test_without_the_packages_the_error_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(StartError, match=r"kinema\[tracing\]"), tracing.traced(True):
        pass


def test_spans_go_where_opentelemetry_s_own_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4317")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "archive")

    exporter: Any = tracing.make_exporter()

    assert exporter._endpoint == "collector.example:4317"
    assert tracing._resource().attributes["service.name"] == "archive"
    exporter.shutdown()
