"""The network: four views in, activated Gaussians out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.lgm.config import OUTPUT_CHANNELS, VIEWS, LgmConfig
from ar4d.experts.lgm.unet import UNet
from ar4d.gaussians import Gaussians


class LgmNetwork(nn.Module):
    """The U-Net and the 1×1 convolution behind it. State-dict keys are the published ones."""

    def __init__(self, config: LgmConfig):
        super().__init__()
        self.config = config
        self.unet = UNet(config)
        self.conv = nn.Conv2d(OUTPUT_CHANNELS, OUTPUT_CHANNELS, 1)

    def forward(self, views: Tensor) -> Tensor:
        """Reconstructs B objects in one pass.

        Args:
            views: [B, 4, 9, S, S], what `inputs.network_input` makes.

        Returns:
            [B, N, 14] raw outputs, Gaussians in the order (view, row, column).
        """
        x = self.conv(self.unet(views.flatten(0, 1)))  # [B*4, 14, s, s]
        return x.unflatten(0, (-1, VIEWS)).permute(0, 1, 3, 4, 2).flatten(1, 3)


def activate(raw: Tensor) -> Gaussians:
    """Turns raw outputs [N, 14] into Gaussians, by the activations of the "fixrot" weights.

    Positions are world coordinates, not depths along rays; colours are colours, not harmonics.
    """
    position, opacity, scale, rotation, color = raw.split([3, 1, 3, 4, 3], dim=-1)
    return Gaussians(
        means=position.clamp(-1, 1),
        quats=F.normalize(rotation, dim=-1),
        scales=(0.1 * F.softplus(scale)).clamp(min=1e-8),  # softplus underflows, and scales have logarithms
        opacities=torch.sigmoid(opacity).squeeze(-1),
        colors=0.5 * torch.tanh(color) + 0.5,
    )
