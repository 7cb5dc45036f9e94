"""A small asset in motion that the export tests share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from ar4d.gaussians import Gaussians, multiply_quaternions

RADIUS = 0.4


@dataclass(frozen=True)
class SpinningBall:
    """A ball of surfels, red above and green below, that turns half around y and rises by 0.2."""

    num_frames: int = 3
    fps: float = 2.0
    count: int = 600

    def at(self, t: float) -> Gaussians:
        generator = torch.Generator().manual_seed(0)
        index = torch.arange(self.count) + 0.5
        y = 1 - 2 * index / self.count
        angle = index * (math.pi * (3 - math.sqrt(5)))
        ring = (1 - y**2).sqrt()
        outward = torch.stack([ring * angle.cos(), y, ring * angle.sin()], dim=1)
        # The shortest turn of the z axis, along which a surfel is thin, to the outward direction.
        quats = F.normalize(
            torch.stack([1 + outward[:, 2], -outward[:, 1], outward[:, 0], 0 * y], dim=1), dim=-1
        )
        half_turn = torch.tensor([math.cos(math.pi * t / 2), 0.0, math.sin(math.pi * t / 2), 0.0])
        cos, sin = math.cos(math.pi * t), math.sin(math.pi * t)
        turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        colors = torch.where(y[:, None] > 0, torch.tensor([0.8, 0.1, 0.1]), torch.tensor([0.1, 0.7, 0.2]))
        colors = (colors + 0.05 * torch.rand(self.count, 3, generator=generator)).clamp(0, 1)
        return Gaussians(
            means=RADIUS * outward @ turn.T + torch.tensor([0.0, 0.2 * t, 0.0]),
            quats=multiply_quaternions(half_turn.expand_as(quats), quats),
            scales=torch.tensor([0.03, 0.02, 0.008])
            * (0.8 + 0.4 * torch.rand(self.count, 1, generator=generator)),
            opacities=0.6 + 0.38 * torch.rand(self.count, generator=generator),
            colors=colors,
        )

    def to(self, device: torch.device | str) -> SpinningBall:
        return self

    def save(self, path: Path) -> None:
        raise NotImplementedError
