"""Self-attention over a feature map, for the networks that want far pixels to agree."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Each place of the map looks at all places and adds what it found there.

    Source: Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019. Queries and keys have C/8
    channels, values C/2, keys and values are max-pooled by two as in the authors' code, and what is found is weighed by
    a learnt gamma that starts at 0: the block starts as the identity. Left out is their spectral norm, which steadies a
    GAN trained at high rates; here gamma and the L1 loss do.

    The table of weights has (H W)^2 / 4 entries: for maps at stride 16 it is 64 KiB of float32 for a 256x256 picture
    and 67 MB for a 1920x1088 one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = nn.Conv2d(channels, narrow, 1, bias=False)
        self.key = nn.Conv2d(channels, narrow, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape; H and W must be even."""
        query = self.query(x).flatten(2)  # (B, C/8, HW)
        key = F.max_pool2d(self.key(x), 2).flatten(2)  # (B, C/8, HW/4)
        value = F.max_pool2d(self.value(x), 2).flatten(2)  # (B, C/2, HW/4)
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (B, HW, HW/4), each row sums to 1
        found = value @ weights.transpose(1, 2).to(value.dtype)  # (B, C/2, HW)
        h: Tensor = self.out(found.reshape(x.shape[0], -1, *x.shape[2:]))  # (B, C, H, W)
        return x + self.gamma * h
