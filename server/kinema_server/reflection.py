"""gRPC's reflection: what the server offers, for programs that come without its .proto files.

grpcio-reflection (1.85) speaks v1alpha only. v1 has the same messages under another name, and newer clients ask for it
first, some for it alone; so the same answers are given there. And it finds no methods, which `grpcurl describe` wants.
"""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import SERVICE_NAME
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

NAMES = (SERVICE_NAME, "grpc.reflection.v1.ServerReflection")


class _Symbols:
    """The descriptors of this program, found by name."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - as the pool calls it
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Let a server tell of its services, by their full names."""
    servicer: Any = reflection_aio.ReflectionServicer((*services, SERVICE_NAME), pool=_Symbols())
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    methods = {"ServerReflectionInfo": method}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(name, methods) for name in NAMES])
