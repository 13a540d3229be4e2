"""`kinema train` from end to end, as a process of its own."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

from kinema_trainer.train import LAST
from tests.trainer.photos import write_photos


def command(photos: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "kinema_client.cli", "train", "default",
            "--data", str(photos), "--out", str(out), *options]  # fmt: skip


def test_a_run_that_is_interrupted_leaves_a_checkpoint_and_goes_on_from_it(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    write_photos(photos, 3)
    out = tmp_path / "run"

    with subprocess.Popen(command(photos, out), stdout=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 120
        while not (out / LAST).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=120)

    assert running.returncode == 130
    assert "--resume" in said
    step = torch.load(out / LAST, weights_only=True)["step"]
    resumed = subprocess.run(
        command(photos, out, "--resume", "--max-steps", str(step + 1)), capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert torch.load(out / LAST, weights_only=True)["step"] == step + 1


def test_an_unknown_recipe_is_refused_by_name(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "kinema_client.cli", "train", "nonsense", "--data", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert refused.returncode == 1
    assert "recipe: must be 'default', got 'nonsense'" in refused.stderr
