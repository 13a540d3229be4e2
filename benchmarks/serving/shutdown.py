"""SIGTERM in the middle of many streams, with a second server to go on with."""

import contextlib
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.serving import load
from benchmarks.serving.endurance import TINY
from benchmarks.serving.processes import kinema
from benchmarks.serving.report import print_table
from kinema_client import Client
from kinema_client.errors import ClientError
from kinema_core.frames import ColorTags, LumaFrame

GRACE_SECONDS = 4
FRAMES_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one stream."""

    answered: list[int]
    """The pts that came back, in order."""
    has_failed: bool


def sigterm(num_streams: int, rounds: int) -> None:
    """Print what becomes of streams whose server is told to stop: short ones, and ones that outlast its grace.

    Whatever the client library does to go on elsewhere, it does by itself: both servers are in its target.
    """
    rows = []
    for what, seconds in (("end within the grace", GRACE_SECONDS / 2), ("outlast it", 3 * GRACE_SECONDS)):
        for _ in range(rounds):
            outcomes, stopped = _stop_beneath(num_streams, seconds)
            num_frames = round(seconds * FRAMES_PER_SECOND)
            missing = sum(num_frames - len(set(one.answered)) for one in outcomes)
            doubled = sum(len(one.answered) - len(set(one.answered)) for one in outcomes)
            ordered = all(one.answered == sorted(one.answered) for one in outcomes)
            failed = sum(one.has_failed for one in outcomes)
            rows.append((what, num_streams * num_frames, missing, doubled, ordered, failed, f"{stopped:.1f}"))
    header = ("streams", "frames", "lost", "doubled", "in order", "streams that failed", "seconds until it had stopped")
    print_table(f"SIGTERM with {num_streams} streams, grace {GRACE_SECONDS} s, a second server at hand", header, rows)


def _stop_beneath(num_streams: int, seconds: float) -> tuple[list[Outcome], float]:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as servers:
        secret = Path(folder) / "secret"  # both know it, so that streams take their state along
        secret.write_text(secrets.token_hex(32) + "\n")
        arguments = ("--grace-seconds", str(GRACE_SECONDS), "--resume-secret", str(secret))
        going, staying = (servers.enter_context(kinema(*arguments)) for _ in range(2))
        everybody = threading.Barrier(num_streams + 1, timeout=120)
        with ThreadPoolExecutor(num_streams) as pool:
            target = f"ipv4:{going.target},{staying.target}"
            running = [pool.submit(_stream, target, seconds, everybody) for _ in range(num_streams)]
            everybody.wait()
            time.sleep(seconds / 2)
            told = time.monotonic()
            going.terminate()
            going.process.wait()
            stopped = time.monotonic() - told
            return [one.result() for one in running], stopped


def _stream(target: str, seconds: float, everybody: threading.Barrier) -> Outcome:
    """Send a live film to whichever server takes it."""
    answered: list[int] = []
    with Client(target) as client:
        try:
            for frame in client.colorize_frames(_live(seconds, everybody)):
                answered.append(frame.pts)  # noqa: PERF401 - what came before an error counts
        except ClientError:
            return Outcome(answered, has_failed=True)
    return Outcome(answered, has_failed=False)


def _live(seconds: float, everybody: threading.Barrier) -> Iterator[LumaFrame]:
    luma = np.frombuffer(load.luma(TINY), np.uint8).reshape(TINY.height, TINY.width)
    for pts in range(round(seconds * FRAMES_PER_SECOND)):
        if pts == 1:
            everybody.wait()  # the first frame opened the stream
        yield LumaFrame(luma, pts, Fraction(1, FRAMES_PER_SECOND), ColorTags())
        time.sleep(1 / FRAMES_PER_SECOND)
