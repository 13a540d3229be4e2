"""How good colorized photographs are: of one beside its original, and of a set."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema_core.color import rgb_to_lab
from kinema_core.errors import InvalidInputError
from kinema_core.quality.ciede2000 import ciede2000
from kinema_core.quality.colourfulness import colourfulness
from kinema_core.quality.psnr import psnr
from kinema_core.quality.ssim import ssim


@dataclass(frozen=True, slots=True)
class PhotoScores:
    """One photograph beside its original."""

    psnr: float
    """RGB, dB."""
    ab_psnr: float
    """On a and b alone, peak 255, dB."""
    ssim: float
    delta_e: float
    """Mean CIEDE2000 a pixel."""
    colourfulness: float
    truth_colourfulness: float
    a_error: float
    """Mean of a minus the truth's, signed: a cast towards magenta is above 0, towards green below."""
    b_error: float
    """Mean of b minus the truth's, signed: a cast towards yellow is above 0, towards blue below."""


@dataclass(frozen=True, slots=True)
class SetScores:
    """A set of photographs: each score is the mean of the photographs'."""

    num_photos: int
    psnr: float
    ab_psnr: float
    ssim: float
    delta_e: float
    colourfulness: float
    truth_colourfulness: float
    delta_colourfulness: float
    """|mean colourfulness - mean colourfulness of the truth|."""
    a_error: float
    """Signed, as in PhotoScores: casts that differ from photograph to photograph cancel, a bias of the model stays."""
    b_error: float


def photo_scores(rgb: NDArray[np.uint8], truth: NDArray[np.uint8]) -> PhotoScores:
    """Compare a colorized photograph with its original, both (H, W, 3) sRGB, at least 11 pixels high and wide.

    Raises:
        InvalidInputError: the pictures are not 8-bit RGB of one size, or too small.
    """
    if rgb.dtype != np.uint8 or truth.dtype != np.uint8 or rgb.shape != truth.shape or rgb.shape[2:] != (3,):
        raise InvalidInputError(
            "rgb",
            "and its truth must be uint8 (H, W, 3) of one size, "
            f"got {rgb.dtype} {rgb.shape} and {truth.dtype} {truth.shape}",
        )
    lab, truth_lab = (rgb_to_lab(picture.astype(np.float64) / 255) for picture in (rgb, truth))
    ab, truth_ab = lab[..., 1:], truth_lab[..., 1:]
    a_error, b_error = np.mean(ab - truth_ab, axis=(0, 1))
    return PhotoScores(
        psnr=psnr(rgb, truth),
        ab_psnr=psnr(ab, truth_ab),
        ssim=ssim(rgb, truth),
        delta_e=float(np.mean(ciede2000(lab, truth_lab))),
        colourfulness=colourfulness(rgb),
        truth_colourfulness=colourfulness(truth),
        a_error=float(a_error),
        b_error=float(b_error),
    )


def set_scores(photos: Sequence[PhotoScores]) -> SetScores:
    """Average the scores of a set.

    A photograph that equals its original has an infinite PSNR, and so has then the set.

    Raises:
        InvalidInputError: the set is empty.
    """
    if not photos:
        raise InvalidInputError("photos", "must hold at least one photograph's scores, got none")
    means = {
        field.name: float(np.mean([getattr(photo, field.name) for photo in photos]))
        for field in dataclasses.fields(PhotoScores)
    }
    delta = abs(means["colourfulness"] - means["truth_colourfulness"])
    return SetScores(num_photos=len(photos), delta_colourfulness=delta, **means)
