"""Tools that are not on PyPI: where they are missing, their tests are left out in a line that says how to get them."""

import shutil

import pytest

from tests.deploy import manifests


@pytest.fixture
def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        pytest.skip(
            "LEFT OUT for want of promtool: syntax and unit tests of the alerts (Debian: apt-get install prometheus)"
        )
    return path


@pytest.fixture
def kustomize() -> list[str]:
    command = manifests.kustomize()
    if command is None:
        pytest.skip(
            "LEFT OUT for want of kubectl or kustomize: building the overlays (https://kubernetes.io/docs/tasks/tools)"
        )
    return command
