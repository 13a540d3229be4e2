"""The limit: the same messages over bare grpc.aio, and nothing done with them. Prints `{"port": ...}`.

With `--rest-ms` it rests before each answer, one at a time, as long as another server may work, and says how long that
was: what is left of the round trip shows how slowly this machine wakes up.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc


class Echo(pb_grpc.ColorizerServicer):
    """Answers each frame with as many bytes of chroma, of its own luma."""

    def __init__(self, rest_seconds: float) -> None:
        self._rest_seconds = rest_seconds

    async def ColorizeFrames(  # type: ignore[override]  # noqa: N802 - as kinema_server.servicer has it
        self, request_iterator: AsyncIterator[pb.ColorizeFramesRequest], context: Any
    ) -> None:
        """Answer the config, then frame for frame."""
        await context.write(pb.ColorizeFramesResponse(accepted=pb.StreamAccepted(credits=8)))
        async for request in request_iterator:
            if request.HasField("frame"):
                luma = request.frame.planes[0]
                planes = [luma[: len(luma) // 4]] * 2
                response = pb.ColorizeFramesResponse(frame=pb.ColorFrame(seq=request.frame.seq, planes=planes))
                if self._rest_seconds:
                    started = time.perf_counter()
                    await asyncio.sleep(self._rest_seconds)
                    response.frame.timings.finish_micros = round(1e6 * (time.perf_counter() - started))
                await context.write(response)


async def main(rest_seconds: float) -> None:
    """Serve until the process is killed."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    pb_grpc.add_ColorizerServicer_to_server(Echo(rest_seconds), server)  # type: ignore[abstract]  # the other methods are not called
    print(json.dumps({"port": server.add_insecure_port("127.0.0.1:0")}), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rest-ms", type=float, default=0)
    asyncio.run(main(parser.parse_args().rest_ms / 1000))
