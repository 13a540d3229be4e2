"""Clients of servers that know no streams: one call for each frame, `in_flight` at a time."""

import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import grpc

from benchmarks.serving.load import CHANNEL_OPTIONS, Size, luma
from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc

Post: TypeAlias = Callable[[int, bytes, int], None]
"""Sends frames one after another: port, frame, how many."""


def frames_per_second(post: Post, port: int, size: Size, *, num: int, at_a_time: int) -> float:
    """Send `num` frames on `at_a_time` threads, each with a connection of its own."""
    plane = luma(size)
    each = -(-num // at_a_time)
    started = time.perf_counter()
    with ThreadPoolExecutor(at_a_time) as pool:
        for done in [pool.submit(post, port, plane, each) for _ in range(at_a_time)]:
            done.result()
    return each * at_a_time / (time.perf_counter() - started)


def post_http(port: int, plane: bytes, num: int) -> None:
    """Post the bytes as the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(num):
        connection.request("POST", "/predict", plane, {"Content-Type": "application/octet-stream"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != http.HTTPStatus.OK or len(answer) != len(plane) // 2:
            raise RuntimeError(f"the peer answered {response.status} with {len(answer)} bytes: {answer[:200]!r}")
    connection.close()


def call_grpc(port: int, plane: bytes, num: int) -> None:
    """Send the bytes as an image."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS) as channel:
        stub = pb_grpc.ColorizerStub(channel)
        for _ in range(num):
            answer = stub.ColorizeImage(pb.ColorizeImageRequest(image=plane), metadata=(("application", "default"),))
            if len(answer.image) != len(plane) // 2:
                raise RuntimeError(f"the peer answered with {len(answer.image)} bytes")
