"""What serving costs: a real server with a trivial engine, beside a bare echo and other servers.

    .venv/bin/python -m benchmarks.serving [PART ...] [--rounds 7] [--quick] [--peers PYTHON]

Servers run in processes of their own, the clients in this one; on a small machine they share its cores. Ways are
measured in turn, round after round, and a table has medians with the least and the most. PYTHON is that of a virtual
environment of its own with `litserve` and `ray[serve]`: benchmarks/README.md.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.serving import endurance, fairness, latency, shutdown, throughput


def main() -> int:
    """Run the parts that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = "engine, peers, full-hd, latency, stalled, idle, cancels, soak, sigterm"
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{names}; all, if none is named")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4, help="about the length of a round")
    parser.add_argument("--cancels", type=int, default=20_000)
    parser.add_argument("--soak-frames", type=int, default=300_000)
    parser.add_argument("--quick", action="store_true", help="to see that it runs; the numbers say nothing")
    parser.add_argument("--peers", metavar="PYTHON", help="of an environment with litserve and ray[serve]")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended, too
    rounds, seconds = (1, 0.3) if arguments.quick else (arguments.rounds, arguments.seconds)
    parts: dict[str, Callable[[], Awaitable[None] | None]] = {
        "engine": partial(throughput.engine_share, rounds, seconds),
        "peers": partial(throughput.beside_peers, rounds, seconds, arguments.peers),
        "full-hd": partial(throughput.full_hd, rounds, seconds),
        "latency": partial(latency.added_latency, rounds, round(100 * seconds)),
        "stalled": partial(fairness.stalled_reader, rounds, seconds),
        "idle": partial(endurance.idle_streams, 20 if arguments.quick else 500),
        "cancels": partial(endurance.cancels, 200 if arguments.quick else arguments.cancels),
        "soak": partial(endurance.soak, 600 if arguments.quick else arguments.soak_frames),
        "sigterm": partial(shutdown.sigterm, 4 if arguments.quick else 32, 1 if arguments.quick else 2),
    }
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    print(f"load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} CPUs")
    asyncio.run(_run([parts[name] for name in arguments.parts or parts]))
    print(f"\nload of the machine {os.getloadavg()[0]:.1f}")
    return 0


async def _run(parts: list[Callable[[], Awaitable[None] | None]]) -> None:
    """Run all in one event loop: gRPC's clients for asyncio do not survive a change of it."""
    for part in parts:
        if (rest := part()) is not None:
            await rest


if __name__ == "__main__":
    sys.exit(main())
