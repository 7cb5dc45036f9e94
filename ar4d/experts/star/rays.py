"""Cameras of the views, per token and per Gaussian, as rays."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from ar4d.cameras import orbit, pixel_rays
from ar4d.experts.star.config import CodecConfig


@cache
def view_rays(azimuths_deg: tuple[float, ...], size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rays through the centres of size² pixels of cameras at elevation 0.

    Returns:
        Origins [V, 1, 1, 3] and directions [V, size, size, 3] whose component along the optical axis is 1.
    """
    origins, directions = pixel_rays(orbit(azimuths_deg, size=size))
    return origins.to(device), directions.to(device)


@cache
def turns_to_world(azimuths_deg: tuple[float, ...], device: torch.device) -> Tensor:
    """Rotations [V, 3, 3] from the cameras' coordinates to the world's."""
    return orbit(azimuths_deg, size=1).viewmats[:, :3, :3].mT.contiguous().to(device)


@cache
def pluecker(config: CodecConfig, device: torch.device) -> Tensor:
    """Plücker coordinates (o × d, d) of each token's pixels: [V, tokens, 6 · patch²], |d| = 1."""
    origins, directions = view_rays(config.azimuths_deg, config.size, device)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    moments = torch.linalg.cross(origins.expand_as(directions), directions)
    rays = torch.cat([moments, directions], -1)  # [V, S, S, 6]
    patch = config.size // config.side
    parts = rays.unflatten(2, (config.side, patch)).unflatten(1, (config.side, patch))
    return parts.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)


@cache
def token_places(config: CodecConfig, device: torch.device) -> Tensor:
    """Row and column [tokens, 2] of a picture's tokens."""
    line = torch.arange(config.side, device=device, dtype=torch.float32)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flatten(0, 1)
