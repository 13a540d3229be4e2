"""Programs that are no Python packages, and tests that are left out where there are none."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def find(name: str) -> str | None:
    """Look for a program: beside Python first, where `make setup` puts some."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def needed(name: str, what: str, how_to_get_it: str) -> str:
    """Return a program's path; leave the test out, in a line that says how to get it, where there is none."""
    path = find(name)
    if path is None:
        pytest.skip(f"LEFT OUT for want of {name}: {what} ({how_to_get_it})")
    return path
