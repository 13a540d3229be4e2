"""LitServe with the same null engine, a raw body in and out; prints `{"port": ...}`. Needs `litserve`."""

import json
import os
import socket
from typing import Annotated, Any

import litserve
from fastapi import Body, Response

RawBody = Annotated[bytes, Body(media_type="application/octet-stream")]


class Null(litserve.LitAPI):  # type: ignore[misc]  # untyped
    """Answers luma with half as many bytes, which is as much as its chroma has."""

    def setup(self, device: object) -> None:
        """Load nothing."""

    def decode_request(self, request: RawBody, **_: Any) -> bytes:
        """Take the body as it is."""
        return request

    def predict(self, x: bytes, **_: Any) -> bytes:
        """Compute nothing."""
        return x[: len(x) // 2]

    def encode_response(self, output: bytes, **_: Any) -> Response:
        """Give the bytes as they are."""
        return Response(output, media_type="application/octet-stream")


def main() -> None:
    """Serve until the process is killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    print(json.dumps({"port": port}), flush=True)
    server = litserve.LitServer(Null(), accelerator="cpu", fast_queue=os.environ.get("FAST_QUEUE") == "1")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
