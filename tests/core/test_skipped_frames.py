"""A frame that gets no colour leaves a gap, and its cut to the next one."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from kinema_core.frames import LumaFrame
from kinema_core.pipeline import Colorizer, Finished
from kinema_core.temporal.cuts import any_cut
from tests.fakes import FAKE_MANIFEST, FakeEngine, random_film

STILL = next(random_film(1))


def colorizer() -> Colorizer:
    height, width = STILL.luma.shape
    return Colorizer(FAKE_MANIFEST, height=height, width=width, tags=STILL.tags)


def colorize(colorizer: Colorizer, frame: LumaFrame) -> Finished:
    prepared = colorizer.prepare(frame)
    return colorizer.finish(prepared, FakeEngine().infer(prepared.lightness))


@pytest.mark.parametrize(("skipped", "told"), list(product([(), (None,), (False,), (None, True)], [None, True, False])))
def test_the_next_frame_is_as_if_it_brought_the_cut(skipped: tuple[bool | None, ...], told: bool | None) -> None:
    one, other = colorizer(), colorizer()
    colorize(one, STILL)
    colorize(other, STILL)
    expected = told
    for is_cut in skipped:
        one.skip(is_cut=is_cut)
        expected = any_cut(expected, is_cut)

    there = colorize(one, replace(STILL, is_cut=told))
    here = colorize(other, replace(STILL, is_cut=expected))

    assert there.is_cut is here.is_cut
    np.testing.assert_array_equal(there.ab, here.ab)
    assert one.export_state() == other.export_state()  # it counts for one frame only


@pytest.mark.parametrize("is_cut", [None, True, False])
def test_what_was_skipped_goes_along_with_the_state(is_cut: bool | None) -> None:
    here, there = colorizer(), colorizer()
    colorize(here, STILL)
    here.skip(is_cut=is_cut)

    there.import_state(here.export_state())

    assert there.export_state() == here.export_state()
    assert colorize(there, replace(STILL, is_cut=False)).is_cut is bool(is_cut)


def test_a_cut_that_nobody_knows_of_yet_stays_possible() -> None:
    table = {
        (True, True): True, (True, None): True, (True, False): True,
        (None, None): None, (None, False): None, (False, False): False,
    }  # fmt: skip

    for (one, other), expected in table.items():
        assert any_cut(one, other) is any_cut(other, one) is expected
