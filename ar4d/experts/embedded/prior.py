"""Post-processing of the network's prediction: more relief, and a share of the inflated silhouette.

The network regresses a mean of the possible shapes, which is flatter than any of them, so its depths are
stretched about their mean. A single view also leaves open which end of the object is nearer. Where the
network chooses the wrong end, the inflated silhouette, which has no such lean, is the better guess; where the
network is right, a small share of the silhouette costs little. The constants were chosen on held-out objects
(docs/research/embedded-expert.md).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.network import OCCUPANCY_OFFSETS, Prediction
from ar4d.experts.silhouette import MAX_HALF_THICKNESS, half_thickness

CURVATURE = 2.5
"""See `Silhouette.curvature`."""
FRONT_WEIGHT, OCCUPANCY_WEIGHT = 0.15, 0.15
"""Weights of the silhouette's front depth and occupancy; the prediction has the rest."""
RELIEF = 1.2
"""Factor by which predicted depths are stretched about their mean."""
LOGIT_WIDTH = 0.025
"""World units behind the silhouette's back over which its occupancy logit falls by one."""
MAX_LOGIT = 4.0


def regularize_with_silhouette(prediction: Prediction, alpha: Tensor) -> Prediction:
    """Stretch the predicted depths and blend the prediction with the inflated silhouette.

    Args:
        prediction: [B, …] predictions of one object.
        alpha: [H, W] of the picture, at the prediction's size.
    """
    cell = RADIUS / float(intrinsics(len(alpha))[0, 0])
    half = half_thickness((alpha > 0.5).numpy(), CURVATURE) * cell
    half = torch.from_numpy(np.minimum(half, MAX_HALF_THICKNESS)).float()
    offsets = torch.tensor(OCCUPANCY_OFFSETS)[:, None, None]
    occupancy = ((2 * half - offsets) / LOGIT_WIDTH).clamp(-MAX_LOGIT, MAX_LOGIT)
    stretched = _stretch_relief(prediction.front_depth, alpha)
    return replace(
        prediction,
        front_depth=torch.lerp(stretched, (RADIUS - half)[None], FRONT_WEIGHT),
        occupancy_logits=torch.lerp(prediction.occupancy_logits, occupancy[None], OCCUPANCY_WEIGHT),
    )


def _stretch_relief(front_depth: Tensor, alpha: Tensor) -> Tensor:
    """Depths [B, H, W], RELIEF times as far from their alpha-weighted mean."""
    mean = ((front_depth * alpha).sum((1, 2)) / alpha.sum())[:, None, None]
    return mean + RELIEF * (front_depth - mean)
