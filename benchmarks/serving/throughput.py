"""How much of an engine's throughput a server passes on, what serving costs, and what other servers cost."""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import grpc
import numpy as np

from benchmarks.serving import load, unary_load
from benchmarks.serving.load import FULL_HD, SMALL, Size
from benchmarks.serving.processes import Served, kinema, served
from benchmarks.serving.report import percent, print_table, spread
from benchmarks.serving.server import TrivialEngine

NUM_STREAMS = 4
GOALS = {20: "97 %", 5: "85 %"}
WORKING_SHAPE = (1, 1, 192, 352)
PEER_START_SECONDS = 60


def engine_share(rounds: int, seconds: float) -> None:
    """Print what part of an engine's throughput arrives, the engine by itself and the server in turn."""
    rows = []
    for milliseconds, goal in GOALS.items():
        num_frames = max(8, round(1000 * seconds / milliseconds))
        bare, through = [], []
        with kinema("--engine-ms", str(milliseconds)) as server:
            _warm_up(server, SMALL)
            for _ in range(rounds):
                bare.append(_bare(milliseconds / 1000, num_frames))
                through.append(
                    load.steady_frames_per_second(server.target, SMALL, num_streams=NUM_STREAMS, num_frames=num_frames)
                )
        shares = [one / other for one, other in zip(through, bare, strict=True)]
        rows.append((f"{milliseconds} ms", spread(bare, ".1f"), spread(through, ".1f"), percent(shares), goal))
    title = f"Engine's throughput that arrives, {NUM_STREAMS} streams of {SMALL}, frames/s"
    print_table(title, ("engine", "bare", "through the server", "share", "goal"), rows)


class Speed(NamedTuple):
    """Of one round."""

    frames_per_second: float
    server_milliseconds: float
    """CPU time of the server's process for each frame."""


@dataclass
class Contender:
    """A server that is measured beside others."""

    name: str
    measure: Callable[[], Speed]
    speeds: list[Speed] = field(default_factory=list)

    def row(self, limit: "Contender") -> tuple[str, ...]:
        """Say how fast it was, and beside `limit` round by round."""
        ours, theirs = ([speed.frames_per_second for speed in one.speeds] for one in (self, limit))
        share = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
        costs = [speed.server_milliseconds for speed in self.speeds]
        cost = "" if np.isnan(costs[0]) else spread(costs, ".2f")
        return self.name, spread(ours), f"{share:.2f}", cost


def beside_peers(rounds: int, seconds: float, peers: str | None) -> None:
    """Print how fast a null engine is served at 640x360, by Kinema and by others in turn.

    Args:
        rounds: of each server.
        seconds: about the length of a round.
        peers: the Python of an environment with litserve and ray[serve]; None to leave these out.
    """
    num_frames = max(16, round(150 * seconds))
    with ExitStack() as stack:
        echo = stack.enter_context(served("echo"))
        whole = stack.enter_context(kinema())
        uncoloured = stack.enter_context(kinema("--without-colour"))
        contenders = [
            Contender("echo over grpc.aio", partial(_streams, echo, SMALL, num_frames)),
            Contender("Kinema, everything on", partial(_streams, whole, SMALL, num_frames)),
            Contender("Kinema, frames' colours left out", partial(_streams, uncoloured, SMALL, num_frames)),
        ]
        if peers is not None:
            for name, module, post in (
                ("LitServe, raw body", "litserve_peer", unary_load.post_http),
                ("Ray Serve, gRPC", "ray_peer", unary_load.call_grpc),
            ):
                peer = stack.enter_context(served(module, python=peers))
                _wait_for_peer(peer, post)
                contenders.append(Contender(name, partial(_unary, post, peer, num_frames)))
        _in_turn(contenders, rounds)
    header = ("server", "frames/s", "of the echo", "CPU ms of its process a frame")
    rows = [contender.row(contenders[0]) for contender in contenders]
    print_table(f"Null engine at {SMALL}, {NUM_STREAMS} x {load.CREDITS} frames in flight", header, rows)


def full_hd(rounds: int, seconds: float) -> None:
    """Print how fast a null engine is served at 1920x1080 over TCP."""
    num_frames = max(16, round(30 * seconds))
    with served("echo") as echo, kinema() as whole, kinema("--without-colour") as uncoloured:
        contenders = [
            Contender("echo over grpc.aio", partial(_streams, echo, FULL_HD, num_frames)),
            Contender("Kinema, everything on", partial(_streams, whole, FULL_HD, num_frames)),
            Contender("Kinema, frames' colours left out", partial(_streams, uncoloured, FULL_HD, num_frames)),
        ]
        _in_turn(contenders, rounds)
    header = ("server", "frames/s (goal: 200)", "of the echo", "CPU ms of its process a frame")
    rows = [contender.row(contenders[0]) for contender in contenders]
    print_table(f"Null engine at {FULL_HD} over TCP, {NUM_STREAMS} streams", header, rows)


def _in_turn(contenders: list[Contender], rounds: int) -> None:
    for contender in contenders:
        contender.measure()
    for _ in range(rounds):
        for contender in contenders:
            contender.speeds.append(contender.measure())


def _bare(seconds: float, num_frames: int) -> float:
    engine, lightness = TrivialEngine(seconds), np.zeros(WORKING_SHAPE, np.float32)
    started = time.perf_counter()
    for _ in range(num_frames):
        engine.infer(lightness)
    return num_frames / (time.perf_counter() - started)


def _warm_up(server: Served, size: Size) -> None:
    _streams(server, size, 4 * NUM_STREAMS)


def _streams(server: Served, size: Size, num_frames: int) -> Speed:
    before = server.cpu_seconds
    speed = load.frames_per_second(server.target, size, num_streams=NUM_STREAMS, num_frames=num_frames)
    return Speed(speed, 1000 * (server.cpu_seconds - before) / num_frames)


def _unary(post: unary_load.Post, peer: Served, num_frames: int) -> Speed:
    at_a_time = NUM_STREAMS * load.CREDITS
    speed = unary_load.frames_per_second(post, peer.port, SMALL, num=num_frames, at_a_time=at_a_time)
    return Speed(speed, float("nan"))  # it has many processes


def _wait_for_peer(peer: Served, post: unary_load.Post) -> None:
    until = time.monotonic() + PEER_START_SECONDS
    while True:
        try:
            post(peer.port, load.luma(SMALL), 1)
        except (OSError, grpc.RpcError):
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return
