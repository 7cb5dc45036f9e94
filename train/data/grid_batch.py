"""Batches of clips seen from several azimuths: what multi-view video networks learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class GridBatch:
    """B objects in T frames from V azimuths; `ar4d.views.ViewGrid` is one such grid with straight alpha."""

    rgba: Tensor  # [B, V, T, 4, S, S] in [0, 1], premultiplied
    depth: Tensor  # [B, V, T, S, S] world units, 0 outside the object
    flow: (
        Tensor  # [B, V, T - 1, 2, S, S] pixels from a frame to the next, right and down; 0 outside the object
    )
    azimuths_deg: Tensor  # [V]
    planes: Tensor  # [B, 4] of symmetry at azimuth 0, 0 where there is none
    guess: Tensor | None = None  # [B, V, T, 4, S, S] as `rgba`, guessed from each picture of the first view

    def shrunk(self, factor: int) -> GridBatch:
        """The same grids at S / factor pixels; depth and flow are those of every factor-th pixel."""
        middle = factor // 2
        flow = self.flow[..., middle::factor, middle::factor] / factor
        return replace(
            self,
            rgba=F.avg_pool2d(self.rgba.flatten(0, 2), factor).unflatten(0, self.rgba.shape[:3]),
            depth=self.depth[..., middle::factor, middle::factor],
            flow=flow,
        )
