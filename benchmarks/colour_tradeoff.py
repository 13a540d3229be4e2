"""Draw CIEDE2000 and PSNR over colourfulness, for several models and several gains on their ab.

    kinema evaluate --photos VAL --model A --model B --gains 0.4,0.6,0.8,1,1.2,1.4 --json scores.json
    .venv/bin/python benchmarks/colour_tradeoff.py OUT.png scores.json...

More colour than a model is sure of costs fidelity: a model is better where its line lies better over the same
colourfulness. Colourfulness is the part of the originals'. Grey and the mean ab are points.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

PANELS = (("delta_e", "mean CIEDE2000 (lower is better)"), ("psnr", "PSNR, dB (higher is better)"))


def main() -> None:
    """Write the figure."""
    out, *files = map(Path, sys.argv[1:])
    mpl.use("Agg")
    figure, axes = plt.subplots(1, len(PANELS), figsize=(10, 4.2), layout="constrained")
    for number, file in enumerate(files):
        record = json.loads(file.read_text(encoding="utf-8"))
        for axis, (score, label) in zip(axes, PANELS, strict=True):
            draw(axis, record, score, file.stem if len(files) > 1 else "", is_first=number == 0)
            axis.set_xlabel("colourfulness, part of the originals'")
            axis.set_ylabel(label)
            axis.axvline(0.6, color="#cccccc", zorder=0, linewidth=0.8)
    axes[0].legend(fontsize=8)
    figure.savefig(out, dpi=110)


def draw(axis: Any, record: dict[str, Any], score: str, prefix: str, *, is_first: bool) -> None:
    """Draw one evaluation: a line for each method with gains, a point for each baseline."""
    truth = record["methods"]["model"]["truth_colourfulness"]
    for method, sweep in record["gains"].items():
        scored = [(point["scores"], point["gain"]) for point in sweep]
        points = sorted((scores["colourfulness"] / truth, scores[score], gain) for scores, gain in scored)
        axis.plot(
            [x for x, _, _ in points],
            [y for _, y, _ in points],
            marker="o",
            markersize=3,
            label=f"{prefix} {method}".strip(),
        )
        for x, y, gain in points:
            axis.annotate(f"{gain:g}", (x, y), fontsize=6, xytext=(2, 3), textcoords="offset points")
    for method in ("grey", "mean_ab") if is_first else ():
        scores = record["methods"][method]
        axis.plot(scores["colourfulness"] / truth, scores[score], marker="x", color="black", linestyle="none")
        axis.annotate(method, (scores["colourfulness"] / truth, scores[score]), fontsize=7)


if __name__ == "__main__":
    main()
