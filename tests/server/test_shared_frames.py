"""Shared memory as any client of the contract may offer and use it, also one that means no good."""

import asyncio
import fcntl
import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from kinema.v1 import colorizer_pb2 as pb
from kinema.v1 import colorizer_pb2_grpc as pb_grpc
from kinema_core.slot_file import MAGIC
from kinema_server.app import RunningServer, running_server
from kinema_server.errors import SharedMemoryError
from kinema_server.settings import Settings
from kinema_server.shared_frames import Offer, is_local, open_offer
from tests.fakes import FAKE_BUNDLE, FakeEngine
from tests.server import wire
from tests.server.waiting import until
from tests.server.wire import HEIGHT, WIDTH, converse

NONCE = bytes(range(16))
HEAD = MAGIC + NONCE
FRAME_BYTES = HEIGHT * WIDTH
SLOT_BYTES = 4096
NUM_SLOTS = 4
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
FORMS = {
    (pb.PIXEL_FORMAT_GRAY8, pb.OUTPUT_FORM_CHROMA): (1.0, 0.5),
    (pb.PIXEL_FORMAT_GRAY8, pb.OUTPUT_FORM_YUV420): (1.0, 1.5),
    (pb.PIXEL_FORMAT_GRAY8, pb.OUTPUT_FORM_RGB24): (1.0, 3.0),
    (pb.PIXEL_FORMAT_GRAY10LE, pb.OUTPUT_FORM_CHROMA): (2.0, 1.0),
    (pb.PIXEL_FORMAT_GRAY10LE, pb.OUTPUT_FORM_YUV420): (2.0, 3.0),
    (pb.PIXEL_FORMAT_GRAY10LE, pb.OUTPUT_FORM_RGB24): (2.0, 3.0),
    (pb.PIXEL_FORMAT_YUV420P, pb.OUTPUT_FORM_CHROMA): (1.5, 0.5),
    (pb.PIXEL_FORMAT_YUV420P, pb.OUTPUT_FORM_YUV420): (1.5, 1.5),
    (pb.PIXEL_FORMAT_YUV420P, pb.OUTPUT_FORM_RGB24): (1.5, 3.0),
    (pb.PIXEL_FORMAT_YUV420P10LE, pb.OUTPUT_FORM_CHROMA): (3.0, 1.0),
    (pb.PIXEL_FORMAT_YUV420P10LE, pb.OUTPUT_FORM_YUV420): (3.0, 3.0),
    (pb.PIXEL_FORMAT_YUV420P10LE, pb.OUTPUT_FORM_RGB24): (3.0, 3.0),
    (pb.PIXEL_FORMAT_RGB24, pb.OUTPUT_FORM_RGB24): (3.0, 3.0),
}
"""Bytes of a frame and of its answer for each pixel of an even size."""


class Memory:
    """A client's memory, made as the contract says, but for what a test changes."""

    def __init__(
        self,
        *,
        num_bytes: int = 4096 + NUM_SLOTS * SLOT_BYTES,
        seals: int = SEALS,
        head: bytes = HEAD,
        slot_bytes: int = SLOT_BYTES,
    ) -> None:
        self.fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
        self.slot_bytes = slot_bytes
        os.ftruncate(self.fd, num_bytes)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
        os.pwrite(self.fd, head, 0)

    def put(self, slot: int, *planes: bytes) -> None:
        os.pwrite(self.fd, b"".join(planes), 4096 + slot * self.slot_bytes)

    def take(self, slot: int, num_bytes: int) -> bytes:
        return os.pread(self.fd, num_bytes, 4096 + slot * self.slot_bytes)


@pytest.fixture
def memories() -> Iterator[Callable[..., Memory]]:
    """Make memories that are closed with the test; nothing of this process may be open then that was not before."""
    before = num_memfds()
    made: list[Memory] = []

    def make(**changes: int) -> Memory:
        made.append(Memory(**changes))  # type: ignore[arg-type]  # by name
        return made[-1]

    yield make
    assert num_memfds() == before + len(made), "the server holds memory behind the end of a stream"
    for memory in made:
        os.close(memory.fd)


def num_memfds() -> int:
    names = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(entry.readlink()))
        except FileNotFoundError:
            continue  # the folder's own, closed since
    return sum(name.startswith("/memfd:") for name in names)


def offer(fd: int, **changes: object) -> pb.SharedMemory:
    known: dict[str, object] = {
        "pid": os.getpid(),
        "fd": fd,
        "num_slots": NUM_SLOTS,
        "slot_bytes": SLOT_BYTES,
        "nonce_sha256": hashlib.sha256(NONCE).digest(),
    }
    return pb.SharedMemory(**(known | changes))  # type: ignore[arg-type]  # by name


def frame_in(slot: int, seq: int = 0, **changes: object) -> pb.ColorizeFramesRequest:
    return pb.ColorizeFramesRequest(frame=pb.Frame(seq=seq, slot=slot, **changes))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(("forms", "sizes"), FORMS.items(), ids=str)
async def test_every_form_has_the_bits_of_the_connection(
    stub: pb_grpc.ColorizerStub,
    memories: Callable[..., Memory],
    forms: tuple[pb.PixelFormat, pb.OutputForm],
    sizes: tuple[float, float],
) -> None:
    pixel_format, output_form = forms
    frame_bytes, answer_bytes = (int(size * FRAME_BYTES) for size in sizes)
    is_deep = pixel_format in {pb.PIXEL_FORMAT_GRAY10LE, pb.PIXEL_FORMAT_YUV420P10LE}
    most = 1023 if is_deep else 255
    codes = np.random.default_rng(0).integers(0, most + 1, frame_bytes // (2 if is_deep else 1))
    sent = codes.astype("<u2" if is_deep else "u1").tobytes()
    luma_bytes = frame_bytes if pixel_format == pb.PIXEL_FORMAT_RGB24 else FRAME_BYTES * (2 if is_deep else 1)
    rest = frame_bytes - luma_bytes
    planes = [sent[:luma_bytes], *([sent[luma_bytes:][: rest // 2], sent[luma_bytes:][rest // 2 :]] if rest else [])]
    memory = memories()
    memory.put(2, sent)

    shared = await converse(
        stub,
        [
            wire.config(pixel_format=pixel_format, output_form=output_form, shared_memory=offer(memory.fd)),
            frame_in(2, pts=7),
        ],
    )
    plain = await converse(
        stub, [wire.config(pixel_format=pixel_format, output_form=output_form), wire.frame(0, *planes, pts=7)]
    )

    assert shared.accepted.shared_memory_nonce == NONCE
    (answer,), (expected,) = shared.frames, plain.frames
    assert (answer.slot, answer.pts, list(answer.planes)) == (2, 7, [])
    assert not expected.HasField("slot")
    assert sum(map(len, expected.planes)) == answer_bytes
    assert memory.take(2, answer_bytes) == b"".join(expected.planes)


async def test_slots_may_be_as_small_as_a_frame(stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]) -> None:
    memory = memories(slot_bytes=FRAME_BYTES)
    memory.put(1, bytes([50]) * FRAME_BYTES)
    memory.put(2, bytes([60]) * FRAME_BYTES)

    conversation = await converse(
        stub,
        [wire.config(shared_memory=offer(memory.fd, slot_bytes=FRAME_BYTES)), frame_in(1, 0), frame_in(2, 1)],
    )
    expected = await converse(
        stub, [wire.config(), wire.frame(0, bytes([50]) * FRAME_BYTES), wire.frame(1, bytes([60]) * FRAME_BYTES)]
    )

    assert [answer.slot for answer in conversation.frames] == [1, 2]
    assert [memory.take(slot, FRAME_BYTES // 2) for slot in (1, 2)] == [b"".join(planes) for planes in expected.planes]


async def test_frames_may_come_both_ways(stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]) -> None:
    memory = memories()
    memory.put(0, bytes([50]) * FRAME_BYTES)

    both = await converse(
        stub, [wire.config(shared_memory=offer(memory.fd)), frame_in(0, 1), wire.frame(2), frame_in(3, 4)]
    )

    assert [answer.HasField("slot") for answer in both.frames] == [True, False, True]
    assert both.summary is not None


def not_a_memfd(path: Path) -> int:
    path.write_bytes(HEAD.ljust(4096 + NUM_SLOTS * SLOT_BYTES))
    return os.open(path, os.O_RDWR)


@pytest.mark.parametrize(
    "what", ["a file", "a file in memory", "a folder", "a pipe", "a device", "nothing", "a process that is not there"]
)
async def test_what_is_no_memfd_is_left_alone(
    stub: pb_grpc.ColorizerStub, tmp_path: Path, what: str, memories: Callable[..., Memory]
) -> None:
    memory = memories()
    pid, opened = os.getpid(), []
    match what:
        case "a file":
            opened = [not_a_memfd(tmp_path / "file")]
        case "a file in memory":
            named = Path("/dev/shm") / f"kinema-test-{os.getpid()}"  # noqa: S108 - a name of the same file system
            opened = [not_a_memfd(named)]
            named.unlink()
        case "a folder":
            opened = [os.open(tmp_path, os.O_RDONLY)]
        case "a pipe":
            opened = list(os.pipe())
        case "a device":
            opened = [os.open("/dev/zero", os.O_RDWR)]
    fd = opened[0] if opened else 1_000_000
    if what == "a process that is not there":
        pid, fd = 2**32 - 1, memory.fd

    conversation = await converse(stub, [wire.config(shared_memory=offer(fd, pid=pid)), wire.frame(0)])
    for number in opened:
        os.close(number)

    assert conversation.accepted.shared_memory_nonce == b""
    assert len(conversation.frames) == 1
    assert conversation.summary is not None


def test_what_is_no_memfd_is_not_even_opened(tmp_path: Path) -> None:
    fd = not_a_memfd(tmp_path / "file")
    nonce_sha256 = hashlib.sha256(NONCE).digest()

    with pytest.raises(
        SharedMemoryError, match="must be a memfd"
    ):  # its seals, which take opening it, would do as well
        open_offer(Offer(os.getpid(), fd, NUM_SLOTS, SLOT_BYTES, nonce_sha256))

    os.close(fd)


def test_a_lease_on_the_memory_is_not_waited_for(memories: Callable[..., Memory]) -> None:
    memory = memories()
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel's word to who has a lease that is asked for
    read_only = os.open(f"/proc/self/fd/{memory.fd}", os.O_RDONLY)
    os.dup2(read_only, memory.fd, inheritable=False)  # nobody may have it open for writing
    os.close(read_only)
    fcntl.fcntl(memory.fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    nonce_sha256 = hashlib.sha256(NONCE).digest()

    with pytest.raises(SharedMemoryError, match="Resource temporarily unavailable"):  # in 45 s it could be opened
        open_offer(Offer(os.getpid(), memory.fd, NUM_SLOTS, SLOT_BYTES, nonce_sha256))

    fcntl.fcntl(memory.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    signal.signal(signal.SIGIO, before)


@pytest.mark.parametrize(
    "changes",
    [
        {"seals": 0},
        {"seals": fcntl.F_SEAL_SHRINK},
        {"seals": fcntl.F_SEAL_GROW},
        {"num_bytes": 4096 + NUM_SLOTS * SLOT_BYTES - 1},
        {"head": bytes(16) + NONCE},
        {"head": MAGIC + bytes(16)},
        {"head": b""},
    ],
    ids=["no seals", "may grow", "may shrink", "too small", "another file", "another nonce", "zeros"],
)
async def test_memory_that_is_not_as_it_should_be_is_left_alone(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory], changes: dict[str, object]
) -> None:
    memory = memories(**changes)
    before = os.pread(memory.fd, 1 << 20, 0)

    conversation = await converse(stub, [wire.config(shared_memory=offer(memory.fd)), wire.frame(0)])

    assert conversation.accepted.shared_memory_nonce == b""
    assert len(conversation.frames) == 1
    assert os.pread(memory.fd, 1 << 20, 0) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_memory_of_another_user_is_left_alone(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]
) -> None:
    memory = memories()
    os.fchown(memory.fd, 65534, 65534)

    conversation = await converse(stub, [wire.config(shared_memory=offer(memory.fd)), wire.frame(0)])

    assert conversation.accepted.shared_memory_nonce == b""
    assert len(conversation.frames) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"num_slots": 0},
        {"num_slots": 257},
        {"num_slots": 2**32 - 1},
        {"slot_bytes": 0},
        {"slot_bytes": 2**32 - 1},
        {"slot_bytes": FRAME_BYTES - 1},
        {"slot_bytes": FRAME_BYTES + 4096},
        {"nonce_sha256": b""},
        {"nonce_sha256": NONCE},
    ],
    ids=str,
)
async def test_an_offer_of_strange_numbers_is_not_taken(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory], changes: dict[str, object]
) -> None:
    memory = memories()

    conversation = await converse(stub, [wire.config(shared_memory=offer(memory.fd, **changes)), wire.frame(0)])

    assert conversation.accepted.shared_memory_nonce == b""
    assert len(conversation.frames) == 1


@pytest.mark.parametrize("slot", [NUM_SLOTS, 2**32 - 1])
async def test_a_slot_that_is_not_there_ends_the_stream(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory], slot: int
) -> None:
    memory = memories()

    conversation = await converse(stub, [wire.config(shared_memory=offer(memory.fd)), wire.frame(0), frame_in(slot, 1)])

    assert conversation.field_at_fault == "frame.slot"
    assert len(conversation.frames) == 1


async def test_a_slot_that_is_the_servers_ends_the_stream(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory], engine: FakeEngine
) -> None:
    memory = memories()
    engine.gate.clear()
    threading.Timer(0.3, engine.gate.set).start()  # until then the first frame has no answer

    conversation = await converse(
        stub, [wire.config(shared_memory=offer(memory.fd)), frame_in(1, 0), frame_in(2, 1), frame_in(1, 2)]
    )

    assert conversation.field_at_fault == "frame.slot"
    assert conversation.seqs == [0, 1]


async def test_a_slot_without_memory_ends_the_stream(stub: pb_grpc.ColorizerStub) -> None:
    conversation = await converse(stub, [wire.config(), frame_in(0)])

    assert conversation.field_at_fault == "frame.slot"


async def test_a_slot_beside_planes_ends_the_stream(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]
) -> None:
    memory = memories()

    conversation = await converse(
        stub, [wire.config(shared_memory=offer(memory.fd)), frame_in(0, planes=[bytes(FRAME_BYTES)])]
    )

    assert conversation.field_at_fault == "frame.slot"


async def test_samples_beyond_ten_bits_end_the_stream(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]
) -> None:
    memory = memories()
    memory.put(0, b"\xff" * FRAME_BYTES * 2)

    conversation = await converse(
        stub, [wire.config(pixel_format=pb.PIXEL_FORMAT_GRAY10LE, shared_memory=offer(memory.fd)), frame_in(0)]
    )

    assert conversation.field_at_fault == "frame.planes[0]"


async def test_a_late_frame_gives_its_slot_back(stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]) -> None:
    memory = memories()
    late = threading.Event()

    def sent() -> Iterator[pb.ColorizeFramesRequest]:
        yield wire.config(shared_memory=offer(memory.fd), max_delay_micros=1)
        yield frame_in(0, 0)
        yield frame_in(1, 1)
        late.wait(10)
        yield frame_in(1, 2)

    def release(responses: list[pb.ColorizeFramesResponse]) -> None:
        if len(responses) == 3:
            late.set()

    responses = await talk(stub, sent(), release)

    kinds = [response.WhichOneof("message") for response in responses]
    assert kinds[1:3] == ["late", "late"]
    assert (len(kinds), kinds[-1]) == (5, "summary")


async def test_a_client_that_rewrites_its_frames_gets_answers_by_the_rules(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]
) -> None:
    memory = memories()
    is_over = threading.Event()

    def scribble() -> None:
        rng = np.random.default_rng(0)
        while not is_over.is_set():
            for slot in range(NUM_SLOTS):
                memory.put(slot, rng.integers(0, 1024, FRAME_BYTES).astype("<u2").tobytes())

    scribbler = threading.Thread(target=scribble)
    scribbler.start()
    try:
        conversation = await converse(
            stub,
            [
                wire.config(pixel_format=pb.PIXEL_FORMAT_GRAY10LE, shared_memory=offer(memory.fd)),
                *(frame_in(seq, seq) for seq in range(NUM_SLOTS)),
            ],
        )
    finally:
        is_over.set()
        scribbler.join()

    assert conversation.seqs == list(range(NUM_SLOTS))
    assert [answer.slot for answer in conversation.frames] == list(range(NUM_SLOTS))
    assert conversation.summary is not None


async def test_a_client_that_seals_its_memory_gets_answers_in_messages(
    stub: pb_grpc.ColorizerStub, memories: Callable[..., Memory]
) -> None:
    memory = memories()

    def sent() -> Iterator[pb.ColorizeFramesRequest]:
        yield wire.config(shared_memory=offer(memory.fd))
        accepted.wait(10)
        fcntl.fcntl(memory.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
        yield frame_in(0)

    accepted = threading.Event()
    responses = await talk(stub, sent(), lambda _: accepted.set())

    answer = responses[1].frame
    assert not answer.HasField("slot")
    assert [len(plane) for plane in answer.planes] == [FRAME_BYTES // 4] * 2


async def test_a_client_that_closes_its_memory_is_served_on(stub: pb_grpc.ColorizerStub) -> None:
    memory, accepted = Memory(), threading.Event()

    def sent() -> Iterator[pb.ColorizeFramesRequest]:
        yield wire.config(shared_memory=offer(memory.fd))
        accepted.wait(10)
        os.close(memory.fd)
        yield frame_in(0)

    responses = await talk(stub, sent(), lambda _: accepted.set())

    assert [response.WhichOneof("message") for response in responses] == ["accepted", "frame", "summary"]


async def test_a_server_may_be_told_not_to(engine: FakeEngine, memories: Callable[..., Memory]) -> None:
    memory = memories()

    async with running_server(Settings(port=0, shared_memory=False), bundle=FAKE_BUNDLE, engine=engine) as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.ColorizerStub(channel)
            conversation = await converse(stub, [wire.config(shared_memory=offer(memory.fd)), wire.frame(0)])

    assert conversation.accepted.shared_memory_nonce == b""
    assert len(conversation.frames) == 1


async def test_streams_that_share_memory_are_counted_and_so_are_offers_by_what_became_of_them(
    server: RunningServer, stub: pb_grpc.ColorizerStub, engine: FakeEngine, memories: Callable[..., Memory]
) -> None:
    def counted() -> tuple[float | None, ...]:
        sample = server.metrics.registry.get_sample_value
        offers = [sample("kinema_shared_memory_offers_total", {"outcome": it}) for it in ("used", "declined")]
        return sample("kinema_streams_sharing_memory"), *offers

    memory = memories()
    engine.gate.clear()
    sharing = asyncio.create_task(converse(stub, [wire.config(shared_memory=offer(memory.fd)), frame_in(0)]))
    await until(lambda: counted() == (1, 1, 0))
    plain = asyncio.create_task(converse(stub, [wire.config(), wire.frame(0)]))
    other = asyncio.create_task(
        converse(stub, [wire.config(shared_memory=offer(memory.fd, num_slots=0)), wire.frame(0)])
    )
    await until(lambda: counted() == (1, 1, 1))
    engine.gate.set()
    await asyncio.gather(sharing, plain, other)

    assert counted() == (0, 1, 1)


@pytest.mark.parametrize("limit", [None, 3 << 20])
async def test_memory_counts_as_the_servers(
    engine: FakeEngine, memories: Callable[..., Memory], limit: int | None
) -> None:
    num_slots = 256
    num_bytes = 4096 + num_slots * SLOT_BYTES
    memory = memories(num_bytes=num_bytes)

    settings = Settings(port=0, max_memory_bytes=limit)
    async with running_server(settings, bundle=FAKE_BUNDLE, engine=engine) as server:

        async def noted_with(config: pb.ColorizeFramesRequest) -> tuple[bytes, float]:
            is_noted, found = threading.Event(), []

            def sent() -> Iterator[pb.ColorizeFramesRequest]:
                yield config
                is_noted.wait(10)

            def note(_: object) -> None:
                found.append(server.metrics.registry.get_sample_value("kinema_stream_memory_bytes") or 0)
                is_noted.set()

            responses = await talk(stub, sent(), note)
            return responses[0].accepted.shared_memory_nonce, found[0]

        with grpc.insecure_channel(server.address) as channel:
            stub = pb_grpc.ColorizerStub(channel)
            _, without = await noted_with(wire.config())
            nonce, found = await noted_with(wire.config(shared_memory=offer(memory.fd, num_slots=num_slots)))

    is_taken = limit is None
    assert nonce == (NONCE if is_taken else b"")
    assert found - without == (num_bytes if is_taken else 0)


async def talk(
    stub: pb_grpc.ColorizerStub,
    requests: Iterator[pb.ColorizeFramesRequest],
    on_response: Callable[[list[pb.ColorizeFramesResponse]], object],
) -> list[pb.ColorizeFramesResponse]:
    """Send what can wait for answers; `on_response` is told of all of them at each one that comes."""

    def converse() -> list[pb.ColorizeFramesResponse]:
        responses: list[pb.ColorizeFramesResponse] = []
        for response in stub.ColorizeFrames(requests):
            responses.append(response)
            on_response(responses)
        return responses

    return await asyncio.to_thread(converse)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:40000", True),
        ("ipv4:127.9.8.7:1", True),
        ("ipv6:%5B::1%5D:40000", True),
        ("ipv6:[::1]:40000", True),
        ("ipv6:%5B::ffff:127.0.0.1%5D:40000", True),
        ("unix:", True),
        ("unix:/run/kinema.sock", True),
        ("ipv4:10.0.0.1:40000", False),
        ("ipv4:128.0.0.1:127", False),
        ("ipv6:%5Bfe80::1%5D:40000", False),
        ("ipv6:%5B::ffff:10.0.0.1%5D:40000", False),
        ("", False),
        ("ipv4:localhost:1", False),
        ("unknown", False),
    ],
)
def test_who_is_on_this_machine(peer: str, expected: bool) -> None:
    assert is_local(peer) == expected
