"""What the server adds to a frame's own work, with one frame in flight."""

import numpy as np

from benchmarks.serving import load
from benchmarks.serving.load import SMALL
from benchmarks.serving.processes import kinema, served
from benchmarks.serving.report import print_table, spread


def added_latency(rounds: int, num_frames: int) -> None:
    """Print the round trip less what the server's timings say was spent on colours, and an echo's round trip."""
    added: list[np.ndarray] = []
    echoed: list[np.ndarray] = []
    with kinema() as server, served("echo") as echo:
        for target in (server.target, echo.target):
            load.run_stream(target, SMALL, 20, in_flight=1)
        for _ in range(rounds):
            answers = load.run_stream(server.target, SMALL, num_frames, in_flight=1)
            added.append(np.array([answer.seconds - answer.work_seconds for answer in answers]))
            answers = load.run_stream(echo.target, SMALL, num_frames, in_flight=1)
            echoed.append(np.array([answer.seconds for answer in answers]))
    rows = [
        (name, *(spread([1000 * float(np.quantile(one, q)) for one in measured], ".2f") for q in (0.5, 0.99)))
        for name, measured in (("Kinema, beside the frame's work", added), ("echo over grpc.aio, in all", echoed))
    ]
    print_table(f"Added latency at {SMALL}, one frame in flight, ms", ("what", "p50 (goal: 1)", "p99 (goal: 4)"), rows)
