import pytest

from kinema_core.media.ebml import SEGMENT, promised_size, read_element

HEADER = b"\x1a\x45\xdf\xa3\x84abcd"


def test_an_element_has_a_name_and_a_size() -> None:
    assert read_element(b"\xae\x83xyz", 0) == (b"\xae", 2, 3)
    assert read_element(b"..\x42\x86\x40\x05", 2) == (b"\x42\x86", 6, 5)


def test_a_size_may_be_left_open() -> None:
    assert read_element(b"\xae\xff", 0) == (b"\xae", 2, None)
    assert read_element(SEGMENT + b"\x01" + b"\xff" * 7, 0) == (SEGMENT, 12, None)


@pytest.mark.parametrize("data", [b"", b"\x00\x81", b"\x1a\x45\xdf", b"\xae", b"\xae\x40"])
def test_what_is_cut_is_no_element(data: bytes) -> None:
    with pytest.raises(ValueError, match="no EBML element"):
        read_element(data, 0)


def test_a_file_promises_its_segment() -> None:
    assert promised_size(HEADER + SEGMENT + b"\x42\x00") == len(HEADER) + 6 + 0x200


@pytest.mark.parametrize(
    "start", [b"", b"\0\0\0\x20ftypisom", HEADER, HEADER + SEGMENT, HEADER + SEGMENT + b"\xff", HEADER + b"\xec\x81a"]
)
def test_what_is_no_matroska_or_leaves_its_size_open_promises_nothing(start: bytes) -> None:
    assert promised_size(start) is None
