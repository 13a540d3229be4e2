"""What the default model costs, beside plain residual U-Nets of 4.4 to 4.7 M parameters, in each form.

    .venv/bin/python benchmarks/network_cost.py [--model BUNDLE] [--rounds 15] [--size 256]

A plain U-Net is the network of the recipe `cwgan_gp_resunet` with narrower maps (three shapes: four, five and six
levels), its weights drawn at random, quantized on random pictures: good enough to be timed. Times are of one inference
in OpenVINO on one thread, medians; the rounds go from network to network, so that a busy machine slows all alike.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.engine import Precision
from kinema_core.engines.openvino import open_openvino
from kinema_core.engines.serial import SerialEngine
from kinema_core.errors import EngineUnavailableError
from kinema_trainer.export.onnx_file import export_onnx
from kinema_trainer.export.quantize import ALL_INT8, quantize_onnx
from kinema_trainer.models.color_network import count_parameters
from kinema_trainer.models.residual_unet import ResidualUNetConfig

PLAIN = ((47, 94, 188, 376), (24, 48, 96, 192, 384), (12, 24, 48, 96, 192, 384))
PRECISIONS: tuple[Precision, ...] = ("f32", "bf16", "int8")


def main() -> None:
    """Print a row for each network and form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    torch.manual_seed(0)
    bundle = load_bundle(options.model)
    rows = [(bundle.manifest.name, bundle.manifest.num_parameters, bundle.manifest.scores["gflops"], bundle)]
    for channels in PLAIN:
        network = ResidualUNetConfig(channels=channels).build()
        title = f"plain, widths {channels[0]} to {channels[-1]}"
        gflops = network.describe(options.size).gflops
        rows.append((title, count_parameters(network), gflops, plain_bundle(bundle, export_onnx(network))))
    opened = [(row, precision, engine) for row in rows for precision, engine in engines(row[-1])]
    milliseconds = median_milliseconds([engine for _, _, engine in opened], options.size, options.rounds)
    reference = milliseconds[0]
    print("network                    parameters  GFLOPs  form  time, ms  of the first row's")
    for ((title, parameters, gflops, _), precision, _), duration in zip(opened, milliseconds, strict=True):
        cost = f"{parameters / 1e6:8.2f} M  {gflops:6.2f}"
        print(f"{title:26} {cost}  {precision:4}  {duration:8.1f}  {duration / reference:6.2f}")


def plain_bundle(like: Bundle, onnx_bytes: bytes) -> Bundle:
    """Return a bundle of another network that takes and gives ab at full size, with an INT8 form."""
    rng = np.random.default_rng(0)
    pictures = [rng.uniform(0, 100, (1, 1, 256, 256)).astype(np.float32) for _ in range(4)]
    int8 = quantize_onnx(onnx_bytes, pictures, ALL_INT8)
    onnx.checker.check_model(onnx.load_from_string(int8))
    manifest = replace(like.manifest, output_stride=1, size_multiple=64)
    return replace(like, manifest=manifest, onnx=onnx_bytes, int8_onnx=int8)


def engines(bundle: Bundle) -> Iterator[tuple[Precision, SerialEngine]]:
    """Open every form that the bundle has and this CPU runs."""
    for precision in PRECISIONS:
        try:
            yield precision, open_openvino(bundle, precision=precision, num_threads=1)
        except EngineUnavailableError as err:
            print(f"left out: {bundle.manifest.name} {precision}: {err}")


def median_milliseconds(opened: list[SerialEngine], size: int, rounds: int) -> list[float]:
    """Return each engine's median time for one picture."""
    lightness = np.random.default_rng(0).uniform(0, 100, (1, 1, size, size)).astype(np.float32)
    times: list[list[float]] = [[] for _ in opened]
    for _ in range(rounds + 1):
        for engine, durations in zip(opened, times, strict=True):
            began = time.perf_counter()
            engine.infer(lightness)
            durations.append(1000 * (time.perf_counter() - began))
    return [statistics.median(durations[1:]) for durations in times]


if __name__ == "__main__":
    main()
