"""A small animated object to look at: a fish of Gaussians that waves its tail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from ar4d.asset import FrameSequence, frame_time
from ar4d.cameras import orbit
from ar4d.clip import Clip, Crop
from ar4d.events import Planned, StageInfo
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

PLAN = Planned(
    (
        StageInfo("initialize", "First frame", "Start", 10),
        StageInfo("generate", "Motion", "Motion", 10),
        StageInfo("refine", "Refinement", "Refine", 10),
    )
)
"""The stages of a run that shows it."""


def fish(t: float, count: int = 600) -> Gaussians:
    """A fish of `count` Gaussians that waves its tail once while t goes from 0 to 1."""
    golden = torch.arange(count) + 0.5
    along = 1 - 2 * golden / count  # [N] from the mouth (1) to the tail (-1)
    angle = golden * (math.pi * (3 - math.sqrt(5)))
    profile = (1 - along**2).clamp_min(0).sqrt() * (0.75 + 0.35 * along)
    tail = ((-0.55 - along) / 0.45).clamp_min(0)  # 0 on the body, 1 at the fin's end
    x = 0.5 * along
    y = 0.3 * profile * angle.sin() * (1 + 2.2 * tail)
    z = 0.16 * profile * angle.cos() * (1 - 0.8 * tail)
    phase = 2 * math.pi * t
    z = z + 0.16 * (1 - along).clamp_min(0) ** 2 / 4 * torch.sin(phase + 1.6 * along)
    y = y + 0.02 * math.sin(phase)
    stripes = (0.5 + 0.5 * torch.sin(9 * along))[:, None]
    orange, cream = torch.tensor([0.95, 0.42, 0.1]), torch.tensor([0.98, 0.9, 0.78])
    colors = torch.lerp(orange, cream, stripes)
    eye = (torch.stack([x - 0.33, y - 0.06, z.abs() - 0.1], 1).norm(dim=1) < 0.055)[:, None]
    colors = torch.where(eye, torch.tensor([0.08, 0.08, 0.12]), colors)
    size = 0.9 / math.sqrt(count)
    scales = torch.tensor([size, size, 0.5 * size]).expand(count, 3).contiguous()
    quats = F.normalize(torch.stack([angle.cos() + 2, 0 * x, 0.3 * along, 0 * x], 1), dim=-1)
    return Gaussians(torch.stack([x, y, z], 1), quats, scales, torch.full((count,), 0.92), colors)


@dataclass(frozen=True)
class Swimming:
    """The fish as an asset that is continuous in time."""

    num_frames: int = 8
    fps: float = 8.0
    count: int = 600

    def at(self, t: float) -> Gaussians:
        """The Gaussians at time t in [0, 1]."""
        return fish(t, self.count)

    def to(self, device: torch.device | str) -> Swimming:
        """Return this asset: it is always on the CPU."""
        return self

    def save(self, path: Path) -> None:
        """Save the frames as an asset file."""
        frames = [self.at(frame_time(k, self.num_frames)) for k in range(self.num_frames)]
        FrameSequence(tuple(frames), self.fps).save(path)


def fish_clip(num_frames: int = 8, size: int = 128, fps: float = 8.0) -> Clip:
    """The fish as the reference camera sees it."""
    frames = []
    for k in range(num_frames):
        rendering = render(fish(k / max(num_frames - 1, 1), 2000), orbit(0.0, size=size), None)
        alpha = rendering.alpha[0, ..., None]
        rgba = torch.cat([rendering.rgb[0] / alpha.clamp_min(1e-3), alpha], dim=-1)
        frames.append((rgba.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    crop = Crop(0.0, 0.0, float(size), size, size)
    return Clip(np.stack(frames), fps, crop, source="fish", matting="alpha", warnings=())
