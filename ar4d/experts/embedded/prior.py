"""What the network's guess lacks: relief, and what is right about a balloon.

It tells the mean of what may be there, which is flatter than any of it: so its depths are spread about
their middle.

One view leaves open which end of the object is nearer. Where the network leans the wrong way, the
balloon, which never leans, is the better guess; where it is right, a share of it does little harm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.network import BEHIND, Prediction
from ar4d.experts.silhouette import MAX_HALF_THICKNESS, half_thickness

CURVATURE = 2.5  # see `Silhouette.curvature`
FRONT_SHARE, SOLID_SHARE = 0.15, 0.15
RELIEF = 1.2  # times the depths told
SOFTNESS = 0.025  # world units behind the balloon's back in which a logit falls by one
MOST = 4.0  # logit


def steadied(prediction: Prediction, alpha: Tensor) -> Prediction:
    """The prediction with more relief, moved towards the inflated outline.

    Args:
        prediction: of one object, once or several times.
        alpha: [H, W] of the picture, at the prediction's size.
    """
    cell = RADIUS / float(intrinsics(len(alpha))[0, 0])
    half = half_thickness((alpha > 0.5).numpy(), CURVATURE) * cell
    half = torch.from_numpy(np.minimum(half, MAX_HALF_THICKNESS)).float()
    distance = torch.tensor(BEHIND)[:, None, None]
    solid = ((2 * half - distance) / SOFTNESS).clamp(-MOST, MOST)
    return replace(
        prediction,
        front=torch.lerp(_deepened(prediction.front, alpha), (RADIUS - half)[None], FRONT_SHARE),
        solid=torch.lerp(prediction.solid, solid[None], SOLID_SHARE),
    )


def _deepened(front: Tensor, alpha: Tensor) -> Tensor:
    """Fronts [B, H, W] that are RELIEF times as far from their mean on the object."""
    middle = ((front * alpha).sum((1, 2)) / alpha.sum())[:, None, None]
    return middle + RELIEF * (front - middle)
