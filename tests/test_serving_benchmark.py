"""The benchmark of serving runs to its end, and finds no state left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tables(text: str) -> list[list[dict[str, str]]]:
    """Read the tables: of each its rows, by the columns' names."""
    found = []
    for block in text.split("\n**")[1:]:
        lines = [line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("|")]
        found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


@pytest.mark.slow
def test_parts_print_their_tables() -> None:
    parts = ["latency", "stalled", "idle", "cancels", "soak"]  # the others start many servers more
    command = [sys.executable, "-m", "benchmarks.serving", "--quick", *parts]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)

    assert done.returncode == 0, done.stderr
    found = dict(zip(parts, tables(done.stdout), strict=True))
    assert all(found.values())
    (cancelled,) = found["cancels"]
    assert [cancelled[name] for name in ("streams", "places_used", "queue_depth")] == ["0", "0", "0"]
    assert [row["what"] for row in found["soak"]] == ["private memory", "of it lent out by the C library"]
    assert "places used at the end: 0" in done.stdout


def test_a_part_that_does_not_exist_is_refused_with_those_that_do() -> None:
    command = [sys.executable, "-m", "benchmarks.serving", "speed"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2
    assert "speed" in done.stderr
    assert "sigterm" in done.stderr
