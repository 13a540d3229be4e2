"""The program itself: `kinema serve` gets SIGTERM while streams run, and another process takes them over."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from kinema_client import Client
from kinema_core.bundle import load_bundle
from kinema_core.engines.select import open_engine
from kinema_core.frames import ColorFrame, LumaFrame
from kinema_core.pipeline import Options
from tests.client.test_client import until
from tests.client.test_handover import check_same, colorized_at_once, moving_film
from tests.core.tiny_models import tiny_bundle

NUM_STREAMS = 16
NUM_FRAMES = 24
PAUSE_SECONDS = 0.01
"""Between a stream's frames: the signal comes in the middle."""


class Served(NamedTuple):
    process: subprocess.Popen[str]
    address: str
    pages: str
    """Where the metrics are."""

    def sample(self, line: str) -> float:
        with urllib.request.urlopen(self.pages) as page:  # noqa: S310 - what the server printed
            lines = str(page.read(), "utf-8").splitlines()
        return next((float(each.rsplit(" ", 1)[1]) for each in lines if each.startswith(f"{line} ")), 0.0)


@contextmanager
def serving(model: Path, secret: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "import sys; from kinema_client.cli import main; sys.exit(main())", "serve"]
    options = ["--port", "0", "--metrics-port", "0", "--model", str(model), "--engine", "onnxruntime", "--threads", "1"]
    environment = os.environ | {"KINEMA_RESUME_SECRET": str(secret), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([*command, *options], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def announced(process: subprocess.Popen[str]) -> Served:
    """Wait until a server says where it is."""
    assert process.stdout is not None
    address = next(line for line in process.stdout if line.startswith("Kinema serves")).split()[-1]
    pages = next(line for line in process.stdout if "metrics on" in line).split()[-1]
    return Served(process, address, pages)


def test_sigterm_under_sixteen_streams_loses_and_doubles_nothing(secret: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    tiny_bundle(model)
    films = [moving_film(seed, NUM_FRAMES) for seed in range(NUM_STREAMS)]
    are_under_way = threading.Barrier(NUM_STREAMS + 1, timeout=120)

    with ExitStack() as stack:
        processes = [stack.enter_context(serving(model, secret)) for _ in range(2)]
        first, second = map(announced, processes)
        kinema = stack.enter_context(Client(f"ipv4:{first.address},{second.address}"))
        pool = stack.enter_context(ThreadPoolExecutor(NUM_STREAMS))
        both_answer(kinema, first, second)

        def colorize(film: list[LumaFrame]) -> tuple[list[ColorFrame], int]:
            stream = kinema.colorize_frames(film)
            frames = iter(stream)
            colored = [next(frames)]
            are_under_way.wait()
            for frame in frames:
                colored.append(frame)
                time.sleep(PAUSE_SECONDS)
            return colored, stream.num_resumed

        running = [pool.submit(colorize, film) for film in films]
        are_under_way.wait()
        num_moved = first.sample("kinema_streams")
        first.process.send_signal(signal.SIGTERM)
        results = [each.result() for each in running]
        status = first.process.wait(timeout=30)
        num_resumed = second.sample("kinema_streams_resumed_total")

    bundle = load_bundle(model)
    engine = open_engine(bundle, "onnxruntime", num_threads=1).engine
    try:
        for film, (colored, _) in zip(films, results, strict=True):
            check_same(colored, colorized_at_once(film, Options(), engine, bundle.manifest))
    finally:
        engine.close()
    assert status == 0
    assert num_moved >= 4  # round robin gives each server half of them
    assert num_moved == num_resumed == sum(moved for _, moved in results)


def both_answer(kinema: Client, first: Served, second: Served) -> None:
    """Call until each server has had a call: then the client is connected to both."""

    def have_answered() -> bool:
        kinema.list_models()
        return all(server.sample('kinema_calls_total{code="OK",method="ListModels"}') > 0 for server in (first, second))

    until(have_answered, seconds=30)
