"""What conditions the U-Net in a pass: the input frames, the angles and, after the first pass, the views.

Rows are (frame, view), the view fastest: t·V + v.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.experts.imagedream.unet import timestep_embedding
from ar4d.experts.sv4d2.config import DenoiserConfig

SIGMA = 1e-5
"""Noise level of the conditioning pictures, an input of the network. The original adds that noise, which is
far below a grey level; here the pictures stay as they are."""
AZIMUTH_SIGN = 1.0
"""A positive azimuth moves the camera to its right, as in `ar4d.cameras.orbit`."""


@dataclass(frozen=True)
class Conditioning:
    """One guidance half of a pass of T frames × V views."""

    clip: Tensor  # [T, context_dim]
    concat: Tensor  # [T, 4, h, w], latents of the input frames
    vector: Tensor  # [T*V, vector_channels]
    reference: Tensor  # [V, 4, h, w], latents of the views at the pass's first frame; zeros in the first pass

    def unconditional(self, config: DenoiserConfig) -> Conditioning:
        """The half without pictures and noise level; the angles stay."""
        vector = self.vector.clone()
        vector[:, : config.sigma_channels] = 0
        zeros = (torch.zeros_like(x) for x in (self.clip, self.concat, self.reference))
        clip, concat, reference = zeros
        return Conditioning(clip, concat, vector, reference)

    @property
    def frames(self) -> int:
        return len(self.concat)

    @property
    def views(self) -> int:
        return len(self.reference)


def angles(azimuths_deg: Sequence[float], elevations_deg: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Polar angles and azimuths of the views in radians, [V] float64 each.

    Args:
        azimuths_deg: relative to the input view.
        elevations_deg: relative to the input view, positive is above.
    """
    elevations = torch.tensor(elevations_deg, dtype=torch.float64)
    azimuths = AZIMUTH_SIGN * torch.tensor(azimuths_deg, dtype=torch.float64)
    turn = 2 * math.pi
    return (math.pi / 2 - elevations.deg2rad()) % turn, azimuths.deg2rad() % turn


def vector(polar: Tensor, azimuth: Tensor, frames: int, config: DenoiserConfig) -> Tensor:
    """[T*V, vector_channels]: the sinusoids of σ, the polar angle and the azimuth, for every row.

    Args:
        polar: [V] radians.
        azimuth: [V] radians.
    """
    sigma = torch.full((len(polar),), SIGMA)
    parts = (
        timestep_embedding(sigma, config.sigma_channels),
        timestep_embedding(polar.float(), config.angle_channels),
        timestep_embedding(azimuth.float(), config.angle_channels),
    )
    return torch.cat(parts, dim=-1).repeat(frames, 1)
