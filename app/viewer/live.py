"""Views rendered by the server for one visitor's camera."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians
from ar4d.player.state import DEPTH_COLORS
from ar4d.rendering import render

Mode = Literal["rgb", "depth", "alpha"]
Layout = Literal["row", "column"]  # of two views


@dataclass(frozen=True)
class View:
    """A visitor's camera and display mode."""

    viewmat: tuple[float, ...]  # 16 numbers, row by row: world to camera, OpenCV axes
    fov_y_deg: float
    width: int
    height: int
    mode: Mode
    background: tuple[float, float, float]  # in [0, 1]

    def camera(self, device: torch.device) -> Cameras:
        """The camera on a device."""
        focal = 0.5 * self.height / math.tan(math.radians(self.fov_y_deg) / 2)
        K = torch.tensor([[focal, 0, self.width / 2], [0, focal, self.height / 2], [0, 0, 1]])
        viewmat = torch.tensor(self.viewmat).view(1, 4, 4)
        return Cameras(viewmat, K[None], self.width, self.height).to(device)


@torch.no_grad()
def draw(gaussians: Gaussians, view: View, extent: float) -> Tensor:
    """Renders one view.

    Args:
        extent: radius of the object; depth is coloured within this distance of the world's origin.

    Returns:
        [H, W, 3] uint8 on the CPU. Depth is the mean over the splats that a ray meets, on the background.
    """
    device = gaussians.means.device
    camera = view.camera(device)
    background = (0.0, 0.0, 0.0) if view.mode == "alpha" else view.background
    rendering = render(gaussians, camera, background)
    alpha = rendering.alpha[0, ..., None]  # [H, W, 1]
    if view.mode == "rgb":
        image = rendering.rgb[0]
    elif view.mode == "alpha":
        image = alpha.expand(-1, -1, 3)
    else:
        origin = camera.viewmats[0, 2, 3]  # depth of the world's origin
        depth = rendering.depth[0] / rendering.alpha[0].clamp_min(1e-6)
        nearness = 0.5 + 0.5 * (origin - depth) / extent
        image = alpha * _colormap(nearness) + (1 - alpha) * torch.tensor(background, device=device)
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).cpu()


def encode(image: Tensor, quality: int) -> bytes:
    """A JPEG of an [H, W, 3] uint8 image."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def _colormap(values: Tensor) -> Tensor:
    """Colours [..., 3] in [0, 1] of `values` [...] in [0, 1]."""
    stops = torch.tensor(DEPTH_COLORS, dtype=torch.float32, device=values.device) / 255
    position = values.clamp(0, 1) * (len(stops) - 1)
    index = position.long().clamp_max(len(stops) - 2)
    return torch.lerp(stops[index], stops[index + 1], (position - index)[..., None])
