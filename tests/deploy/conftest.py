"""Tools that are not on PyPI: where they are missing, their tests are left out in a line that says how to get them."""

import pytest

from tests.deploy import manifests
from tests.programs import needed


@pytest.fixture
def promtool() -> str:
    return needed("promtool", "syntax and unit tests of the alerts", "deploy/promtool.sh on Debian")


@pytest.fixture
def kustomize() -> list[str]:
    command = manifests.kustomize()
    if command is None:
        pytest.skip(
            "LEFT OUT for want of kubectl or kustomize: building the overlays (https://kubernetes.io/docs/tasks/tools)"
        )
    return command
