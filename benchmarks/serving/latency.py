"""What the server adds to a frame's own work, with one frame in flight."""

import statistics

import numpy as np

from benchmarks.serving import load
from benchmarks.serving.load import SMALL
from benchmarks.serving.processes import Served, kinema, served
from benchmarks.serving.report import print_table, spread


def added_latency(rounds: int, num_frames: int) -> None:
    """Print the round trip less what the server's timings say was spent on colours, and that of echoes.

    One echo rests for as long as Kinema works on a frame: who sleeps through these milliseconds, a client's thread or a
    core, wakes up more slowly than behind an echo that answers at once, whatever the server is.
    """
    with kinema() as server:
        _added(server, 20)
        works = [answer.work_seconds for answer in load.run_stream(server.target, SMALL, num_frames, in_flight=1)]
        rest = f"{1000 * statistics.median(works):.1f}"
        with served("echo") as echo, served("echo", "--rest-ms", rest) as resting:
            measured: dict[str, tuple[Served, list[list[float]]]] = {
                "Kinema, beside the frame's work": (server, []),
                f"echo over grpc.aio that rests for {rest} ms, beside these": (resting, []),
                "echo over grpc.aio, in all": (echo, []),
            }
            for one, _ in measured.values():
                _added(one, 20)
            for _ in range(rounds):
                for one, added in measured.values():
                    added.append(_added(one, num_frames))
    rows = [
        (name, *(spread([1000 * float(np.quantile(one, q)) for one in added], ".2f") for q in (0.5, 0.99)))
        for name, (_, added) in measured.items()
    ]
    print_table(f"Added latency at {SMALL}, one frame in flight, ms", ("what", "p50 (goal: 1)", "p99 (goal: 4)"), rows)


def _added(server: Served, num_frames: int) -> list[float]:
    answers = load.run_stream(server.target, SMALL, num_frames, in_flight=1)
    return [answer.seconds - answer.work_seconds for answer in answers]
