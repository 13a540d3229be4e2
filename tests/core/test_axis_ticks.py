import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_core.axis_ticks import round_values


@given(st.floats(-1000, 1000), st.floats(0.001, 1000))
def test_ticks_are_round_and_within_the_axis(low: float, span: float) -> None:
    values = round_values(low, low + span, 6)

    assert 2 <= len(values) <= 7
    step = values[1][0] - values[0][0]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-6), 6) in {1, 2, 5}
    assert all(low - 1e-6 * span <= value <= low + (1 + 1e-6) * span for value, _ in values)
    assert all(float(text) == pytest.approx(value, abs=1e-6 * step) for value, text in values)
    assert len({text for _, text in values}) == len(values)
