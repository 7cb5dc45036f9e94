"""What a decoded window costs: its pictures, its motion, its codes and what a critic makes of it.

The paper names a rendering loss, a discriminator and optical flow. Weights, and the terms that compare the
Gaussians with the pictures along their own rays, are defaults of this project: the latter need no rasteriser
and shorten the way to a first shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ar4d.cameras import Cameras, orbit
from ar4d.experts.star.config import CodecConfig
from ar4d.experts.star.splats import Splats
from ar4d.gaussians import Gaussians
from ar4d.rendering import render
from train.star.windows import Windows

SOLID = 0.5


@dataclass(frozen=True)
class Weights:
    """Weights of the terms."""

    absolute: float = 1.0
    """Of L1 on premultiplied colour."""
    squared: float = 2.0
    """Of L2 on premultiplied colour."""
    alpha: float = 1.0
    """Of L1 on alpha."""
    rays: float = 0.5
    """Of depth and opacity of the Gaussians against the pictures along their own rays."""
    rays_end: float = 0.2
    """Share of that weight which is left from the middle of the training on."""
    colors: float = 1.0
    """Of the Gaussians' colours against the pictures along their own rays: the background takes most pixels
    of a render, and without this term a short training stays grey."""
    codes: float = 1.0
    """Of the codebooks' loss."""
    flow: float = 0.02
    """Of the optical flow of the renders, per pixel of the picture."""
    critic: float = 0.0
    """Of the discriminator (hinge); 0: there is none."""


class Critic(nn.Module):
    """Three convolutions that judge patches of premultiplied pictures [B, 4, S, S]."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, channels, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 2 * channels, 4, 2, 1), nn.GroupNorm(8, 2 * channels), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels, 1, 3, 1, 1),
        )  # fmt: skip

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores [B, 1, S / 4, S / 4]; real pictures have high ones."""
        return self.layers(2 * pictures - 1)


def cameras_of(config: CodecConfig) -> Cameras:
    """The views' cameras at the size of the pictures."""
    return orbit(config.azimuths_deg, size=config.size)


def rendered(splats: Splats, config: CodecConfig) -> Tensor:
    """Premultiplied pictures [S, V, 4, size, size] of S sets from all views."""
    cameras, made = cameras_of(config), []
    for index in range(len(splats.means)):
        view = render(splats.of_set(index), cameras, background=None)
        made.append(torch.cat([view.rgb, view.alpha[..., None]], -1).permute(0, 3, 1, 2))
    return torch.stack(made)


def picture_terms(seen: Tensor, truth: Tensor, weights: Weights) -> dict[str, Tensor]:
    """L1, L2 and alpha's L1 between premultiplied pictures [..., 4, S, S]."""
    difference = seen - truth
    rgb, alpha = difference[..., :3, :, :], difference[..., 3, :, :]
    return {
        "picture": weights.absolute * rgb.abs().mean() + weights.squared * rgb.square().mean(),
        "alpha": weights.alpha * alpha.abs().mean(),
    }


def ray_terms(splats: Splats, windows: Windows, still: bool, config: CodecConfig) -> tuple[Tensor, Tensor]:
    """Shape (depth and opacity) and colour of Gaussians against their own view's picture at their own pixel.

    Opacity is compared by cross-entropy: rendering gives a Gaussian below 1/255 no gradient, and most pixels
    are background, so that without it all Gaussians soon become transparent and stay so.
    """
    batch, views, times = windows.pictures.shape[:3]
    pictures = windows.pictures.transpose(1, 2).flatten(0, 1)  # [B T, V, 4, S, S]
    depth = windows.depth.transpose(1, 2).flatten(0, 1)
    depths, colors, opacities = splats.depths, splats.color_logits, splats.opacity_logits
    if not still and times > 1 and config.canonical == "first":  # the others lie on no ray of their time
        first = torch.arange(batch, device=depth.device) * times
        pictures, depth, depths, colors, opacities = (
            x[first] for x in (pictures, depth, depths, colors, opacities)
        )
    step = config.size // config.grid
    small = F.avg_pool2d(pictures.flatten(0, 1), step).unflatten(0, (-1, views))
    far = depth[..., step // 2 :: step, step // 2 :: step]
    shape = (-1, views, config.grid, config.grid)
    alpha = small[:, :, 3]
    solid = ((alpha > SOLID) & (far > 0)).float()
    count = solid.sum().clamp_min(1)
    rgb = small[:, :, :3] / alpha[:, :, None].clamp_min(1e-3)
    own = colors.sigmoid().view(*shape, 3).movedim(-1, 2)
    shape_error = ((depths - far).abs() * solid).sum() / count
    color_error = ((own - rgb).abs().mean(2) * solid).sum() / count
    opacity_error = F.binary_cross_entropy_with_logits(opacities.view(shape), alpha)
    return 4 * shape_error + opacity_error, color_error


def flow_term(splats: Splats, windows: Windows, view: int, config: CodecConfig) -> Tensor:
    """L1, in pixels, between rendered and true optical flow in one view, where the true one is known.

    The rendered flow is the splat of the Gaussians' displacements in the image, divided by alpha.
    """
    batch, _, times = windows.pictures.shape[:3]
    camera = cameras_of(config)[view : view + 1].to(splats.means.device)
    total, count = splats.means.new_zeros(()), 0
    for pair in windows.followed.nonzero()[:, 0].tolist():
        for index in range(batch):
            now = splats.of_set(index * times + pair)
            shift = _projected(splats.means[index * times + pair + 1], camera) - _projected(now.means, camera)
            colors = F.pad(shift, (0, 1))
            splatted = render(
                Gaussians(now.means, now.quats, now.scales, now.opacities, colors), camera, background=None
            )
            mask = (splatted.alpha[0] > SOLID) & (windows.pictures[index, view, pair, 3] > SOLID)
            flow = splatted.rgb[0, ..., :2] / splatted.alpha[0, ..., None].clamp_min(SOLID)
            error = (flow - windows.flow[index, view, pair].movedim(0, -1)).abs().mean(-1)
            total = total + (error * mask).sum() / mask.sum().clamp_min(1)
            count += 1
    return total / max(count, 1)


def _projected(points: Tensor, camera: Cameras) -> Tensor:
    """Places [N, 2] of world points in the image of one camera, pixels."""
    local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    return camera.Ks[0, 0, 0] * local[:, :2] / local[:, 2:].clamp_min(1e-3)


def critic_terms(critic: Critic, seen: Tensor, truth: Tensor, weight: float) -> dict[str, Tensor]:
    """Hinge losses of the critic and of what it judges, whose gradients do not mix.

    Args:
        seen: [B, 4, S, S] renders.
        truth: [B, 4, S, S].
    """
    fixed = {name: value.detach() for name, value in critic.state_dict(keep_vars=True).items()}
    fooled = functional_call(critic, fixed, (seen,))
    real, fake = critic(truth), critic(seen.detach())
    return {
        "fooling": -weight * fooled.mean(),
        "critic": F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
    }
