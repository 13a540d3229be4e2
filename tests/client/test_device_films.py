"""Films through a server whose frames stay on a GPU: handed over and whole; torch on the CPU stands in for one."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema_client import Client
from kinema_client.commands.backends import LocalBackend, choices_of
from kinema_client.commands.films import FilmChoices, colorize_film
from kinema_client.commands.fingerprint import difference
from kinema_core.frame_way import way_for
from kinema_core.frames import ColorFrame, LumaFrame
from kinema_core.pipeline import Colorizer, Options, colorize_frames
from kinema_server.settings import Settings
from tests.client import test_handover as handover
from tests.client.conftest import server_on_a_thread
from tests.core.films import make_film, read_film
from tests.fakes import FAKE_BUNDLE, FAKE_MANIFEST, FakeEngine
from tests.tensors import TensorEngine


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """How a sum is cut into parts must not depend on who computes it; on a GPU it does not."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def colorized_at_once(film: list[LumaFrame], options: Options) -> list[ColorFrame]:
    engine: Any = TensorEngine()
    colorizer = Colorizer(
        FAKE_MANIFEST, height=handover.HEIGHT, width=handover.WIDTH, tags=film[0].tags, options=options,
        way=way_for(engine),
    )  # fmt: skip
    return list(colorize_frames(film, colorizer, engine))


@pytest.mark.parametrize("options", handover.OPTIONS.values(), ids=handover.OPTIONS)
def test_a_stream_that_changes_servers_gets_the_bits_that_it_gets_at_one(secret: Path, options: Options) -> None:
    film, engine = handover.moving_film(), TensorEngine()

    colored = []
    with handover.servers(3, secret, engine) as several, Client(handover.target_of(several)) as kinema:
        stream = kinema.colorize_frames(film, **handover.choices_of(options))
        for frame in stream:
            colored.append(frame)
            if len(colored) in {3, handover.CUT + 1}:
                handover.stop_the_busy_one(several)

    handover.check_same(colored, colorized_at_once(film, options))
    assert (stream.num_resumed, stream.num_restarted) == (2, 0)
    assert sum(engine.num_on_device) == len(engine.seen) > 0, "a picture went by the host's memory"


def test_a_film_that_was_begun_on_a_device_is_not_gone_on_with_elsewhere_without_a_word() -> None:
    on_device, on_host = (
        LocalBackend(FAKE_BUNDLE, engine, Options()).fingerprint() for engine in (TensorEngine(), FakeEngine())
    )

    version = importlib.metadata.version("torch")
    assert difference(on_device, on_host) == f"frames stay on (cpu, by torch {version}, now none)"


def test_a_whole_film_comes_back_as_it_does_without_a_server(tmp_path: Path) -> None:
    source, options, engine = tmp_path / "old.mkv", Options(warmth=0.5), TensorEngine()
    make_film(source, codec="libx264", pts=list(range(0, 40 * 12, 40)), height=96, width=128)
    here = LocalBackend(FAKE_BUNDLE, TensorEngine(), options)
    colorize_film(here, str(source), str(tmp_path / "here.mkv"), FilmChoices(codec="ffv1"))

    settings = Settings(port=0, max_frame_pixels=200_000, grace_seconds=0)
    with (
        server_on_a_thread(engine, settings) as server,
        Client(server.address) as kinema,
        source.open("rb") as old,
        (tmp_path / "there.mkv").open("wb") as new,
    ):
        for piece in kinema.colorize_video(old, codec="ffv1", **choices_of(options, "fake")):
            new.write(piece)

    (_, expected), (_, found) = (read_film(tmp_path / name) for name in ("here.mkv", "there.mkv"))
    assert len(found) == 12
    for there, ours in zip(found, expected, strict=True):
        for plane, own_plane in zip(there, ours, strict=True):
            np.testing.assert_array_equal(plane, own_plane)
    assert sum(engine.num_on_device) == 12
