"""Batches of objects seen by the four orthogonal cameras: what the reconstruction network learns from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ViewBatch:
    """B objects in the four orthogonal views, each in two neighbouring poses."""

    views: Tensor  # [B, 4, 4, S, S] in [0, 1], premultiplied
    depth: Tensor  # [B, 4, S, S] world units, 0 outside the object
    other_pose: Tensor  # [B, 4, 4, S, S] views of the neighbouring pose
    planes: Tensor  # [B, 4] of symmetry, 0 where there is none
