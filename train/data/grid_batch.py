"""Batches of clips seen from several azimuths: what multi-view video networks learn from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class GridBatch:
    """B objects in T frames from V azimuths; `ar4d.views.ViewGrid` is one such grid with straight alpha."""

    rgba: Tensor  # [B, V, T, 4, S, S] in [0, 1], premultiplied
    depth: Tensor  # [B, V, T, S, S] world units, 0 outside the object
    azimuths_deg: Tensor  # [V]
    planes: Tensor  # [B, 4] of symmetry at azimuth 0, 0 where there is none
