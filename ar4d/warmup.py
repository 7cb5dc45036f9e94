"""Compiles every kernel before it is needed."""

from __future__ import annotations

import torch

from ar4d.blending import blend
from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians
from ar4d.losses import ssim
from ar4d.rendering.cpu.function import rasterize


def warm_up() -> None:
    """Compiles rendering, SSIM and blending: seconds the first time, then read from the cache.

    Without it the first call of each does so itself.
    """
    with torch.enable_grad():
        means, scales = torch.zeros(1, 3, requires_grad=True), torch.ones(1, 3)
        quats = torch.tensor([[1.0, 0, 0, 0]])
        rotations, indices = torch.eye(3)[None], torch.zeros(1, 1, dtype=torch.int32)
        weights = torch.ones(1, 1)
        means, quats, _ = blend(rotations, quats, means, scales, means, indices, weights, means, quats)
        gaussians = Gaussians(means, quats, scales, torch.ones(1), scales)
        rgb, _, _ = rasterize(gaussians, orbit(0.0, size=16))
        ssim(rgb, torch.zeros_like(rgb)).backward()
