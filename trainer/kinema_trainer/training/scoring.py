"""Quick scores of a generator while it trains, on held-out photographs; `kinema evaluate` gives the full ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from kinema_core.color import GREY_TAGS, compose_rgb, rgb_to_grey, rgb_to_lab
from kinema_core.quality.psnr import psnr
from kinema_trainer.data.crops import square_photo
from kinema_trainer.data.sources import decode_photo
from kinema_trainer.evaluation.grid import lay_out
from kinema_trainer.models.color_network import ColorNetwork

F32: TypeAlias = NDArray[np.float32]
Rgb: TypeAlias = NDArray[np.uint8]

GRID_PHOTOS = 16
BATCH = 16


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Square photographs to score on."""

    rgb: NDArray[np.uint8]
    """(N, S, S, 3) sRGB."""
    lab: F32
    """(N, S, S, 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class QuickScore:
    """What a scoring found."""

    ab_psnr: float
    """Mean over the photographs, in dB, of ab with 255 as its peak."""
    chroma_part: float
    """Mean chroma as a part of the truth's."""
    ab: F32
    """(N, 2, S, S), the prediction."""


def held_out_squares(photos: Mapping[str, bytes], *, num_photos: int, size: int) -> HeldOut | None:
    """Take `num_photos` of `photos`, evenly spread over their names, as squares of `size` pixels; None if none."""
    names = sorted(photos)
    names = [names[i * len(names) // num_photos] for i in range(num_photos)] if len(names) > num_photos else names
    if not names:
        return None
    rgb = np.stack([square_photo(decode_photo(name, photos[name]), size) for name in names])
    return HeldOut(rgb, np.stack([rgb_to_lab(picture).astype(np.float32) for picture in rgb]))


def quick_score(network: ColorNetwork, held_out: HeldOut) -> QuickScore:
    """Colorize; compare ab."""
    device = next(network.parameters()).device
    lightness = torch.from_numpy(np.ascontiguousarray(held_out.lab[..., 0]))[:, None]
    predicted = torch.cat(
        [_full_size_ab(network, part.to(device)).cpu() for part in torch.split(lightness, BATCH)]
    ).numpy()
    truth = held_out.lab[..., 1:].transpose(0, 3, 1, 2)
    psnrs = [psnr(ours, true) for ours, true in zip(predicted, truth, strict=True)]
    chroma, true_chroma = (float(np.linalg.norm(ab, axis=1).mean(dtype=np.float64)) for ab in (predicted, truth))
    return QuickScore(float(np.mean(psnrs)), chroma / max(true_chroma, 1e-6), predicted)


def picture_grid(held_out: HeldOut, ab: F32) -> Rgb:
    """Lay out the first photographs as grey | coloured | original, four a row: (H, W, 3)."""
    cells = []
    for rgb, chroma in zip(held_out.rgb[:GRID_PHOTOS], ab, strict=False):
        grey = rgb_to_grey(rgb)
        coloured = compose_rgb(grey, np.ascontiguousarray(chroma.transpose(1, 2, 0)), GREY_TAGS)
        cells.append(np.hstack((np.repeat(grey[..., None], 3, axis=2), coloured, rgb)))
    return lay_out(cells)


def _full_size_ab(network: ColorNetwork, lightness: Tensor) -> Tensor:
    with torch.no_grad():
        ab: Tensor = network(lightness).float()
    if network.output_stride > 1:
        ab = F.interpolate(ab, scale_factor=network.output_stride, mode="bilinear", align_corners=False)
    return ab
