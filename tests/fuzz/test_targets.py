"""A short run of each target on damaged copies of good input, the same ones every time; `make fuzz` is the long one."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.fuzz.seeds import kept_for, made_for
from tests.fuzz.targets import TARGETS

NUM_DAMAGED = {"film": 100}
"""Copies of each seed; 2,000 where not said."""


def damaged(seed: bytes, count: int) -> Iterator[bytes]:
    """Change, cut out, double and cut off bytes, a few at a time."""
    rng = np.random.default_rng(len(seed))
    for _ in range(count):
        data = bytearray(seed)
        for _ in range(int(rng.integers(1, 6))):
            if not data:
                break
            at, length = int(rng.integers(len(data))), int(rng.integers(1, 9))
            match rng.integers(5):
                case 0:
                    data[at] ^= 1 << int(rng.integers(8))
                case 1:
                    data[at : at + length] = rng.bytes(length)
                case 2:
                    del data[at : at + length]
                case 3:
                    data[at:at] = data[at : at + length]
                case 4:
                    del data[at:]
        yield bytes(data)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore")  # of damaged files, from the libraries that read them
def test_only_errors_that_are_meant_for_strangers_come_out(name: str) -> None:
    for seed in kept_for(name):
        TARGETS[name](seed)
    for seed in made_for(name):
        TARGETS[name](seed)
        for data in damaged(seed, NUM_DAMAGED.get(name, 2000)):
            TARGETS[name](data)
