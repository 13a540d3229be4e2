import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_core.slot_file import SLOTS_OFFSET, SlotFile, file_bytes, slot_bytes_for


def new_file(num_slots: int = 4, slot_bytes: int = 100) -> SlotFile:
    slots = SlotFile(os.memfd_create("test"), num_slots=num_slots, slot_bytes=slot_bytes)
    os.ftruncate(slots.fd, file_bytes(num_slots, slot_bytes))
    return slots


@pytest.fixture
def slots() -> Iterator[SlotFile]:
    slots = new_file()
    yield slots
    slots.close()


def test_what_is_written_is_read_from_its_slot_alone(slots: SlotFile) -> None:
    for slot in range(4):
        slots.write(slot, [np.full((3, 4), slot, np.uint8), np.arange(6, dtype=np.uint16)])

    for slot in range(4):
        first, second = slots.read(slot, [12, 12])
        np.testing.assert_array_equal(first, np.full(12, slot))
        np.testing.assert_array_equal(second.view(np.uint16), np.arange(6))
        assert not first.flags.writeable


def test_rows_that_do_not_follow_each_other_are_packed(slots: SlotFile) -> None:
    picture = np.arange(40, dtype=np.uint8).reshape(4, 10)

    slots.write(1, [picture[:, ::2]])

    (found,) = slots.read(1, [20])
    np.testing.assert_array_equal(found, picture[:, ::2].reshape(-1))


def test_a_slot_is_held_by_one_frame_until_it_is_released(slots: SlotFile) -> None:
    assert slots.hold(seq=10, slot=0)
    assert not slots.hold(seq=11, slot=0)
    assert not slots.hold(seq=11, slot=4)
    assert [slots.hold_any(seq) for seq in (11, 12, 13, 14)] == [1, 2, 3, None]

    slots.release(12)
    slots.release(99)  # it never came in a slot

    assert slots.slot_of(12) is None
    assert slots.hold_any(15) == slots.slot_of(15) == 2


def test_a_file_that_is_shorter_than_its_slots_is_an_error(slots: SlotFile) -> None:
    os.ftruncate(slots.fd, SLOTS_OFFSET + 150)

    with pytest.raises(OSError, match="read 50 bytes of a slot, where 100 belong"):
        slots.read(1, [60, 40])


def test_once_closed_it_touches_no_file_that_got_its_number() -> None:
    slots = new_file()
    slots.close()
    other = os.memfd_create("other")
    assert other == slots.fd, "numbers are given out lowest first"

    with pytest.raises(OSError, match="closed"):
        slots.write(0, [np.ones(10, np.uint8)])
    with pytest.raises(OSError, match="closed"):
        slots.read(0, [10])
    slots.close()

    assert os.fstat(other).st_size == 0
    os.close(other)


def test_a_copy_that_is_under_way_keeps_the_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = new_file()
    original = os.pwritev

    def write_and_close(fd: int, buffers: list[memoryview], offset: int) -> int:
        slots.close()
        assert os.fstat(fd).st_size
        return original(fd, buffers, offset)

    monkeypatch.setattr(os, "pwritev", write_and_close)
    slots.write(0, [np.ones(10, np.uint8)])

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(slots.fd)


@given(st.integers(1, 3 * 8192**2))
def test_slots_are_whole_pages_and_no_more_than_needed(most_bytes: int) -> None:
    slot_bytes = slot_bytes_for(most_bytes)

    assert slot_bytes % 4096 == 0
    assert most_bytes <= slot_bytes < most_bytes + 4096
