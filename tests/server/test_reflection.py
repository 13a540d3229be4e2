"""Programs without our .proto files find out what a server offers, and call it."""

import asyncio
import json
import subprocess
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2 as messages
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from kinema_server.app import RunningServer
from kinema_server.reflection import NAMES
from tests.programs import needed
from tests.server.wire import HEIGHT, WIDTH

SERVICE = "kinema.v1.Colorizer"


@pytest.mark.parametrize("name", NAMES)
async def test_it_lists_services_and_describes_them_in_both_versions(channel: grpc.Channel, name: str) -> None:
    ask: Any = channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=messages.ServerReflectionRequest.SerializeToString,
        response_deserializer=messages.ServerReflectionResponse.FromString,
    )
    questions = [
        messages.ServerReflectionRequest(list_services=""),
        messages.ServerReflectionRequest(file_containing_symbol=SERVICE),
        messages.ServerReflectionRequest(file_containing_symbol=f"{SERVICE}.ColorizeFrames"),
        messages.ServerReflectionRequest(file_containing_symbol="kinema.v1.Wishes"),
    ]

    listed, described, method, unknown = await asyncio.to_thread(lambda: list(ask(iter(questions))))

    assert {SERVICE, "grpc.health.v1.Health"} <= {each.name for each in listed.list_services_response.service}
    assert described.file_descriptor_response.file_descriptor_proto
    assert method.file_descriptor_response == described.file_descriptor_response
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_methods_of_every_shape_can_be_called_by_what_it_tells_alone(channel: grpc.Channel) -> None:
    def call() -> tuple[Any, list[Any]]:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName(SERVICE)

        def prepare(shape: Any, name: str) -> tuple[Any, type[Any]]:
            method = service.FindMethodByName(name)
            request = GetMessageClass(method.input_type)
            answer = GetMessageClass(method.output_type)
            path = f"/{SERVICE}/{name}"
            ask = shape(path, request_serializer=request.SerializeToString, response_deserializer=answer.FromString)
            return ask, request

        list_models, question = prepare(channel.unary_unary, "ListModels")
        colorize, request = prepare(channel.stream_stream, "ColorizeFrames")
        config = {"config": {"size": {"width": WIDTH, "height": HEIGHT}, "pixel_format": 1}}
        frame = {"frame": {"seq": 7, "planes": [bytes(WIDTH * HEIGHT)]}}
        return list_models(question()), list(colorize(iter([request(**config), request(**frame)])))

    models, (accepted, answer, summary) = await asyncio.to_thread(call)

    assert [model.name for model in models.models] == ["fake"]
    assert accepted.accepted.credits > 0
    assert answer.frame.seq == 7
    assert summary.summary.num_frames == 1


async def test_grpcurl_lists_describes_and_calls(server: RunningServer) -> None:
    grpcurl = needed("grpcurl", "reflection as it asks for it", "github.com/fullstorydev/grpcurl")

    async def run(*arguments: str) -> str:
        command = [grpcurl, "-plaintext", *arguments]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    services = await run(server.address, "list")
    description = await run(server.address, "describe", f"{SERVICE}.ColorizeFrames")
    models = json.loads(await run(server.address, f"{SERVICE}/ListModels"))
    config = {"size": {"width": WIDTH, "height": HEIGHT}, "pixelFormat": "PIXEL_FORMAT_GRAY8"}
    stream = await run("-d", json.dumps({"config": config}), server.address, f"{SERVICE}/ColorizeFrames")

    assert SERVICE in services.split()
    assert "rpc ColorizeFrames ( stream .kinema.v1.ColorizeFramesRequest )" in description
    assert [model["name"] for model in models["models"]] == ["fake"]
    assert '"accepted"' in stream
    assert '"summary"' in stream
