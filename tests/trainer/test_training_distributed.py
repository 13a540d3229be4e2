"""Training on several devices."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.photos import encode_jpeg, make_photo, write_photos

SMALL = (
    "network.channels=[4,8]", "network.norm=instance", "network.dropout=0", "adversarial.critic.channels=4",
    "adversarial.critic.num_layers=1", "batch_size=4", "precision=32-true", "score_every=2", "score_size=32",
    'stages=[{"kind":"generator","num_steps":2,"crop_size":32},{"kind":"adversarial","num_steps":4,"crop_size":32}]',
    "adversarial.critic_steps=2", "adversarial.penalty_weight=0",
)  # fmt: skip
"""No dropout and no penalty: their random numbers differ from process to process, as they should."""


def losses_of(photos: Path, out: Path, num_devices: int) -> list[dict[str, float]]:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    command = [
        sys.executable, "-m", "kinema_client.cli", "train", "cwgan_gp_resunet",
        "--data", str(photos), "--out", str(out),
        "--accelerator", "cpu", "--devices", str(num_devices), "--num-workers", "0", *settings,
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    with (out / "log.csv").open() as stream:
        return [
            {name: float(row[name]) for name in ("pixel", "adversarial", "critic_loss", "ab_psnr") if row[name]}
            for row in csv.DictReader(stream)
        ]


def test_two_processes_compute_the_losses_of_one(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "val").mkdir(parents=True)
    write_photos(photos, 5)
    (photos / "val" / "100.jpg").write_bytes(encode_jpeg(make_photo(100)))

    one, two = (losses_of(photos, tmp_path / str(count), count) for count in (1, 2))

    assert [row.keys() for row in one] == [row.keys() for row in two]
    assert len(one) == 3
    for alone, shared in zip(one, two, strict=True):
        assert shared == pytest.approx(alone, rel=1e-3, abs=1e-3)  # sums in another order; Adam's first steps are signs
