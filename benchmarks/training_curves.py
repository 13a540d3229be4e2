"""Draw the losses and scores of training runs from their log.csv.

`python benchmarks/training_curves.py OUT.png RUN...`: a column a run, whose folder names it; rows are the generator's
losses, what the other player says, and the score on held-out photographs, over steps.
"""

import csv
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

ROWS = (
    ("generator", ("pixel", "perceptual", "adversarial")),
    ("the other player", ("critic_loss", "wasserstein", "gradient_norm", "discriminator_accuracy")),
    ("held out", ("ab_psnr", "chroma_part")),
)
RIGHT_HAND = ("adversarial", "discriminator_accuracy", "gradient_norm", "chroma_part")
"""Small numbers, on an axis of their own."""
STAGE_COLOURS = {"generator": "#ffffff", "critic": "#fff3d6", "adversarial": "#e8f1fb"}


def read_log(run: Path) -> list[dict[str, str]]:
    """Read a run's record."""
    with (run / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def draw(axes: Axes, rows: list[dict[str, str]], names: tuple[str, ...]) -> None:
    """Draw the columns `names`, stages as background."""
    start = 0
    for row, after in zip(rows, [*rows[1:], {"stage": ""}], strict=True):
        if row["stage"] != after["stage"]:
            axes.axvspan(start, int(row["step"]), color=STAGE_COLOURS[row["stage"]], zorder=0)
            start = int(row["step"])
    right = axes.twinx()
    for i, name in enumerate(names):
        points = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        if points:
            side = right if name in RIGHT_HAND else axes
            where = " (right)" if name in RIGHT_HAND else ""
            side.plot(*zip(*points, strict=True), color=f"C{i}", label=name.replace("_", " ") + where, linewidth=1.2)
    lines = [*axes.get_lines(), *right.get_lines()]
    if lines:
        axes.legend(lines, [str(line.get_label()) for line in lines], fontsize=7)
    if not right.get_lines():
        right.set_yticks([])


def main() -> None:
    """Write the figure."""
    out, *runs = map(Path, sys.argv[1:])
    mpl.use("Agg")
    logs = [read_log(run) for run in runs]
    panels = [panel for panel in ROWS if any(row[name] for log in logs for row in log for name in panel[1])]
    figure, grid = plt.subplots(
        len(panels), len(runs), figsize=(4.6 * len(runs), 2.5 * len(panels)), squeeze=False, layout="constrained",
        sharex="col",
    )  # fmt: skip
    for column, (run, rows) in enumerate(zip(runs, logs, strict=True)):
        for line, (title, names) in enumerate(panels):
            draw(grid[line, column], rows, names)
            grid[line, column].set_title(f"{run.name}: {title}", fontsize=9)
        grid[-1, column].set_xlabel("step")
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    main()
