"""`kinema train` from end to end, as a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from kinema_trainer.recipes.default import RECIPE as DEFAULT
from kinema_trainer.training.checkpoints import LAST, read_checkpoint
from tests.trainer.photos import write_photos


def command(photos: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "kinema_client.cli", "train", "default",
            "--set", "batch_size=2", "--set", "network.channels=[8,8,8,8,8]",
            "--data", str(photos), "--out", str(out), *options]  # fmt: skip


def test_a_run_that_is_interrupted_leaves_a_checkpoint_and_goes_on_from_it(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    write_photos(photos, 3)
    out = tmp_path / "run"

    with subprocess.Popen(
        command(photos, out, "--num-workers", "1"), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        deadline = time.monotonic() + 120
        while not (out / LAST).exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: the loader's worker gets it, too
        said, _ = running.communicate(timeout=120)

    assert running.returncode == 130
    assert "3 photographs to train on, 0 to score on" in said
    assert "interrupted at step" in said
    assert "--resume" in said
    step = read_checkpoint(out / LAST)["step"]
    resumed = subprocess.run(
        command(photos, out, "--resume", "--max-minutes", "0", "--num-workers", "0"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert f"out of time at step {step + 1} of {DEFAULT.max_steps}" in resumed.stdout
    assert read_checkpoint(out / LAST)["step"] == step + 1


def test_a_rate_is_found_without_a_run(tmp_path: Path) -> None:
    write_photos(tmp_path, 3)
    settings = ("--set", 'stages=[{"kind":"generator","num_steps":9,"crop_size":32}]', "--set", "precision=32-true")

    found = subprocess.run(
        command(tmp_path, tmp_path / "run", "--find-rate", *settings), capture_output=True, text=True, check=False
    )

    assert found.returncode == 0, found.stderr
    suggestion = re.search(r"falls fastest at (\S+);", found.stdout)
    assert suggestion is not None
    assert 1e-6 < float(suggestion[1]) < 1
    assert not (tmp_path / "run").exists()


def test_an_unknown_recipe_is_refused_by_name(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "kinema_client.cli", "train", "nonsense", "--data", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert refused.returncode == 1
    assert "recipe: must be one of default, cwgan_gp_resunet" in refused.stderr
