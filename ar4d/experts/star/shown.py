"""What the clip shows is taken from the clip: the predicted Gaussians with its pixels and its outline.

The decoder knows a picture by few codes. View 0 is the clip itself, so its pixels need no codes: the
Gaussians of that view are made as fine as the budget allows, with the first frame's own outline and colours,
and move as the predicted ones do. In every frame, Gaussians that the camera sees have the frame's colours,
and what lies outside the frame's outline is transparent.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import intrinsics, orbit
from ar4d.errors import UserError
from ar4d.experts.star.config import CodecConfig
from ar4d.experts.star.rays import view_rays
from ar4d.experts.star.splats import Splats
from ar4d.gaussians import Gaussians, concatenate
from ar4d.rendering import render

SOLID = 0.5
FRONT_OPACITY = 0.97
WIDTH = 0.6
"""Standard deviation of the clip's own view's Gaussians as they are rendered, in their own pixels."""
DILATION = 0.3
"""Variance that the rasteriser adds, in square pixels of its picture."""
LEAST_WIDTH = 0.2
DEPTH_SIZE = 96
"""Pixels of the depth map that tells what the camera sees."""
BEHIND = 0.04
"""World units that a visible Gaussian may lie behind the depth map."""
LEAST_OPACITY = 1e-4
HOLE_SIZE = 128
"""Pixels of the picture that tells what of a frame is left open."""
OPEN = 0.05
"""Alpha that may lack without being filled."""
REACHED = 4
"""Pixels of the network's grid over which a depth spreads beyond the first frame's outline."""
LITTLE = 1e-3


class ShownByClip:
    """The Gaussians of an object whose first frame is known."""

    def __init__(self, first: Splats, clip: Tensor, budget: int, config: CodecConfig) -> None:
        """
        Args:
            first: the Gaussians of the first time.
            clip: [F, S, S, 4] all frames, straight alpha.
            budget: about how many Gaussians are wanted.

        Raises:
            UserError: the first frame is empty.
        """
        self.config, self.first, picture = config, first, clip[0]
        covered = float((picture[..., 3] > SOLID).float().mean())
        union = clip[..., 3].amax(0)[None, None]
        if covered == 0:
            raise UserError(
                "The clip's first frame shows no object: begin the clip where the object is in the picture, "
                "or correct the background removal."
            )
        hidden = config.num_gaussians - config.grid**2
        covered += float((union > SOLID).float().mean())
        finest = math.sqrt(max(budget - hidden, config.grid**2) / covered)
        self.size = max(config.grid, min(round(finest), picture.shape[0]))
        small = F.interpolate(_premultiplied(picture)[None], size=(self.size, self.size), mode="area")[0]
        self.kept = small[3] > SOLID
        if not bool(self.kept.any()):
            self.kept = small[3] == small[3].max()
        self.colors = (small[:3] / small[3:].clamp_min(1e-3)).clamp(0, 1)[:, self.kept].T
        self.weight = first.opacity_logits[0].view(config.views, config.grid, config.grid)[0].sigmoid()
        origins, directions = view_rays(config.azimuths_deg[:1], self.size, picture.device)
        depth = self._fine(first.depths[0, 0][..., None])
        self.means = origins.view(3) + directions[0][self.kept] * depth
        added = DILATION * (self.size / picture.shape[0]) ** 2
        own = math.sqrt(max(WIDTH**2 - added, LEAST_WIDTH**2))
        self.width = own * depth / intrinsics(self.size)[0, 0]  # [kept, 1]
        self.opacities = FRONT_OPACITY * small[3][self.kept]
        shown = F.interpolate(union, size=(self.size, self.size), mode="area")[0, 0] > SOLID
        self.fill = self._on_rays(shown, directions[0], origins.view(3), own)

    def at(self, splats: Splats, picture: Tensor) -> Gaussians:
        """The Gaussians of a time.

        Args:
            splats: one set, of the same Gaussians as the first time's.
            picture: [S, S, 4] of the clip's frame, straight alpha.
        """
        hidden = splats.of_set(0).select(self._beyond_view_0(splats))
        shift = self._fine(self._view_0(splats.means - self.first.means))
        growth = self._fine(self._view_0(splats.log_scales - self.first.log_scales))
        front = Gaussians(
            means=self.means + shift,
            quats=F.normalize(self._fine(self._view_0(splats.quats)), dim=-1),
            scales=self.width * growth.exp(),
            opacities=self.opacities,
            colors=self.colors,
        )
        made = in_the_clips_colors(concatenate([front, hidden]), picture)
        return concatenate([made, filling(self.fill, made, picture)])

    def _on_rays(self, shown: Tensor, directions: Tensor, origin: Tensor, width: float) -> Gaussians:
        """A Gaussian at each shown pixel [size, size], at the depth of what is near it in the first frame."""
        near = torch.stack([self.first.depths[0, 0] * self.weight, self.weight])[None]
        spread = F.avg_pool2d(near, 2 * REACHED + 1, 1, REACHED) + LITTLE * near.mean((2, 3), keepdim=True)
        wide = F.interpolate(spread, size=(self.size, self.size), mode="bilinear", align_corners=False)[0]
        depth = (wide[0] / wide[1])[shown][:, None]
        means = origin + directions[shown] * depth
        scales = (width * depth / intrinsics(self.size)[0, 0]).expand(-1, 3)
        quats = means.new_tensor([1.0, 0, 0, 0]).expand(len(means), 4)
        return Gaussians(means, quats, scales, means.new_zeros(len(means)), torch.zeros_like(means))

    def _view_0(self, values: Tensor) -> Tensor:
        """[grid, grid, C] of view 0, of values [1, N, C] of all Gaussians."""
        grid = self.config.grid
        return values[0, : grid**2].view(grid, grid, -1)

    def _beyond_view_0(self, splats: Splats) -> Tensor:
        return torch.arange(self.config.grid**2, splats.means.shape[1], device=splats.means.device)

    def _fine(self, values: Tensor) -> Tensor:
        """Values [kept, C] at the fine pixels, of values [grid, grid, C]; opaque Gaussians count most."""
        stack = torch.cat([values, torch.ones_like(values[..., :1])], -1) * (self.weight[..., None] + 1e-4)
        wide = F.interpolate(
            stack.permute(2, 0, 1)[None], size=(self.size, self.size), mode="bilinear", align_corners=False
        )[0]
        return (wide[:-1] / wide[-1:])[:, self.kept].T


@torch.no_grad()
def filling(fill: Gaussians, made: Gaussians, picture: Tensor) -> Gaussians:
    """Gaussians with a frame's colours where the frame shows more than `made` does, elsewhere transparent.

    The motion that is predicted does not reach all of a frame's outline; what is left open is filled on the
    rays of the clip's pixels.
    """
    camera, light = orbit(0.0, size=HOLE_SIZE).to(made.means.device), _premultiplied(picture)
    target = F.interpolate(light[None], size=(HOLE_SIZE, HOLE_SIZE), mode="area")[0, 3]
    covered = render(made, camera).alpha[0]
    hole = target - covered
    hole = torch.where(hole > OPEN, hole / (1 - covered).clamp_min(OPEN), 0)  # for one that lies behind
    places = _places(fill.means, HOLE_SIZE)[0]
    sampled = _sampled(light, places)
    alpha = sampled[:, 3:].clamp_min(1e-3)
    opacities = FRONT_OPACITY * _sampled(hole[None], places)[:, 0].clamp(LEAST_OPACITY, 1)
    return Gaussians(fill.means, fill.quats, fill.scales, opacities, (sampled[:, :3] / alpha).clamp(0, 1))


def _premultiplied(picture: Tensor) -> Tensor:
    """[4, S, S] of a picture [S, S, 4] with straight alpha."""
    return torch.cat([picture[..., :3] * picture[..., 3:], picture[..., 3:]], -1).permute(2, 0, 1)


def _places(means: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Places [N, 2] in the reference camera's picture, from -1 to 1, and depths [N]."""
    camera = orbit(0.0, size=size).to(means.device)
    local = means @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    far = local[:, 2].clamp_min(1e-3)
    return 2 * float(camera.Ks[0, 0, 0]) / size * local[:, :2] / far[:, None], far


@torch.no_grad()
def in_the_clips_colors(gaussians: Gaussians, picture: Tensor) -> Gaussians:
    """Gaussians with a frame's colours where the reference camera sees them, transparent outside its outline.

    Args:
        gaussians: as a camera at elevation 0 sees them.
        picture: [S, S, 4] the frame, straight alpha.
    """
    camera = orbit(0.0, size=DEPTH_SIZE).to(gaussians.means.device)
    places, far = _places(gaussians.means, DEPTH_SIZE)
    sampled = _sampled(_premultiplied(picture), places)
    alpha = sampled[:, 3]
    inside = gaussians.opacities * alpha.clamp(LEAST_OPACITY, 1)
    carved = Gaussians(gaussians.means, gaussians.quats, gaussians.scales, inside, gaussians.colors)
    view = render(carved, camera)
    depth = _sampled((view.depth / view.alpha.clamp_min(1e-3)), places)[:, 0]
    seen = ((far <= depth + BEHIND) & (alpha > SOLID))[:, None]
    own = (sampled[:, :3] / alpha[:, None].clamp_min(1e-3)).clamp(0, 1)
    colors = torch.where(seen, own, gaussians.colors)
    return Gaussians(carved.means, carved.quats, carved.scales, carved.opacities, colors)


def _sampled(image: Tensor, places: Tensor) -> Tensor:
    """Values [N, C] of an image [C, H, W] at places [N, 2] in [-1, 1]; 0 outside."""
    return F.grid_sample(image[None], places[None, None], align_corners=False)[0, :, 0].T
