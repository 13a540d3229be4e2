"""Frames through memory that client and server share: the bits are those of the connection, and nothing is left."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kinema_client import Client, ClientError, shared_frames
from kinema_client.shared_frames import SharedMemoryChoice
from kinema_core.errors import InvalidInputError
from kinema_core.frames import ColorFrame, ColorTags, LumaFrame, RgbFrame, chroma_shape
from kinema_core.pipeline import Options
from kinema_core.slot_file import SlotFile
from kinema_server.app import RunningServer
from kinema_server.settings import Settings
from tests.client.conftest import server_on_a_thread, stoppable_server
from tests.client.test_handover import (
    check_same,
    colorized_at_once,
    moving_film,
    servers,
    stop_the_busy_one,
    target_of,
)
from tests.fakes import FakeEngine, random_film, random_luma


def open_files() -> list[str]:
    """Name all memory of frames that this process, which is client and server, has open."""
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(entry.readlink()))
        except FileNotFoundError:
            continue  # the folder's own, closed since
    return [name for name in names if name.startswith("/memfd:kinema")]


def wait_until_nothing_is_open() -> None:
    until = time.monotonic() + 10
    while open_files() and time.monotonic() < until:  # a server hears a little later that a client has left
        time.sleep(0.02)
    assert not open_files()


@pytest.fixture(autouse=True)
def nothing_is_left(server: RunningServer) -> Iterator[None]:  # noqa: ARG001 - it still runs
    yield
    wait_until_nothing_is_open()


def with_chroma(film: Iterable[LumaFrame]) -> Iterator[LumaFrame]:
    for frame in film:
        shape = chroma_shape(*frame.luma.shape)
        cb, cr = (random_luma(*shape, frame.tags, seed) for seed in (frame.pts + 5, frame.pts + 6))
        yield LumaFrame(frame.luma, frame.pts, frame.time_base, frame.tags, frame.is_cut, (cb, cr))


def planes_of(frame: ColorFrame | RgbFrame) -> list[bytes]:
    if isinstance(frame, RgbFrame):
        return [frame.rgb.tobytes()]
    return [plane.tobytes() for plane in (frame.luma, frame.cb, frame.cr)]


def answers(
    target: str, choice: SharedMemoryChoice, film: list[LumaFrame], *, is_rgb: bool = False, keep_colour: bool = False
) -> tuple[bool, list[tuple[int, list[bytes]]]]:
    with Client(target, shared_memory=choice) as kinema:
        method = kinema.colorize_frames_to_rgb if is_rgb else kinema.colorize_frames
        stream = method(film, keep_colour=keep_colour)
        colored = [(frame.pts, planes_of(frame)) for frame in stream]
        assert stream.accepted is not None
        return stream.accepted.is_memory_shared, colored


@pytest.mark.parametrize("keep_colour", [False, True], ids=["grey", "with chroma"])
@pytest.mark.parametrize("is_rgb", [False, True], ids=["chroma", "rgb"])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", [(18, 32), (17, 31), (1, 1)], ids=str)
def test_the_bits_are_those_of_the_connection(
    server: RunningServer, size: tuple[int, int], bit_depth: int, is_rgb: bool, keep_colour: bool
) -> None:
    film = list(random_film(12, *size, ColorTags(bit_depth=bit_depth)))
    if keep_colour:
        film = list(with_chroma(film))

    is_shared, through_memory = answers(server.address, "on", film, is_rgb=is_rgb, keep_colour=keep_colour)
    is_shared_without, sent = answers(server.address, "off", film, is_rgb=is_rgb, keep_colour=keep_colour)

    assert (is_shared, is_shared_without) == (True, False)
    assert len(sent) == 12
    assert through_memory == sent


def test_it_is_found_out_by_the_address(server: RunningServer) -> None:
    film = list(random_film(2))

    assert answers(server.address, "auto", film)[0]
    assert not answers(f"ipv4:{server.address}", "auto", film)[0]


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="must be auto, on or off, got 'maybe'"):
        Client("localhost:1", shared_memory="maybe")  # type: ignore[arg-type]


def test_a_server_that_may_not_gets_the_frames_through_the_connection() -> None:
    film = list(random_film(5))

    with server_on_a_thread(FakeEngine(), Settings(port=0, shared_memory=False)) as refusing:
        is_shared, found = answers(refusing.address, "on", film)

    assert not is_shared
    assert len(found) == 5


def test_a_server_without_the_memory_for_it_gets_the_frames_through_the_connection() -> None:
    film = list(random_film(5, 360, 640))

    with server_on_a_thread(FakeEngine(), Settings(port=0, max_stream_memory_bytes=10 << 20)) as small:
        is_shared, found = answers(small.address, "on", film, is_rgb=True)

    assert not is_shared
    assert len(found) == 5


def test_a_system_without_such_memory_uses_the_connection(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refuse)

    is_shared, found = answers(server.address, "on", list(random_film(5)))

    assert not is_shared
    assert len(found) == 5


def test_more_credits_than_slots_are_served_through_both() -> None:
    film = list(random_film(60))

    with server_on_a_thread(engine := FakeEngine(), Settings(port=0, credits=20)) as server:
        engine.gate.clear()
        threading.Timer(0.5, engine.gate.set).start()  # so long all credits are in use
        is_shared, through_memory = answers(server.address, "on", film)
        sent = answers(server.address, "off", film)[1]

    assert is_shared
    assert through_memory == sent


def test_frames_go_through_memory_only(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = {"read": 0, "write": 0}
    for name in copied:
        original = getattr(SlotFile, name)

        def counted(self: SlotFile, *args: object, name: str = name, original: object = original) -> object:
            copied[name] += 1
            return original(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(SlotFile, name, counted)

    answers(server.address, "on", list(random_film(10)))

    assert copied == {"read": 20, "write": 20}  # each frame and each answer, out and in


def test_a_memory_that_is_full_sends_the_frame_in_a_message(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = list(random_film(10))
    expected = answers(server.address, "off", film)[1]
    original, num_calls = os.pwritev, iter(range(1000))

    def write(fd: int, buffers: list[memoryview], offset: int) -> int:
        if next(num_calls) % 3 == 0:
            raise OSError(12, "Cannot allocate memory")
        return original(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", write)

    assert answers(server.address, "on", film) == (True, expected)


def test_a_stream_that_goes_on_at_another_server_shares_memory_with_that_too(secret: Path) -> None:
    film, colored, shared = moving_film(), [], []

    with servers(2, secret) as several, Client(target_of(several), shared_memory="on") as kinema:
        stream = kinema.colorize_frames(film)
        for frame in stream:
            colored.append(frame)
            assert stream.accepted is not None
            shared.append(stream.accepted.is_memory_shared)
            if len(colored) == 7:
                stop_the_busy_one(several)

    assert stream.num_resumed == 1
    assert all(shared)
    check_same(colored, colorized_at_once(film, Options()))


def test_a_frame_that_lacks_its_chroma_is_refused_as_over_the_connection(server: RunningServer) -> None:
    film = [*with_chroma(random_film(3)), *random_film(1)]

    for choice in ("on", "off"):
        with pytest.raises(InvalidInputError, match=r"must be 3 for yuv420p of 32x18, got 1"):
            answers(server.address, choice, film, keep_colour=True)


def test_leaving_early_and_errors_leave_nothing(server: RunningServer, engine: FakeEngine) -> None:
    with Client(server.address) as kinema:
        with kinema.colorize_frames(random_film(50)) as stream:
            assert stream.read() is not None
            assert open_files()
        assert len(open_files()) <= 1  # the server's, which hears of it a little later

        engine.error = RuntimeError("out of order")
        with pytest.raises(ClientError):
            list(kinema.colorize_frames(random_film(5)))


def test_a_client_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    program = tmp_path / "client.py"
    program.write_text(
        "import itertools, sys\n"
        "from kinema_client import Client\n"
        "from tests.fakes import random_film\n"
        "with Client(sys.argv[1]) as kinema:\n"
        "    stream = kinema.colorize_frames(itertools.cycle(list(random_film(5))))\n"
        "    for frame in stream:\n"
        "        print(stream.accepted.is_memory_shared, flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])}
    with stoppable_server(FakeEngine(), Settings(port=0, grace_seconds=0)) as server:
        command = [sys.executable, str(program), server.running.address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "True\n"
            assert len(open_files()) == 1

            client.send_signal(signal.SIGKILL)
            client.wait()

        wait_until_nothing_is_open()


def test_the_lowest_slots_are_used_again() -> None:
    memory = shared_frames.SharedFrames.create(100)
    assert memory is not None
    picture = np.zeros((4, 5), np.uint8)

    slots = [memory.put(seq, [picture]) for seq in range(shared_frames.NUM_SLOTS + 1)]
    memory.release(3)
    memory.release(1)
    again = memory.put(20, [picture])
    memory.close()

    assert slots == [*range(shared_frames.NUM_SLOTS), None]
    assert again == 1
    assert memory.put(21, [picture]) is None  # closed
