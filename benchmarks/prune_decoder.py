"""What the shipped network loses and gains when channels are pruned from its decoder, without any training after it.

    .venv/bin/python benchmarks/prune_decoder.py PHOTOS [--limit 100] [--parts 0 0.25 0.5] [--rounds 30]

PHOTOS are a folder of photographs or tars that the network never saw. Each residual block of the decoder keeps its
outer width and loses the given part of the channels between its two convolutions: those whose weights are smallest
(Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, on both sides of the channel). Times are medians of one
inference in OpenVINO on one thread; the rounds go from network to network, so that a busy machine slows all alike.
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from kinema_core.bundle import Bundle, load_bundle
from kinema_core.engines.openvino import open_openvino
from kinema_core.engines.serial import SerialEngine
from kinema_core.pipeline import colorize_photo
from kinema_core.quality.scores import SetScores, photo_scores, set_scores
from kinema_trainer.evaluation.photo_set import PhotoSet, read_photo_set
from kinema_trainer.export.onnx_file import export_onnx, load_onnx_weights
from kinema_trainer.models.color_network import ColorNetwork
from kinema_trainer.models.lite0_unet import Lite0UNet, ResidualBlock


def main() -> None:
    """Print a row for each part."""
    options = parse_options()
    bundle = load_bundle()
    photos = read_photo_set(options.photos, limit=options.limit)
    networks = [pruned(load_onnx_weights(bundle.onnx, Lite0UNet()), part) for part in options.parts]
    engines = [open_openvino(replace(bundle, onnx=export_onnx(network)), num_threads=1) for network in networks]
    milliseconds = median_milliseconds(engines, options.rounds)
    print(f"{len(photos.truths)} photographs of {photos.source}")
    print("pruned  parameters  GFLOPs  time  PSNR dB   ΔE00  CF ratio")
    for part, network, engine, duration in zip(options.parts, networks, engines, milliseconds, strict=True):
        cost = network.describe()
        scores = score(engine, bundle, photos)
        print(
            f"{part:6.0%}  {cost.num_parameters / 1e6:8.2f} M  {cost.gflops:6.2f}  {duration / milliseconds[0]:4.2f}"
            f"  {scores.psnr:7.3f}  {scores.delta_e:5.2f}  {scores.colourfulness / scores.truth_colourfulness:8.2f}"
        )


def parse_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--parts", type=float, nargs="+", default=[0, 0.125, 0.25, 0.5])
    parser.add_argument("--rounds", type=int, default=30)
    return parser.parse_args()


def pruned(network: ColorNetwork, part: float) -> ColorNetwork:
    """Take `part` of the inner channels out of each residual block of a network whose norms are folded, in place."""
    for block in network.modules():
        if isinstance(block, ResidualBlock):
            first, second = block.conv1, block.conv2
            strength = first.weight.abs().sum(dim=(1, 2, 3)) * second.weight.abs().sum(dim=(0, 2, 3))
            num_kept = max(1, round(len(strength) * (1 - part)))
            kept = strength.topk(num_kept).indices.sort().values
            block.conv1, block.conv2 = narrowed(first, out_channels=kept), narrowed(second, in_channels=kept)
    return network.eval()


def narrowed(
    convolution: nn.Conv2d, *, in_channels: torch.Tensor | None = None, out_channels: torch.Tensor | None = None
) -> nn.Conv2d:
    """Return a 3x3 convolution with only the given channels of `convolution`, by their numbers."""
    weight, bias = convolution.weight.detach(), convolution.bias
    assert bias is not None, "the norms are folded"
    if in_channels is not None:
        weight = weight[:, in_channels]
    kept_bias = bias.detach()
    if out_channels is not None:
        weight, kept_bias = weight[out_channels], kept_bias[out_channels]
    narrow = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    narrow.weight, narrow.bias = nn.Parameter(weight), nn.Parameter(kept_bias)
    return narrow


def score(engine: SerialEngine, bundle: Bundle, photos: PhotoSet) -> SetScores:
    """Score coloured photographs against their originals."""
    return set_scores(
        [photo_scores(colorize_photo(truth, engine, bundle.manifest), truth) for truth in photos.truths.values()]
    )


def median_milliseconds(engines: list[SerialEngine], rounds: int) -> list[float]:
    """Return each engine's median time for one picture of 256x256."""
    lightness = np.random.default_rng(0).uniform(0, 100, (1, 1, 256, 256)).astype(np.float32)
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(rounds):
        for engine, durations in zip(engines, times, strict=True):
            began = time.perf_counter()
            engine.infer(lightness)
            durations.append(1000 * (time.perf_counter() - began))
    return [statistics.median(durations) for durations in times]


if __name__ == "__main__":
    main()
