"""Batches are cut into few sizes, and no picture is lost."""

from hypothesis import given
from hypothesis import strategies as st

from kinema_core.engines.batch_parts import parts_of


@given(num_pictures=st.integers(1, 100), limit=st.none() | st.integers(1, 40))
def test_every_picture_is_in_one_part_and_every_part_is_a_power_of_two_within_the_limit(
    num_pictures: int, limit: int | None
) -> None:
    parts = list(parts_of(num_pictures, limit))

    pictures = range(num_pictures)
    assert [number for part in parts for number in pictures[part]] == list(pictures)
    sizes = [part.stop - part.start for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size & (size - 1) == 0 for size in sizes)
    assert max(sizes) <= (limit or num_pictures)


def test_a_batch_of_eleven_is_eight_two_and_one() -> None:
    assert list(parts_of(11)) == [slice(0, 8), slice(8, 10), slice(10, 11)]
    assert list(parts_of(11, 7)) == [slice(0, 4), slice(4, 8), slice(8, 10), slice(10, 11)]
