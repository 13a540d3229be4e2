"""What every test shares: when a GPU test runs, and one pace for hypothesis."""

import os
import shutil

import hypothesis
import pytest

# No deadline: on a busy machine the first example pays for imports and table building. Derandomized in CI, so that
# a run there says the same each time.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is no GPU, and fail them there when KINEMA_REQUIRE_GPU=1."""
    if item.get_closest_marker("gpu") is None or shutil.which("nvidia-smi"):
        return
    if os.environ.get("KINEMA_REQUIRE_GPU") == "1":
        pytest.fail("KINEMA_REQUIRE_GPU=1, but there is no NVIDIA driver on this machine")
    pytest.skip("no NVIDIA driver on this machine")
