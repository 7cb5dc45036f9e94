"""Cameras in the form that MVDream and ImageDream take."""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, orbit


def camera_embedding(elevation_deg: float, *, image_view: bool) -> Tensor:
    """The four orthogonal cameras, row by row.

    Each is a 4×4 camera-to-world matrix at radius 1, camera axes right, up and backward, in a world
    with z up (x right, y away from the viewer of azimuth 0).

    Args:
        elevation_deg: positive is above, as in mvdream_diffusers.
        image_view: append the row of zeros that stands for the given picture.

    Returns:
        [4, 16], or [5, 16] with the picture's row.
    """
    c2w = torch.linalg.inv(orbit(ORTHOGONAL_AZIMUTHS_DEG, elevation_deg, size=1, radius=1.0).viewmats)
    c2w = c2w * torch.tensor([1.0, -1.0, -1.0, 1.0])  # from OpenCV's axes to right, up, backward
    x, y, z, w = c2w.unbind(1)
    rows = torch.stack([x, -z, y, w], dim=1).flatten(1)  # from y up to z up
    return torch.cat([rows, torch.zeros(1, 16)]) if image_view else rows
