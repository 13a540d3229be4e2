"""How many pictures are worth giving to the engine at once: measured, not guessed.

A GPU computes eight small pictures in little more time than one. A CPU whose cores one picture keeps busy gains
nothing, and then a batch would only make every picture wait for the others.
"""

import logging
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema_core.bundle import Manifest
from kinema_core.engines.engine import Engine

logger = logging.getLogger(__name__)

SIZES = (1, 2, 4, 8, 16)
_MIN_GAIN = 0.10
"""Twice the batch must save this part of each picture's time; less is lost in waiting."""
_RUNS = 3


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How pictures are batched."""

    max_size: int = 1
    wait_seconds: float = 0.0
    """How long a picture may wait for others to join it."""


def measure(engine: Engine, manifest: Manifest) -> Mapping[int, float]:
    """Return the median seconds of one inference by batch size, for square pictures of the model's own size.

    No larger batch is tried once one saved too little, or gave pictures other bits than they have alone: how busy a
    server is must not be seen in anybody's colours.
    """
    side = max(1, round(manifest.working_size / manifest.size_multiple)) * manifest.size_multiple
    pictures = np.random.default_rng(0).uniform(0, 100, (SIZES[-1], 1, side, side)).astype(np.float32)
    alone: list[NDArray[np.float32]] = []
    curve: dict[int, float] = {}
    for size in SIZES:
        batch = pictures[:size]
        alone += [engine.infer(batch[at : at + 1])[0] for at in range(len(alone), size)]
        together = engine.infer(batch)
        if not all(np.array_equal(*pair) for pair in zip(together, alone, strict=True)):
            logger.warning("batches_change_bits", extra={"size": size})
            break
        seconds = []
        for _ in range(_RUNS):
            started = time.perf_counter()
            engine.infer(batch)
            seconds.append(time.perf_counter() - started)
        curve[size] = statistics.median(seconds)
        if size > 1 and curve[size] / 2 > (1 - _MIN_GAIN) * curve[size // 2]:
            break
    return curve


def plan(curve: Mapping[int, float]) -> BatchPlan:
    """Choose the largest batch that still saves time.

    The wait is what the first picture of a batch can lose and the batch still gain: half of what a full batch saves.
    """
    best = 1
    for size in sorted(curve):
        if curve[size] / size <= (1 - _MIN_GAIN) * curve[best] / best:
            best = size
    if best == 1:
        return BatchPlan()
    return BatchPlan(best, (best * curve[1] - curve[best]) / (2 * best))


def measured_plan(engine: Engine, manifest: Manifest) -> BatchPlan:
    """Measure the engine, choose, and say so in the log."""
    curve = measure(engine, manifest)
    chosen = plan(curve)
    told = " ".join(f"{size}:{1000 * seconds / size:.1f}" for size, seconds in curve.items())
    fields = {"max_size": chosen.max_size, "wait_ms": round(1000 * chosen.wait_seconds, 2), "ms_per_picture": told}
    if chosen.max_size == 1:
        fields["reason"] = "larger batches save no time on this engine, or change bits"
    logger.info("batching_chosen", extra=fields)
    return chosen
