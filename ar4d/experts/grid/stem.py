"""From pictures to tokens and back: convolutions with skips around the transformer, or plain patches."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.grid.blocks import zero
from ar4d.experts.grid.config import GridConfig


class Stem(nn.Module):
    """What is given of a cell enters here; noise does not, because the skips do not know its level."""

    def __init__(self, config: GridConfig, inputs: int, outputs: int) -> None:
        super().__init__()
        self.patch, self.plain, self.fold = config.patch, not config.stem, config.fold
        self.grid = config.height // config.patch, config.width // config.patch
        if self.plain:
            self.into = nn.Linear(inputs * config.patch**2, config.channels)
            self.out = zero(nn.Linear(config.channels, outputs * config.patch**2))
            return
        widths = [*config.stem, config.channels]
        self.first = nn.Conv2d(inputs * self.fold**2, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(widths))
        self.mids = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for c in widths[1:-1])
        self.lifts = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.joins = nn.ModuleList(nn.Conv2d(2 * c, c, 3, padding=1) for c in widths[:-1])
        self.out = zero(nn.Conv2d(widths[0], outputs * self.fold**2, 3, padding=1))
        # Convolutions on a CPU are a tenth faster so. The stubs of `to` leave this keyword out.
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def tokens(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Tokens [K, N, C] of pictures [K, inputs, H, W], and the skips."""
        if self.plain:
            return self.into(patches(pictures, self.patch)), []
        h = F.silu(self.first(F.pixel_unshuffle(pictures, self.fold)))
        skips = [h]
        for level, down in enumerate(self.downs):
            h = down(h)
            if level < len(self.mids):
                h = F.silu(h)
                h = h + F.silu(self.mids[level](h))
                skips.append(h)
        return h.flatten(2).transpose(1, 2), skips

    def pictures(self, tokens: Tensor, skips: list[Tensor]) -> Tensor:
        """Pictures [K, outputs, H, W] of tokens [K, N, C]."""
        if self.plain:
            return F.pixel_shuffle(self.out(tokens).transpose(1, 2).unflatten(2, self.grid), self.patch)
        h = tokens.transpose(1, 2).unflatten(2, self.grid)
        for lift, join, skip in zip(self.lifts[::-1], self.joins[::-1], reversed(skips), strict=True):
            h = F.silu(join(torch.cat([F.pixel_shuffle(lift(h), 2), skip], 1)))
        return F.pixel_shuffle(self.out(h), self.fold)


def patches(pictures: Tensor, patch: int) -> Tensor:
    """[K, N, C patch²] of pictures [K, C, H, W]."""
    return F.pixel_unshuffle(pictures, patch).flatten(2).transpose(1, 2)
