"""What a stream promises whose server is stopped: it goes on at another, each frame comes once, no bit is changed."""

import asyncio
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from kinema_client import AsyncClient, Client, ServerUnavailableError
from kinema_client.choices import Choices
from kinema_core.bundle import Bundle, Manifest, load_bundle
from kinema_core.engines.engine import Engine
from kinema_core.engines.select import open_engine
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorFrame, LumaFrame
from kinema_core.pipeline import Colorizer, Options
from kinema_core.steering.colour_statistics import ColourStatistics
from kinema_server.settings import Settings
from tests.client.conftest import StoppableServer, stoppable_server
from tests.client.test_client import until
from tests.fakes import FAKE_BUNDLE, FAKE_MANIFEST, FakeEngine

HEIGHT, WIDTH = 48, 64
NUM_FRAMES = 24
CUT = 11
"""The frame that begins another shot."""
OPTIONS = {
    "plain": Options(),
    "strong smoothing": Options(smoothing=1.0),
    "no smoothing": Options(smoothing=0.0),
    "palette": Options(reference=ColourStatistics(mean_a=10, mean_b=20, variance_a=200, variance_b=300, covariance=50)),
    "own colour": Options(keep_colour=True),
}


def moving_film(seed: int = 0, num_frames: int = NUM_FRAMES, cut: int = CUT) -> list[LumaFrame]:
    """Two shots of a grainy texture that moves; the first of them is in colour."""
    rng = np.random.default_rng(seed)
    shots = [np.kron(rng.integers(30, 220, (HEIGHT // 8, WIDTH // 8)), np.ones((8, 8))) for _ in range(2)]
    frames = []
    for index in range(num_frames):
        is_second = index >= cut
        luma = np.roll(shots[is_second], index, axis=1) + rng.normal(0, 4, (HEIGHT, WIDTH))
        chroma_shape = (HEIGHT // 2, WIDTH // 2)
        chroma = [np.full(chroma_shape, 128, np.uint8)] * 2
        if not is_second:
            chroma = [rng.integers(60, 200, chroma_shape).astype(np.uint8) for _ in range(2)]
        frames.append(
            LumaFrame(np.clip(luma, 0, 255).astype(np.uint8), index, Fraction(1, 24), chroma=(chroma[0], chroma[1]))
        )
    return frames


def colorized_at_once(
    film: list[LumaFrame], options: Options, engine: Engine | None = None, manifest: Manifest = FAKE_MANIFEST
) -> list[ColorFrame]:
    colorizer = Colorizer(manifest, height=HEIGHT, width=WIDTH, tags=film[0].tags, options=options)
    engine = engine or FakeEngine()
    prepared = [colorizer.prepare(frame) for frame in film]
    return [colorizer.compose(p, colorizer.finish(p, engine.infer(p.lightness))) for p in prepared]


def choices_of(options: Options) -> Choices:
    return {
        "smoothing": options.smoothing,
        "working_size": options.working_size,
        "reference": options.reference,
        "keep_colour": options.keep_colour,
    }


@contextmanager
def servers(
    count: int, secret: Path | None, engine: Engine | None = None, bundle: Bundle = FAKE_BUNDLE
) -> Iterator[list[StoppableServer]]:
    settings = Settings(port=0, credits=3, grace_seconds=20, resume_secret=secret)
    with ExitStack() as stack:
        yield [stack.enter_context(stoppable_server(engine or FakeEngine(), settings, bundle)) for _ in range(count)]


def target_of(several: list[StoppableServer]) -> str:
    return "ipv4:" + ",".join(server.running.address for server in several)


def sample(server: StoppableServer, name: str, **labels: str) -> float:
    return server.running.metrics.registry.get_sample_value(name, labels) or 0


def stop_the_busy_one(several: list[StoppableServer]) -> None:
    (busy,) = (server for server in several if sample(server, "kinema_streams"))
    busy.stop()


def check_same(found: list[ColorFrame], expected: list[ColorFrame]) -> None:
    assert [frame.pts for frame in found] == [frame.pts for frame in expected]
    for there, here in zip(found, expected, strict=True):
        np.testing.assert_array_equal(there.luma, here.luma)
        np.testing.assert_array_equal(there.cb, here.cb)
        np.testing.assert_array_equal(there.cr, here.cr)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_bits_are_those_of_a_stream_that_was_never_interrupted(secret: Path, options: Options) -> None:
    film = moving_film()
    rng = random.Random(repr(options))  # noqa: S311 - not for secrets
    first = rng.randint(1, 12)
    points = (first, rng.randint(first + 5, 18))  # so far apart that there is a server to leave

    colored = []
    with servers(3, secret) as several, Client(target_of(several)) as kinema:
        stream = kinema.colorize_frames(film, **choices_of(options))
        for frame in stream:
            colored.append(frame)
            if len(colored) in points:
                stop_the_busy_one(several)
        resumed = sum(sample(server, "kinema_streams_resumed_total") for server in several)
        num_colorized = sum(sample(server, "kinema_frames_total", outcome="colorized") for server in several)

    check_same(colored, colorized_at_once(film, options))
    assert (stream.num_resumed, stream.num_restarted) == (2, 0)
    assert resumed == 2
    assert num_colorized == NUM_FRAMES
    assert stream.summary is not None
    assert stream.summary.num_frames == NUM_FRAMES
    assert stream.summary.num_cuts == sum(bool(frame.is_cut) for frame in colored)


@pytest.mark.parametrize("point", [1, CUT - 1, CUT, CUT + 1])
def test_an_interruption_beside_a_cut_changes_nothing(secret: Path, point: int) -> None:
    film = moving_film(seed=1)

    colored = []
    with servers(2, secret) as several, Client(target_of(several)) as kinema:
        stream = kinema.colorize_frames(film)
        for frame in stream:
            colored.append(frame)
            if len(colored) == point:
                stop_the_busy_one(several)

    check_same(colored, colorized_at_once(film, Options()))
    assert stream.num_resumed == 1


def test_the_model_that_ships_goes_on_bit_for_bit(secret: Path) -> None:
    film, options = moving_film(num_frames=9, cut=4), Options(working_size=64)
    bundle = load_bundle()
    engine = open_engine(bundle, num_threads=1).engine
    try:
        expected = colorized_at_once(film, options, engine, bundle.manifest)
        colored = []
        with servers(2, secret, engine, bundle) as several, Client(target_of(several)) as kinema:
            stream = kinema.colorize_frames(film, **choices_of(options))
            for frame in stream:
                colored.append(frame)
                if len(colored) == 3:
                    stop_the_busy_one(several)
    finally:
        engine.close()

    check_same(colored, expected)
    assert stream.num_resumed == 1


def test_many_streams_leave_a_server_at_once_and_none_loses_or_doubles_a_frame(secret: Path) -> None:
    films = [moving_film(seed) for seed in range(8)]
    are_under_way = threading.Barrier(len(films) + 1, timeout=30)

    with servers(2, secret) as several, Client(target_of(several)) as kinema, ThreadPoolExecutor(len(films)) as pool:

        def colorize(film: list[LumaFrame]) -> tuple[list[ColorFrame], int]:
            stream = kinema.colorize_frames(film)
            colored = [next(iter_of := iter(stream))]
            are_under_way.wait()
            return [*colored, *iter_of], stream.num_resumed

        running = [pool.submit(colorize, film) for film in films]
        are_under_way.wait()
        num_moved = sample(several[0], "kinema_streams")
        several[0].stop()
        results = [each.result() for each in running]
        num_colorized = sum(sample(server, "kinema_frames_total", outcome="colorized") for server in several)
        num_drained = sample(several[0], "kinema_streams_drained_total")

    for film, (colored, _) in zip(films, results, strict=True):
        check_same(colored, colorized_at_once(film, Options()))
    assert num_moved == num_drained == sum(num_resumed for _, num_resumed in results) > 0
    assert num_colorized == len(films) * NUM_FRAMES


def test_a_frame_that_a_live_source_gives_across_the_handover_is_not_lost(secret: Path) -> None:
    film = moving_film()
    has_moved = threading.Event()

    def live() -> Iterator[LumaFrame]:
        yield from film[:5]
        assert has_moved.wait(timeout=30)  # the old call's thread waits here while the new one begins
        yield from film[5:]

    def wait_for_the_move(several: list[StoppableServer]) -> None:
        until(lambda: sum(sample(server, "kinema_streams_resumed_total") for server in several))
        has_moved.set()

    with servers(2, secret) as several, Client(target_of(several)) as kinema:
        stream = kinema.colorize_frames(live())
        colored = []
        for frame in stream:
            colored.append(frame)
            if len(colored) == 5:
                stop_the_busy_one(several)
                threading.Thread(target=wait_for_the_move, args=[several]).start()

    check_same(colored, colorized_at_once(film, Options()))
    assert stream.num_resumed == 1


def test_without_a_shared_secret_no_frame_is_lost_but_smoothing_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    film = moving_film()

    colored = []
    with servers(2, None) as several, Client(target_of(several)) as kinema:
        stream = kinema.colorize_frames(film)
        for frame in stream:
            colored.append(frame)
            if len(colored) == 5:
                stop_the_busy_one(several)
        num_refused = sum(sample(server, "kinema_resume_tokens_refused_total") for server in several)

    expected = colorized_at_once(film, Options())
    assert [frame.pts for frame in colored] == [frame.pts for frame in film]
    check_same(colored[:5], expected[:5])
    assert any((there.cb != here.cb).any() for there, here in zip(colored, expected, strict=True))
    assert (stream.num_resumed, stream.num_restarted) == (0, 1)
    assert stream.summary is not None
    assert stream.summary.num_frames == NUM_FRAMES
    assert num_refused == 1
    assert {"resume_token_refused", "smoothing_begins_anew"} <= {record.message for record in caplog.records}


def test_where_no_other_server_comes_in_time_the_stream_fails_after_what_was_answered(secret: Path) -> None:
    colored = []

    def colorize(several: list[StoppableServer], kinema: Client) -> None:
        for frame in kinema.colorize_frames(moving_film()):
            colored.append(frame)
            if len(colored) == 5:
                stop_the_busy_one(several)

    with (
        servers(1, secret) as several,
        Client(target_of(several), resume_seconds=0.3) as kinema,
        pytest.raises(ServerUnavailableError),
    ):
        colorize(several, kinema)

    check_same(colored, colorized_at_once(moving_film(), Options())[: len(colored)])
    assert len(colored) >= 5


def test_a_server_that_starts_anew_in_time_takes_the_stream(secret: Path) -> None:
    film = moving_film()
    colored = []
    with ExitStack() as stack:
        with servers(1, secret) as (old,):
            kinema = stack.enter_context(Client(old.running.address))
            stream = kinema.colorize_frames(film)
            colored += [stream.read() for _ in range(4)]
            old.stop()
            reading = threading.Thread(target=lambda: colored.extend(stream))
            reading.start()
        stack.enter_context(
            stoppable_server(FakeEngine(), Settings(port=old.running.port, grace_seconds=0, resume_secret=secret))
        )
        reading.join(timeout=30)

    check_same([frame for frame in colored if frame is not None], colorized_at_once(film, Options()))
    assert stream.num_resumed == 1


async def test_the_asyncio_client_goes_on_too(secret: Path) -> None:
    film = moving_film()

    colored = []
    with servers(2, secret) as several:
        async with AsyncClient(target_of(several)) as kinema:
            stream = kinema.colorize_frames(film)
            async for frame in stream:
                colored.append(frame)
                if len(colored) == 5:
                    await asyncio.to_thread(stop_the_busy_one, several)

    check_same(colored, colorized_at_once(film, Options()))
    assert (stream.num_resumed, stream.num_restarted) == (1, 0)


def test_a_stream_that_begins_at_a_server_being_stopped_begins_elsewhere(secret: Path) -> None:
    film = moving_film()
    with servers(2, secret) as several, Client(target_of(several)) as kinema:
        several[0].running.drain.has_begun = True
        colored = [list(kinema.colorize_frames(film)) for _ in range(4)]  # round robin comes by it
        num_refused = sample(several[0], "kinema_calls_total", method="ColorizeFrames", code="UNAVAILABLE")

    assert num_refused > 0
    for each in colored:
        check_same(each, colorized_at_once(film, Options()))


def test_a_server_that_is_lost_without_a_word_fails_its_streams_behind_what_was_answered(secret: Path) -> None:
    engine = FakeEngine()
    with ExitStack() as stack:
        cut_off = Settings(port=0, credits=3, grace_seconds=0, resume_secret=secret)
        lost = stack.enter_context(stoppable_server(engine, cut_off))
        kinema = stack.enter_context(Client(lost.running.address, resume_seconds=1))
        stream = kinema.colorize_frames(moving_film())
        colored = [stream.read() for _ in range(3)]
        engine.gate.clear()
        lost.stop()
        stack.callback(engine.gate.set)
        with pytest.raises(ServerUnavailableError):
            colored.extend(iter(stream.read, None))

    check_same([f for f in colored if f is not None], colorized_at_once(moving_film(), Options())[: len(colored)])


@pytest.mark.parametrize("seconds", [-1, 901, float("nan")])
def test_a_time_to_look_for_a_server_that_makes_no_sense_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidInputError, match="resume_seconds"):
        Client("localhost:1", resume_seconds=seconds)
