"""Which way round an imagined object stands."""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.cameras import orbit
from ar4d.experts.lgm.inputs import resize
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

SEARCH_SIZE = 128
BATCH = 36


@torch.no_grad()
def find_azimuth(
    gaussians: Gaussians, rgb: Tensor, elevation_deg: float = 0.0, *, step_deg: float = 1.0
) -> float:
    """The azimuth from which the Gaussians look most like the picture.

    Tries a full turn and takes the least mean squared error, as DreamGaussian4D and L4GM do.

    Args:
        rgb: [S, S, 3] in [0, 1], on white.
        elevation_deg: of the camera that took the picture.
        step_deg: between two candidates.

    Returns:
        In [0, 360) degrees.
    """
    target = resize(rgb[None].float().to(gaussians.means.device), SEARCH_SIZE)
    azimuths = torch.arange(0, 360, step_deg).tolist()
    errors = []
    for start in range(0, len(azimuths), BATCH):
        cameras = orbit(azimuths[start : start + BATCH], elevation_deg, size=SEARCH_SIZE)
        errors.append((render(gaussians, cameras).rgb - target).square().mean((1, 2, 3)))
    return azimuths[int(torch.cat(errors).argmin())]
