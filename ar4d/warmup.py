"""Compiles every kernel before it is needed."""

from __future__ import annotations

from typing import cast

import torch

from ar4d.blending import blend
from ar4d.cameras import orbit
from ar4d.deformation import NodeField, local_field
from ar4d.fused.step import FusedStep
from ar4d.gaussians import Gaussians
from ar4d.losses import Terms, ssim
from ar4d.parameters import Parameters
from ar4d.rendering import Rendering
from ar4d.rendering.cpu.function import rasterize
from ar4d.settings import FieldSettings


def warm_up() -> None:
    """Compiles rendering, SSIM, blending and the fused step: seconds at first, then read from the cache.

    Without it the first call of each does so itself.
    """
    _take_a_step()
    with torch.enable_grad():
        means, scales = torch.zeros(1, 3, requires_grad=True), torch.ones(1, 3)
        quats = torch.tensor([[1.0, 0, 0, 0]])
        rotations, indices = torch.eye(3)[None], torch.zeros(1, 1, dtype=torch.int32)
        weights = torch.ones(1, 1)
        means, quats, _ = blend(rotations, quats, means, scales, means, indices, weights, means, quats)
        gaussians = Gaussians(means, quats, scales, torch.ones(1), scales)
        rgb, _, _ = rasterize(gaussians, orbit(0.0, size=16))
        ssim(rgb, torch.zeros_like(rgb)).backward()


def _take_a_step() -> None:
    """One step of a fit, of one Gaussian at one node."""
    nothing = torch.zeros(1, 16, 16)
    one = Gaussians(
        torch.zeros(1, 3), torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1, 3), torch.ones(1), torch.ones(1, 3)
    )
    field = local_field(FieldSettings(kind="node-table"), one.means)
    step = FusedStep(Parameters.of(one, True), cast(NodeField, field))
    seen = Rendering(torch.zeros(1, 16, 16, 3), nothing, nothing)
    step.step(0, {}, [orbit(0.0, size=16)], [seen], [Terms(ssim=1.0)])
