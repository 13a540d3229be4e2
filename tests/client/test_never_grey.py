"""Whatever goes wrong, no frame comes out grey: it is tried again, and then it is an error that names the frame."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from kinema_client.client import Client
from kinema_client.commands import segmented_film
from kinema_client.commands.backends import LocalBackend, ServerBackend
from kinema_client.commands.films import FilmChoices, colorize_film
from kinema_client.errors import ClientError
from kinema_core.engines.engine import F32
from kinema_core.engines.retry import RetryingEngine
from kinema_core.errors import EngineError, UncolorizedFrameError
from kinema_core.media.encoders import fill_picture
from kinema_core.pipeline import Options
from kinema_server.settings import Settings
from tests.client.conftest import server_on_a_thread
from tests.core.films import make_film, read_film
from tests.fakes import FAKE_BUNDLE, FakeEngine

EVEN = [40 * number for number in range(40)]
Failure = BaseException | Callable[[F32], F32]


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmented_film, "MAX_FRAMES", 12)
    monkeypatch.setattr(segmented_film, "MIN_FRAMES", 4)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    make_film(tmp_path / "old.mkv", shot_length=15, pts=EVEN)
    return tmp_path / "old.mkv"


class Flaky(FakeEngine):
    """Fails with one frame, so many times."""

    def __init__(self, number: int, failure: Failure, num_failures: int) -> None:
        super().__init__()
        self.number = number
        self.failure = failure
        self.num_failures = num_failures
        self.numbers: dict[bytes, int] = {}

    def infer(self, lightness: F32) -> F32:
        ab = super().infer(lightness)
        number = self.numbers.setdefault(lightness.tobytes(), len(self.numbers))
        if number != self.number or not self.num_failures:
            return ab
        self.num_failures -= 1
        if isinstance(self.failure, BaseException):
            raise self.failure
        return self.failure(ab)


FAILURES = {
    "engine error": EngineError("out of order"),
    "out of memory": MemoryError(),
    "OpenCV out of memory": None,
    "no colour": lambda ab: 0 * ab,
    "no numbers": lambda ab: ab * np.float32(np.nan),
    "absurd numbers": lambda ab: ab * np.float32(1e36),
    "another shape": lambda ab: ab[:, :, :2],
}


def failure_called(name: str) -> Any:
    if FAILURES[name] is not None:
        return FAILURES[name]
    error = cv2.error("OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 4 bytes")
    error.code = cv2.Error.StsNoMem
    return error


def colorize(source: Path, target: Path | str, engine: Any) -> None:
    colorize_film(LocalBackend(FAKE_BUNDLE, engine, Options()), str(source), str(target), FilmChoices("ffv1"))


def assert_same(found: Path, expected: Path) -> None:
    for one, other in zip(read_film(found)[1], read_film(expected)[1], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("number", [0, 17, 39])
def test_a_frame_that_fails_once_comes_out_in_the_same_colour(
    name: str, number: int, old: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    colorize(old, tmp_path / "whole.mkv", FakeEngine())

    colorize(old, tmp_path / "new.mkv", Flaky(number, failure_called(name), 1))

    assert_same(tmp_path / "new.mkv", tmp_path / "whole.mkv")
    assert caplog.text.count("film_is_gone_on_with") == 1


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("target", ["new.mkv", "new/%d.png"])
def test_a_frame_that_always_fails_is_an_error_that_names_it(name: str, target: str, old: Path, tmp_path: Path) -> None:
    backend = LocalBackend(FAKE_BUNDLE, Flaky(17, failure_called(name), 99), Options())
    codec = "ffv1" if target == "new.mkv" else None

    with pytest.raises(UncolorizedFrameError, match=r"frame 17 at 0\.68 s \(pts 680\) got no colour: ") as raised:
        colorize_film(backend, str(old), str(tmp_path / target), FilmChoices(codec))

    assert (raised.value.number, raised.value.pts) == (17, 680)
    assert not (tmp_path / target).exists()
    assert not (tmp_path / "new").exists()


def test_the_command_tries_a_frame_three_times_and_then_the_film_once_more(old: Path, tmp_path: Path) -> None:
    engine = Flaky(17, EngineError("out of order"), 99)

    with pytest.raises(UncolorizedFrameError, match=r"out of order \(after 3 tries\)"):
        colorize(old, tmp_path / "new.mkv", RetryingEngine(engine, lambda: engine))

    assert 99 - engine.num_failures == 6


@pytest.mark.parametrize("lost", [0, 11, 39])
def test_a_frame_that_does_not_come_back_is_missed(
    lost: int, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalBackend.colorize_film

    def losing(self: LocalBackend, *arguments: Any) -> Any:
        for step in real(self, *arguments):
            if step.frame.pts != 40 * lost:
                yield step

    monkeypatch.setattr(LocalBackend, "colorize_film", losing)

    with pytest.raises(UncolorizedFrameError) as raised:
        colorize(old, tmp_path / "new.mkv", FakeEngine())

    assert raised.value.number == lost


@pytest.mark.parametrize("is_again", [False, True])
def test_memory_that_is_short_while_encoding_is_waited_for_once(
    is_again: bool, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colorize(old, tmp_path / "whole.mkv", FakeEngine())
    calls: list[int] = []

    def short(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 20 or (is_again and arguments[0].pts == 19 * 40):
            raise MemoryError
        return fill_picture(*arguments)

    monkeypatch.setattr("kinema_core.media.picture_encoder.fill_picture", short)

    if is_again:
        with pytest.raises(
            UncolorizedFrameError, match=r"frame 19 at 0\.76 s .*: there is not enough memory to write it"
        ):
            colorize(old, tmp_path / "new.mkv", FakeEngine())
        return
    colorize(old, tmp_path / "new.mkv", FakeEngine())

    assert len(calls) > len(EVEN)
    assert_same(tmp_path / "new.mkv", tmp_path / "whole.mkv")


def through_server(client: Client, old: Path, target: Path, pauses: tuple[float, ...]) -> None:
    backend = ServerBackend(client, "here", client.list_models()[0], Options())
    backend.pauses = pauses
    colorize_film(backend, str(old), str(target), FilmChoices("ffv1"))


@pytest.mark.parametrize(("number", "behind"), [(10, 0), (20, 0), (38, 30)])  # the cut at 15 ends no segment
def test_a_server_that_fails_once_is_gone_on_with_from_the_last_cut_and_gives_the_same(
    number: int, behind: int, old: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    colorize(old, tmp_path / "whole.mkv", FakeEngine())
    engine = Flaky(number, EngineError("out of order"), 1)

    with server_on_a_thread(engine, Settings(port=0, grace_seconds=0)) as server, Client(server.address) as client:
        through_server(client, old, tmp_path / "new.mkv", (0.0,))

    assert f"film_is_gone_on_with behind={behind} " in caplog.text
    assert_same(tmp_path / "new.mkv", tmp_path / "whole.mkv")


def test_a_server_that_is_gone_is_an_error_and_another_goes_on(old: Path, tmp_path: Path) -> None:
    colorize(old, tmp_path / "whole.mkv", FakeEngine())
    engine = Flaky(34, EngineError("out of order"), 99)

    with server_on_a_thread(engine, Settings(port=0, grace_seconds=0)) as server, Client(server.address) as client:
        with pytest.raises(UncolorizedFrameError, match=r"frame 34 at 1\.36 s") as raised:
            through_server(client, old, tmp_path / "new.mkv", (0.0, 0.0))
        assert isinstance(raised.value.__cause__, ClientError)
        assert raised.value.__notes__[0].startswith("30 frames are kept")

    other = FakeEngine()
    with server_on_a_thread(other, Settings(port=0, grace_seconds=0)) as server, Client(server.address) as client:
        through_server(client, old, tmp_path / "new.mkv", ())
    assert len(other.seen) == 10
    assert_same(tmp_path / "new.mkv", tmp_path / "whole.mkv")
