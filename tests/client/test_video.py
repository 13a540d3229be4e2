"""Whole films through a server: a file in, a file out, while it is still being sent."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kinema_client import AsyncClient, Client, ServerBusyError, UnknownModelError, VideoSummary
from kinema_client.commands.backends import LocalBackend
from kinema_client.commands.films import FilmChoices, colorize_film
from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.pipeline import Options
from kinema_server.app import RunningServer
from kinema_server.settings import Settings
from tests.client.conftest import server_on_a_thread
from tests.core.films import make_film, read_film, read_packets
from tests.fakes import FAKE_BUNDLE, FakeEngine

PTS = list(range(0, 40 * 30, 40))
LONG = list(range(0, 40 * 120, 40))


def until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def pieces_of(path: Path, size: int = 1000) -> list[bytes]:
    data = path.read_bytes()
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("name", ["old.mkv", "old.mp4"])  # an MP4 has its index at its end
def test_a_film_comes_back_as_it_does_without_a_server(name: str, kinema: Client, tmp_path: Path) -> None:
    source = tmp_path / name
    make_film(source, codec="libx264", pts=PTS, sounds=["eng"])
    backend = LocalBackend(FAKE_BUNDLE, FakeEngine(), Options(saturation=0.5))
    colorize_film(backend, str(source), str(tmp_path / "here.mkv"), FilmChoices(codec="ffv1"))

    with source.open("rb") as old, (tmp_path / "there.mkv").open("wb") as new:
        stream = kinema.colorize_video(old, codec="ffv1", saturation=0.5)
        for piece in stream:
            new.write(piece)

    (times_here, here), (times_there, there) = (read_film(tmp_path / name) for name in ("here.mkv", "there.mkv"))
    assert times_there == times_here
    assert len(there) == len(PTS)
    for ours, its in zip(here, there, strict=True):
        for our_plane, its_plane in zip(ours, its, strict=True):
            np.testing.assert_array_equal(its_plane, our_plane)
    assert read_packets(tmp_path / "there.mkv", "audio") == read_packets(tmp_path / "here.mkv", "audio")
    assert stream.summary == VideoSummary(num_frames=len(PTS), num_left_out=0)
    assert stream.num_frames == len(PTS)
    assert stream.accepted is not None
    assert (stream.accepted.model, stream.accepted.model_digest) == ("fake", FAKE_BUNDLE.digest)
    assert stream.accepted.size == here[0][0].shape


def test_frames_are_colorized_while_the_film_is_still_being_sent(
    kinema: Client, engine: FakeEngine, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv", pts=LONG)
    pieces = pieces_of(tmp_path / "old.mkv")
    may_end = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield from pieces[: len(pieces) // 2]
        may_end.wait(20)
        yield from pieces[len(pieces) // 2 :]

    stream = kinema.colorize_video(slowly(), codec="ffv1")
    reading = threading.Thread(target=lambda: list(stream))
    reading.start()
    until(lambda: len(engine.seen) >= 3)
    may_end.set()
    reading.join()

    assert stream.summary == VideoSummary(num_frames=len(LONG), num_left_out=0)


def test_leaving_the_loop_early_ends_the_work(kinema: Client, engine: FakeEngine, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=PTS)
    engine.gate.clear()
    engine.num_free = 2
    stream = kinema.colorize_video(pieces_of(tmp_path / "old.mkv"), codec="ffv1")
    pieces = iter(stream)
    reading = threading.Thread(target=lambda: next(pieces, None))
    reading.start()
    until(lambda: stream.num_frames)

    stream.close()
    reading.join()
    engine.gate.set()

    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "kinema-ahead"])
    assert len(engine.seen) < len(PTS)
    list(kinema.colorize_video(pieces_of(tmp_path / "old.mkv")))  # its place is free again


def test_a_client_that_does_not_read_holds_the_film_up(kinema: Client, engine: FakeEngine, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=LONG, height=240, width=320)
    pieces = iter(kinema.colorize_video(pieces_of(tmp_path / "old.mkv"), codec="ffv1"))
    next(pieces)

    seen = -1
    while seen != len(engine.seen):  # until it comes to rest
        seen = len(engine.seen)
        time.sleep(0.5)

    assert seen < len(LONG)
    assert list(pieces)
    assert len(engine.seen) == len(LONG)


@pytest.mark.parametrize(
    ("choices", "field"),
    [
        ({"saturation": 3.0}, "config.saturation"),
        ({"working_size": 7}, "config.working_size"),
        ({"crf": 60}, "crf"),
        ({"codec": "theora"}, "codec"),
        ({"deinterlace": "maybe"}, "deinterlace"),
    ],
)
def test_a_wrong_choice_is_refused_by_name(
    choices: dict[str, object], field: str, kinema: Client, tmp_path: Path
) -> None:
    make_film(tmp_path / "old.mkv")

    with pytest.raises(InvalidInputError) as caught:
        list(kinema.colorize_video(pieces_of(tmp_path / "old.mkv"), **choices))  # type: ignore[arg-type]

    assert caught.value.field == field


def test_an_unknown_model_is_named(kinema: Client) -> None:
    with pytest.raises(UnknownModelError, match="'fake'"):
        list(kinema.colorize_video([b"film"], model="other"))


def test_what_is_no_film_is_said_to_be_none(kinema: Client) -> None:
    with pytest.raises(MediaError, match="the film cannot be opened as a film"):
        list(kinema.colorize_video([b"not a film at all"] * 100))


def test_a_playlist_opens_nothing(kinema: Client, tmp_path: Path) -> None:
    make_film(tmp_path / "secret.mkv")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:{tmp_path}/secret.mkv\n#EXT-X-ENDLIST\n"
    listing = f"ffconcat version 1.0\nfile {tmp_path}/secret.mkv\n"

    for text in (playlist, listing):
        with pytest.raises(MediaError, match="cannot be opened"):
            list(kinema.colorize_video([text.encode()]))


def test_a_film_that_breaks_off_is_an_error_that_names_no_path(kinema: Client, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=LONG)
    pieces = pieces_of(tmp_path / "old.mkv")

    with pytest.raises(MediaError, match="the film is damaged or cut short") as caught:
        list(kinema.colorize_video(pieces[: len(pieces) * 2 // 3], codec="ffv1"))

    assert str(tmp_path) not in str(caught.value)


def test_an_error_of_the_callers_file_is_the_callers(kinema: Client, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=PTS)

    def broken() -> Iterator[bytes]:
        yield from pieces_of(tmp_path / "old.mkv")[:3]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(kinema.colorize_video(broken()))


def test_limits_of_a_server_are_kept(engine: FakeEngine, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=PTS)
    pieces = pieces_of(tmp_path / "old.mkv")
    size = sum(map(len, pieces))
    with (
        server_on_a_thread(engine, Settings(port=0, max_video_bytes=size - 1)) as server,
        Client(server.address) as kinema,
        pytest.raises(InvalidInputError, match=f"at most {size - 1} bytes"),
    ):
        list(kinema.colorize_video(pieces))
    with (
        server_on_a_thread(engine, Settings(port=0, max_frame_pixels=100)) as server,
        Client(server.address) as kinema,
        pytest.raises(InvalidInputError, match="at most 100 pixels"),
    ):
        list(kinema.colorize_video(pieces))


def test_a_film_too_many_is_refused(engine: FakeEngine, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=PTS)
    with (
        server_on_a_thread(engine, Settings(port=0, max_videos=1)) as server,
        Client(server.address) as kinema,
    ):
        engine.gate.clear()
        first = kinema.colorize_video(pieces_of(tmp_path / "old.mkv"))
        reading = threading.Thread(target=lambda: list(first))
        reading.start()
        until(lambda: engine.seen)
        with pytest.raises(ServerBusyError, match="1 places"):
            list(kinema.colorize_video(pieces_of(tmp_path / "old.mkv")))
        engine.gate.set()
        reading.join()

    assert first.summary is not None


def test_an_engine_that_fails_ends_the_film(kinema: Client, engine: FakeEngine, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=PTS)
    engine.error = RuntimeError("secret path")

    with pytest.raises(Exception, match="the server failed; its log says why"):
        list(kinema.colorize_video(pieces_of(tmp_path / "old.mkv")))


def test_frames_of_a_film_are_counted(kinema: Client, server: RunningServer, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=PTS)

    list(kinema.colorize_video(pieces_of(tmp_path / "old.mkv")))

    registry = server.metrics.registry
    assert registry.get_sample_value("kinema_frames_total", {"outcome": "colorized"}) == len(PTS)
    labels = {"method": "ColorizeVideo", "code": "OK"}
    until(lambda: registry.get_sample_value("kinema_calls_total", labels) == 1)
    assert registry.get_sample_value("kinema_streams") == 0


def test_ticks_of_a_film_are_kept_to_the_millisecond(kinema: Client, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=[7, 47, 48, 130, 131, 500, 2011])

    (tmp_path / "new.mkv").write_bytes(b"".join(kinema.colorize_video(pieces_of(tmp_path / "old.mkv"), codec="ffv1")))

    times, _ = read_film(tmp_path / "new.mkv")
    assert [time * 1000 for time in times] == [7, 47, 48, 130, 131, 500, 2011]


async def test_asyncio_gets_the_same_bytes(server: RunningServer, kinema: Client, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=PTS)
    pieces = pieces_of(tmp_path / "old.mkv")

    async with AsyncClient(server.address) as there:
        film = there.colorize_video(pieces, codec="ffv1")
        data = b"".join([piece async for piece in film])

    (tmp_path / "new.mkv").write_bytes(data)
    (tmp_path / "same.mkv").write_bytes(b"".join(kinema.colorize_video(pieces, codec="ffv1")))
    np.testing.assert_equal(read_film(tmp_path / "new.mkv"), read_film(tmp_path / "same.mkv"))
    assert film.stream.summary == VideoSummary(num_frames=len(PTS), num_left_out=0)


async def test_asyncio_can_leave_early(server: RunningServer, engine: FakeEngine, tmp_path: Path) -> None:
    make_film(tmp_path / "old.mkv", pts=LONG, height=240, width=320)

    async with AsyncClient(server.address) as there:
        async with there.colorize_video(pieces_of(tmp_path / "old.mkv"), codec="ffv1") as film:
            assert await anext(film)
        async with there.colorize_video([b"nothing"]) as film:
            with pytest.raises(MediaError):
                await anext(film)

    assert len(engine.seen) < len(LONG)
