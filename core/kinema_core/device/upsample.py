"""`kinema_core.upsample` in torch: chroma is brought up along the edges of the luma. Why it is so is told there."""

import torch
import torch.nn.functional as F

from kinema_core.color.ycbcr import luma_scale
from kinema_core.device.sampling import resize_area, resize_linear
from kinema_core.frames import ColorTags
from kinema_core.upsample import CHROMA_EPSILON, LUMA_EPSILON, SHARPENINGS, blur_of_interpolation


def upsample_ab(ab: torch.Tensor, luma_half: torch.Tensor, tags: ColorTags) -> torch.Tensor:
    """Bring `ab` (2, h, w) to the size of `luma_half` (H2, W2), codes as `tags` says: (2, H2, W2) float32."""
    size, small_size = luma_half.shape, ab.shape[1:]
    kernels = [
        torch.from_numpy(blur_of_interpolation(large / small)).to(ab.device)
        for large, small in zip(size, small_size, strict=True)
    ]
    _, span = luma_scale(tags.color_range, tags.bit_depth)
    luma = luma_half.float() * (1 / span)
    small_luma = resize_area(luma, (small_size[0], small_size[1]))
    small = torch.cat([small_luma[None], ab])
    slopes = _fit_slopes(small_luma, ab)
    large = resize_linear(torch.cat([_sharpen(small, *kernels), slopes]), (size[0], size[1]))
    return large[1:3] + large[3:5] * (luma - large[0])


def _sharpen(planes: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Undo the blur of the rows' and the columns' kernels, each (3,)."""
    sharpened = planes
    for _ in range(SHARPENINGS):
        padded = F.pad(sharpened[None], (1, 1, 1, 1), mode="replicate")[0]
        across = columns[0] * (padded[..., :-2] + padded[..., 2:]) + columns[1] * padded[..., 1:-1]
        blurred = rows[0] * (across[:, :-2] + across[:, 2:]) + rows[1] * across[:, 1:-1]
        sharpened = sharpened + (planes - blurred)
    return sharpened


def _fit_slopes(luma: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
    """Return the slopes of a and b over luma (h, w): (2, h, w)."""
    moments = _window_mean(
        torch.cat([luma[None], luma[None].square(), ab, ab * luma, ab.square().sum(0, keepdim=True)])
    )
    mean, mean_square, ab_mean, ab_luma, ab_square = moments[0], moments[1], moments[2:4], moments[4:6], moments[6]
    covariance = ab_luma - ab_mean * mean
    variance = mean_square - mean.square() + LUMA_EPSILON
    ab_variance = ab_square - ab_mean.square().sum(0)
    weight = covariance.square().sum(0) / (variance.square() * (ab_variance + CHROMA_EPSILON))
    return _window_mean(covariance * weight)


def _window_mean(planes: torch.Tensor) -> torch.Tensor:
    """Return the mean of each window of 3x3."""
    return F.avg_pool2d(F.pad(planes[None], (1, 1, 1, 1), mode="reflect"), 3, stride=1)[0]
