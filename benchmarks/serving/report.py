"""Tables as RESULTS.md has them."""

import statistics
from collections.abc import Sequence


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table in Markdown."""
    print(f"\n**{title}**\n")
    for cells in (header, ["---"] * len(header), *rows):
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """Write the median, and the least and the most behind it."""
    median, least, most = (format(number, form) for number in (statistics.median(values), min(values), max(values)))
    return f"{median} ({least} to {most})"


def percent(values: Sequence[float]) -> str:
    """Write shares."""
    return f"{spread([100 * value for value in values], '.1f')} %"
