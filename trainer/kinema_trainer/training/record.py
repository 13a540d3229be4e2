"""What a run writes down: losses and scores as CSV and for TensorBoard, pictures and ab histograms."""

import csv
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from kinema_trainer.training.scoring import HeldOut, QuickScore, picture_grid

COLUMNS = (
    "step", "epoch", "stage", "loss", "pixel", "perceptual", "shortfall", "colourfulness", "adversarial",
    "critic_loss", "wasserstein", "gradient_norm", "discriminator_accuracy", "learning_rate", "steps_per_second",
    "ab_psnr", "chroma_part",
)  # fmt: skip
"""Of log.csv; empty where a row has nothing to say."""


class Record:
    """Writes a run's record into its folder; a resumed run drops what came after its checkpoint, and goes on.

    Args:
        folder: of the run.
        from_step: the step that the run goes on from.
    """

    def __init__(self, folder: Path, *, from_step: int) -> None:
        self.folder = folder
        self.path = folder / "log.csv"
        self._forget_after(from_step)
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=from_step + 1 if from_step else None)

    def write(self, step: int, row: Mapping[str, float | str]) -> None:
        """Write a row of numbers; keys are of COLUMNS."""
        is_new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS, restval="")
            if is_new:
                writer.writeheader()
            writer.writerow({"step": step} | {k: v if isinstance(v, str) else f"{v:.6g}" for k, v in row.items()})
        for name, value in row.items():
            if not isinstance(value, str):
                self.board.add_scalar(name, value, step)

    def write_pictures(self, step: int, held_out: HeldOut, score: QuickScore) -> None:
        """Write a grid of grey, coloured and original, and the histograms of a and b."""
        grid = picture_grid(held_out, score.ab)
        (self.folder / "grids").mkdir(exist_ok=True)
        cv2.imwrite(str(self.folder / "grids" / f"step-{step:07d}.jpg"), np.ascontiguousarray(grid[..., ::-1]))
        self.board.add_image("grey, coloured, original", grid, step, dataformats="HWC")
        for index, name in enumerate("ab"):
            self.board.add_histogram(f"{name} predicted", torch.from_numpy(score.ab[:, index]), step)
            self.board.add_histogram(f"{name} true", torch.from_numpy(held_out.lab[..., 1 + index]), step)
        self.board.flush()

    def close(self) -> None:
        """Flush and close the TensorBoard file."""
        self.board.close()

    def _forget_after(self, step: int) -> None:
        if not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        partial = self.path.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(row for row in rows if int(row["step"]) <= step)
        partial.replace(self.path)


class RunningMeans:
    """Means of what steps measured, since they were last taken."""

    def __init__(self) -> None:
        self.values: dict[str, list[float | Tensor]] = {}

    def add(self, measured: Mapping[str, float | Tensor]) -> None:
        """Take in one step; tensors are kept as they are, so that a GPU need not be waited for."""
        for name, value in measured.items():
            self.values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """Return the means and start anew."""
        means = {name: float(np.mean([float(value) for value in values])) for name, values in self.values.items()}
        self.values = {}
        return means
