"""Where the ticks of an axis lie."""

import math


def round_values(low: float, high: float, num_ticks: int) -> list[tuple[float, str]]:
    """Return about `num_ticks` multiples of 1, 2 or 5 times a power of ten from `low` to `high`, with their text."""
    rough = (high - low) / num_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, f"{i * step:.{digits}f}") for i in range(first, last + 1)]
