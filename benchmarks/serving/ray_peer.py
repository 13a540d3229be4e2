"""Ray Serve's gRPC with the same null engine; prints `{"port": ...}`. Needs `ray[serve]` and Kinema's wire contract.

Its proxy takes services of anybody's: here Kinema's own, of which `ColorizeImage` carries bytes in and bytes out.
"""

import json
import os
import signal
import socket
import sys

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import serve

from kinema.v1 import colorizer_pb2 as pb


@serve.deployment(max_ongoing_requests=100)
class Null:
    """Answers luma with half as many bytes, which is as much as its chroma has."""

    async def ColorizeImage(self, request: pb.ColorizeImageRequest) -> pb.ColorizeImageResponse:  # noqa: N802 - the method's name
        """Compute nothing."""
        return pb.ColorizeImageResponse(image=request.image[: len(request.image) // 2])


def main() -> None:
    """Serve until the process is killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 << 20, log_to_driver=False)
    functions = ["kinema.v1.colorizer_pb2_grpc.add_ColorizerServicer_to_server"]
    serve.start(grpc_options={"port": port, "grpc_servicer_functions": functions})
    serve.run(Null.bind())  # type: ignore[attr-defined]  # what the decorator adds
    print(json.dumps({"port": port}), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # which ends Ray's own processes, too
    signal.pause()


if __name__ == "__main__":
    main()
