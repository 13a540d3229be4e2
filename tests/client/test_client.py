"""What a client promises: its own luma back, in colour, lazily, and an end without loose ends."""

import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from kinema_client import Accepted, Client, Model, ServerBusyError, Summary, UnknownModelError, convert
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame
from kinema_core.media.photos import decode_photo
from kinema_core.pipeline import Colorizer, Options
from kinema_server.app import RunningServer
from kinema_server.settings import Settings
from tests.client.conftest import NUM_CREDITS, server_on_a_thread
from tests.fakes import FAKE_MANIFEST, FakeEngine, random_film, random_luma


def colorized_here(film: list[LumaFrame], options: Options | None = None) -> Iterator[ColorFrame]:
    height, width = film[0].luma.shape
    colorizer = Colorizer(FAKE_MANIFEST, height=height, width=width, tags=film[0].tags, options=options)
    engine = FakeEngine()
    for picture in film:
        prepared = colorizer.prepare(picture)
        yield colorizer.compose(prepared, colorizer.finish(prepared, engine.infer(prepared.lightness)))


def until(is_so: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("height", "width"), [(18, 32), (17, 31), (1, 1)])
def test_a_film_comes_back_with_its_own_luma_and_the_chroma_of_the_pipeline(
    kinema: Client, bit_depth: int, height: int, width: int
) -> None:
    film = list(random_film(10, height, width, ColorTags(bit_depth=bit_depth)))

    colored = list(kinema.colorize_frames(film))

    for sent, here, there in zip(film, colorized_here(film), colored, strict=True):
        assert there.luma is sent.luma
        assert (there.pts, there.time_base, there.tags) == (sent.pts, sent.time_base, sent.tags)
        np.testing.assert_array_equal(there.cb, here.cb)
        np.testing.assert_array_equal(there.cr, here.cr)


def test_choices_reach_the_server(kinema: Client) -> None:
    film = list(random_film(4))

    stream = kinema.colorize_frames(film, smoothing=0.0, saturation=0.25, working_size=64, model="fake")

    options = Options(smoothing=0.0, saturation=0.25, working_size=64)
    for here, there in zip(colorized_here(film, options), stream, strict=True):
        np.testing.assert_array_equal(there.cb, here.cb)


def test_a_stream_tells_what_is_used_where_the_time_goes_and_how_it_ended(kinema: Client) -> None:
    stream = kinema.colorize_frames(random_film(3))

    num_cuts = 0
    for _ in stream:
        assert stream.timings is not None
        times = stream.timings
        on_server = times.prepare_seconds + times.queue_seconds + times.engine_seconds + times.finish_seconds
        assert 0 < on_server < times.round_trip_seconds
        num_cuts += bool(stream.is_cut)

    assert stream.accepted == Accepted(
        model="fake",
        model_version="1.2.3",
        model_digest="f" * 64,
        engine="fake",
        precision="f32",
        credits=NUM_CREDITS,
        working_size=(24, 40),
        smoothing=0.5,
        saturation=1.0,
        is_memory_shared=True,
    )
    assert stream.summary == Summary(num_frames=3, num_cuts=num_cuts)


def test_rgb_comes_back_where_it_is_asked_for(kinema: Client) -> None:
    film = list(random_film(3, 17, 31))

    frames = list(kinema.colorize_frames_to_rgb(film))

    assert [frame.rgb.shape for frame in frames] == [(17, 31, 3)] * 3
    assert [frame.pts for frame in frames] == [frame.pts for frame in film]


def test_a_film_without_frames_comes_back_without_frames(kinema: Client) -> None:
    stream = kinema.colorize_frames([])

    assert list(stream) == []
    assert stream.summary == Summary(num_frames=0, num_cuts=0)


class CountedFilm:
    """A film that knows how many of its frames were taken, and on which threads."""

    def __init__(self, num_frames: int) -> None:
        self.num_taken = 0
        self.threads: set[threading.Thread] = set()
        self._film = random_film(num_frames)

    def __iter__(self) -> Iterator[LumaFrame]:
        for frame in self._film:
            self.num_taken += 1
            self.threads.add(threading.current_thread())
            yield frame


def test_no_more_frames_are_taken_than_credits_allow(kinema: Client) -> None:
    film = CountedFilm(40)
    stream = kinema.colorize_frames(film)
    num_taken_before_anybody_asked = film.num_taken

    num_ahead = []
    for num_yielded, _ in enumerate(stream, 1):
        time.sleep(0.002)  # time enough to run ahead
        num_ahead.append(film.num_taken - num_yielded)

    assert num_taken_before_anybody_asked == 0
    assert film.num_taken == 40
    assert max(num_ahead) == NUM_CREDITS


def test_leaving_a_loop_early_ends_the_call_and_the_thread_that_read_the_film(
    kinema: Client, server: RunningServer, engine: FakeEngine
) -> None:
    film = CountedFilm(1000)
    engine.gate.clear()
    engine.num_free = 3

    stream = kinema.colorize_frames(film)  # held on to: gRPC cancels a call that nobody holds by itself
    for num_yielded, _ in enumerate(stream, 1):
        if num_yielded == 3:  # the next one is held, so nothing but a cancelled call ends the stream
            break

    num_taken = film.num_taken
    (reader,) = film.threads - {threading.current_thread()}  # which took the first frame itself
    reader.join(timeout=10)
    until(lambda: server.metrics.registry.get_sample_value("kinema_streams") == 0)
    assert not reader.is_alive()
    assert film.num_taken == num_taken <= 3 + NUM_CREDITS


def test_the_film_is_left_in_peace_once_a_stream_is_closed(kinema: Client) -> None:
    inside = threading.Event()
    is_inside = False

    def slow_film() -> Iterator[LumaFrame]:
        nonlocal is_inside
        for frame in random_film(100):
            is_inside = True
            inside.set()
            time.sleep(0.05)
            is_inside = False
            yield frame

    with kinema.colorize_frames(slow_film()) as stream:
        stream.read()
        inside.clear()
        assert inside.wait(timeout=10)

    assert not is_inside


def test_closing_the_client_closes_its_streams(server: RunningServer) -> None:
    with Client(server.address) as kinema:
        stream = kinema.colorize_frames(random_film(100))
        assert stream.read() is not None

    assert stream.is_closed
    assert stream.read() is None


def test_an_error_of_the_film_comes_after_the_frames_before_it(kinema: Client) -> None:
    def broken_film() -> Iterator[LumaFrame]:
        yield from random_film(5)
        raise MediaError("the film breaks off")

    frames = []
    with pytest.raises(MediaError, match="breaks off"):  # noqa: PT012
        for frame in kinema.colorize_frames(broken_film()):
            frames.append(frame)  # noqa: PERF402 - the error must not lose what came before it

    assert len(frames) == 5


def test_an_error_of_the_first_frame_is_raised_as_it_is(kinema: Client) -> None:
    def broken_film() -> Iterator[LumaFrame]:
        yield from ()
        raise MediaError("no such film")

    with pytest.raises(MediaError, match="no such film"):
        list(kinema.colorize_frames(broken_film()))


@pytest.mark.parametrize("other", [next(random_film(1, 18, 34)), next(random_film(1, tags=ColorTags(bit_depth=10)))])
def test_a_frame_unlike_the_first_is_refused(kinema: Client, other: LumaFrame) -> None:
    frames = []
    with pytest.raises(InvalidInputError, match="must all be like the first"):  # noqa: PT012
        for frame in kinema.colorize_frames([*random_film(2), other]):
            frames.append(frame)  # noqa: PERF402

    assert len(frames) == 2


def test_two_streams_of_one_client_do_not_mix(kinema: Client) -> None:
    films = [list(random_film(12, seed=seed)) for seed in (0, 1000)]

    pairs = list(zip(*map(kinema.colorize_frames, films), strict=True))

    for film, colored in zip(films, zip(*pairs, strict=True), strict=True):
        for here, there in zip(colorized_here(film), colored, strict=True):
            np.testing.assert_array_equal(there.cb, here.cb)


def test_what_the_server_refuses_comes_back_as_the_error_it_is(kinema: Client) -> None:
    with pytest.raises(InvalidInputError) as caught:
        list(kinema.colorize_frames(random_film(3), smoothing=1.5))
    assert caught.value.field == "config.smoothing"

    with pytest.raises(UnknownModelError, match="fake"):
        list(kinema.colorize_frames(random_film(3), model="sepia"))

    with pytest.raises(InvalidInputError) as caught:
        list(kinema.colorize_frames(random_film(3), working_size=-1))
    assert caught.value.field == "working_size"


def test_a_busy_server_says_so(kinema: Client) -> None:
    with kinema.colorize_frames(random_film(9)) as one, kinema.colorize_frames(random_film(9)) as two:
        one.read()
        two.read()
        with pytest.raises(ServerBusyError):
            list(kinema.colorize_frames(random_film(9)))


@pytest.mark.parametrize(("output_format", "magic"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8")])
def test_a_photograph_comes_back_in_colour(kinema: Client, output_format: convert.ImageFormat, magic: bytes) -> None:
    grey = cv2.imencode(".png", random_luma(30, 40, ColorTags(), 0))[1].tobytes()

    colored = kinema.colorize_image(grey, output_format=output_format, saturation=1.5)

    assert colored.startswith(magic)
    rgb = decode_photo(colored)
    assert rgb.shape == (30, 40, 3)
    assert np.ptp(rgb.astype(int), axis=2).max() > 10


def test_a_photograph_that_is_none_is_refused(kinema: Client) -> None:
    with pytest.raises(InvalidInputError) as caught:
        kinema.colorize_image(b"hello")

    assert caught.value.field == "image"


def test_a_photograph_larger_than_a_message_is_refused(kinema: Client) -> None:
    with pytest.raises(InvalidInputError, match="larger than max"):
        kinema.colorize_image(bytes(17 << 20))  # a resume token may have 16 MiB


def test_the_models_are_listed(kinema: Client) -> None:
    assert kinema.list_models() == [Model("fake", "1.2.3", "f" * 64, "CC0-1.0", 7, 32, {"psnr_rgb": 20.5})]


def test_a_name_of_several_servers_has_its_calls_spread_over_them() -> None:
    settings = Settings(port=0, grace_seconds=0)
    with (
        server_on_a_thread(FakeEngine(), settings) as one,
        server_on_a_thread(FakeEngine(), settings) as other,
        Client(f"ipv4:{one.address},{other.address}") as kinema,
    ):

        def num_calls(server: RunningServer) -> float:
            labels = {"method": "ListModels", "code": "OK"}
            return server.metrics.registry.get_sample_value("kinema_calls_total", labels) or 0

        def both_were_called() -> bool:
            kinema.list_models()
            return num_calls(one) > 1 and num_calls(other) > 1

        until(both_were_called)
