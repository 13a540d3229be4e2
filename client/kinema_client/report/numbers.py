"""Numbers and times as people read them."""

import math
from typing import Final

NOT_KNOWN: Final = "–"


def timecode(seconds: float) -> str:
    """Write a time as h:mm:ss.mmm."""
    sign, milliseconds = "−" if seconds < 0 else "", round(abs(seconds) * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{rest:03}"


def duration(seconds: float) -> str:
    """Write how long something took, with the digits that matter."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    whole = round(seconds)
    hours = f"{whole // 3600} h " if whole >= 3600 else ""
    return f"{hours}{whole // 60 % 60} min {whole % 60:02} s"


def decimal(value: float, digits: int) -> str:
    """Write a number, or a dash where it is NaN."""
    return NOT_KNOWN if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def percent(share: float) -> str:
    """Write a share as per cent, or a dash where it is NaN."""
    return NOT_KNOWN if math.isnan(share) else f"{share:.0%}".replace("%", " %")


def count(number: int, noun: str) -> str:
    """Write a number with its noun, which takes an s where there are more."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(num_bytes: int) -> str:
    """Write the size of a file."""
    value, units = float(num_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{num_bytes:,} bytes" if units[0] == "bytes" else f"{value:.3g} {units[0]} ({num_bytes:,} bytes)"
