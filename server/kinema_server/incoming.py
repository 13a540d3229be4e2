"""The messages of a call, read one by one."""

from typing import Any, Generic, Self, TypeVar

import grpc

T = TypeVar("T")


class Incoming(Generic[T]):
    """What gRPC's own iterator gives, which holds on to each message until the next has come; this one does not."""

    def __init__(self, context: "grpc.aio.ServicerContext[T, Any]") -> None:
        self._context = context

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        message = await self._context.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message
