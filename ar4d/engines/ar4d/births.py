"""New Gaussians for what a frame shows and no earlier one did, and the end of those that it contradicts.

Stage 2 deforms the Gaussians of the frame before. What comes from behind the body or out of it has none, and
others are torn and painted to stand in for it. Where a frame's view stays wrong although most of its steps
are done, new Gaussians are put on its surface, in the frame's colours. What has been driven far from the
object's outline is no part of it any more. None of this is in the paper.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, Cameras
from ar4d.gaussians import Gaussians
from ar4d.rendering import Rendering

WINDOW = 5  # pixels over which a residual is averaged: a single wrong pixel is no birth
STRIDE = 2  # pixels from one new Gaussian to the next
LEAST_PIXELS = 24  # of 256²: a smaller region is left to the others
MOST_SHARE = 0.05  # of the Gaussians that there are: what comes in one frame at most
OPACITY = 0.9
SOLID = 0.9  # alpha from which a pixel is the object's alone
STRAY_PIXELS = 6  # of 256: distance from the frame's outline from which a Gaussian is no part of the object
AHEAD = 0.01  # orbit radii by which they lie in front of what they cover


def newborn(
    seen: Rendering,
    rgba: Tensor,
    target: Tensor,
    expected_depth: Tensor,
    camera: Cameras,
    residual: float,
    count: int,
) -> Gaussians | None:
    """Gaussians where a view is wrong; None where it is right nearly everywhere.

    Args:
        seen: [1, S, S] the reference view of the Gaussians so far.
        rgba: [S, S, 4] the frame, straight alpha.
        target: [S, S, 3] the same on white.
        expected_depth: [S, S] of the frame's surface as the pseudo-Gaussians have it, world units; 0 where
            unknown.
        camera: the reference camera.
        residual: mean absolute error of colours, over WINDOW² pixels, from which a place is wrong.
        count: of the Gaussians so far.
    """
    wrong = _wrong_pixels(seen.rgb[0], rgba, target, residual)
    if int(wrong.sum()) < LEAST_PIXELS * (len(target) / 256) ** 2:
        return None
    chosen = wrong.clone()
    chosen[torch.arange(len(wrong)) % STRIDE > 0] = False
    chosen[:, torch.arange(len(wrong)) % STRIDE > 0] = False
    rows, columns = chosen.nonzero(as_tuple=True)
    if not len(rows):
        return None
    kept = torch.linspace(0, len(rows) - 1, min(len(rows), max(1, round(MOST_SHARE * count)))).round().long()
    rows, columns = rows[kept], columns[kept]
    here = _surface_depth(seen, expected_depth)[rows, columns]
    K, view = camera.Ks[0].to(here), camera.viewmats[0].to(here)
    pixels = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(columns)], -1).to(here)
    points = here[:, None] * (pixels @ torch.linalg.inv(K).T)
    means = (points - view[:3, 3]) @ view[:3, :3]  # R⁻¹ (x - t)
    size = STRIDE / 2 * here / K[0, 0]
    quats = torch.tensor([1.0, 0, 0, 0], device=here.device).expand(len(here), 4).contiguous()
    colors = rgba[rows, columns, :3].clone()
    return Gaussians(
        means, quats, size[:, None].expand(-1, 3).contiguous(), torch.full_like(here, OPACITY), colors
    )


def without_strays(gaussians: Gaussians, alpha: Tensor, camera: Cameras) -> Gaussians:
    """The same Gaussians, those with opacity 0 that lie where the frame shows no object.

    Args:
        alpha: [S, S] of the frame.
        camera: the reference camera.
    """
    size = len(alpha)
    K, view = camera.Ks[0].to(alpha), camera.viewmats[0].to(alpha)
    points = gaussians.means @ view[:3, :3].T + view[:3, 3]
    pixels = (points @ K.T)[:, :2] / points[:, 2:].clamp_min(1e-6)
    column, row = pixels.long().clamp(0, size - 1).unbind(-1)  # an object may go on beyond the border
    reach = 2 * round(STRAY_PIXELS * size / 256) + 1
    near = F.max_pool2d(alpha[None, None], reach, 1, reach // 2)[0, 0] > 0.5
    kept = torch.where(near[row, column] & (points[:, 2] > 0), gaussians.opacities, 0.0)
    return Gaussians(gaussians.means, gaussians.quats, gaussians.scales, kept, gaussians.colors)


def _wrong_pixels(rgb: Tensor, rgba: Tensor, target: Tensor, residual: float) -> Tensor:
    """[S, S] bool: the object's pixels around which the view is wrong on average."""
    error = (rgb - target).abs().mean(-1)
    around = F.avg_pool2d(error[None, None], WINDOW, 1, WINDOW // 2, count_include_pad=False)[0, 0]
    return (around > residual) & (rgba[..., 3] > SOLID)


def _surface_depth(seen: Rendering, expected: Tensor) -> Tensor:
    """[S, S] where new Gaussians belong: in front of what is there, or where the expert has the surface."""
    alpha = seen.alpha[0]
    shown = torch.where(alpha > 0.5, seen.depth[0] / alpha.clamp_min(1e-6), RADIUS)
    ahead = shown - AHEAD * RADIUS
    return torch.where(expected > 0, torch.minimum(expected, ahead), ahead)
