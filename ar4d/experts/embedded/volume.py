"""What a prediction tells along the reference view's rays, seen by the four orthogonal cameras."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS
from ar4d.experts.embedded.geometry import VIEWS, frustum_points, project, rays
from ar4d.experts.embedded.network import BEHIND, DEPTH_RANGE, OUT_SIZE, TINTED, Prediction
from ar4d.experts.embedded.surface import ViewMaps, carried_on
from ar4d.experts.embedded.symmetry import reflected

LAYERS = 96  # of the volume along the reference view's rays
STEPS = 96  # along the other views' rays
THINNEST = 0.02  # world units of matter behind every front
EDGE = 0.01  # world units over which the volume rises from nothing to something at the front
OUTSIDE = -4.0  # logit
TWIN_SHARE = 0.3  # of what is told on the other side of the plane of symmetry
BIAS = 1.5  # added to the logits of matter: half a chance is too late for the largest overlap
NEAREST, FARTHEST = RADIUS - DEPTH_RANGE, RADIUS + DEPTH_RANGE


def views_of(prediction: Prediction, rgba: Tensor, planes: Tensor, chances: Tensor) -> ViewMaps:
    """Alpha, depth and colour from azimuths 0, 90, 180 and 270, OUT_SIZE² each.

    Args:
        prediction: of one object, K times: each time as if the plane of symmetry were another one.
        rgba: [4, OUT_SIZE, OUT_SIZE] the picture, premultiplied.
        planes: [K, 4], 0 where there is none.
        chances: [K] that add up to 1.
    """
    alpha = rgba[3]
    on = (alpha > 0.5).float().expand(len(planes), 1, -1, -1)
    told = torch.cat([prediction.front[:, None], prediction.solid, prediction.tints.flatten(1, 2)], 1)
    told = carried_on(told, on)
    volume = torch.zeros(LAYERS, *alpha.shape)
    for guess, plane, chance in zip(told, planes, chances, strict=True):
        alone = _volume(guess[0], guess[1 : 1 + len(BEHIND)], alpha)
        volume += chance * (_with_twins(alone, alpha, plane) if bool(plane.any()) else alone)
    mean = (chances[:, None, None, None] * told).sum(0)
    front, tints = mean[0], mean[1 + len(BEHIND) :].unflatten(0, (-1, 3))
    own = rgba[:3] / alpha.clamp_min(1e-3)
    seen = [_march(volume, front, tints, view) for view in range(1, VIEWS)]
    alphas, depths, colors = (torch.stack(parts) for parts in zip(*seen, strict=True))
    return ViewMaps(
        torch.cat([alpha[None], alphas]), torch.cat([front[None], depths]), torch.cat([own[None], colors])
    )


def _volume(front: Tensor, solid: Tensor, alpha: Tensor) -> Tensor:
    """[LAYERS, H, W] logits at equally spaced depths along the reference view's rays."""
    depths = torch.linspace(NEAREST, FARTHEST, LAYERS)[:, None, None]
    behind = depths - front
    bins = torch.tensor((0.0, *BEHIND))
    known = torch.cat([solid[:1], solid]) + BIAS
    known = torch.where((bins <= THINNEST)[:, None, None], known.clamp_min(2.0), known)
    after = torch.bucketize(behind, bins).clamp(1, len(bins) - 1)
    share = ((behind - bins[after - 1]) / (bins[after] - bins[after - 1])).clamp(0, 1)
    inside = torch.lerp(known.gather(0, after - 1), known.gather(0, after), share)
    at_front = (4 * behind / EDGE).clamp(OUTSIDE, -OUTSIDE)
    at_outline = (8 * (alpha - 0.5)).clamp(OUTSIDE, -OUTSIDE)
    return torch.minimum(torch.minimum(inside, at_front), at_outline.expand_as(inside)).clamp(
        OUTSIDE, -OUTSIDE
    )


def _with_twins(volume: Tensor, alpha: Tensor, plane: Tensor) -> Tensor:
    """The volume, each place averaged with its twin's: what is seen on one side is known of the other."""
    depths = torch.linspace(NEAREST, FARTHEST, LAYERS)
    twins = _sampled(volume, reflected(frustum_points(depths, OUT_SIZE), plane))
    at_outline = (8 * (alpha - 0.5)).clamp(OUTSIDE, -OUTSIDE)
    return torch.minimum(torch.lerp(volume, twins, TWIN_SHARE), at_outline.expand_as(volume))


def _sampled(volume: Tensor, points: Tensor) -> Tensor:
    """Logits [...] of the volume at points [..., H, W, 3]."""
    place, far = project(points, 0)
    layer = 2 * (far - NEAREST) / (FARTHEST - NEAREST) - 1
    layer = (layer * (LAYERS - 1)) / LAYERS  # grid_sample's ends are the outer faces of the outer layers
    grid = torch.cat([place, layer[..., None]], -1)
    field = F.grid_sample(volume[None, None], grid[None], align_corners=False, padding_mode="border")[0, 0]
    return torch.where(place.abs().amax(-1) < 1, field, OUTSIDE)


def _march(volume: Tensor, front: Tensor, tints: Tensor, view: int) -> tuple[Tensor, Tensor, Tensor]:
    """Alpha and depth [H, W] and colour [3, H, W] of a view: where its rays first enter the volume."""
    origins, directions = rays(OUT_SIZE)
    depths = torch.linspace(NEAREST, FARTHEST, STEPS)
    points = origins[view] + directions[view] * depths[:, None, None, None]  # [STEPS, H, W, 3]
    field = _sampled(volume, points)
    highest, peak = field.max(0)
    entered = field > 0
    first = torch.where(entered.any(0), entered.float().argmax(0), peak)
    now = field.gather(0, first[None])[0]
    before = field.gather(0, (first - 1).clamp_min(0)[None])[0]
    back = torch.where(now > 0, now / (now - before).clamp_min(1e-3), torch.zeros_like(now)).clamp(0, 1)
    depth = depths[first] - back * (depths[1] - depths[0])
    hit = origins[view] + directions[view] * depth[..., None]
    return torch.sigmoid(highest), depth, _tint(hit, front, tints)


def _tint(points: Tensor, front: Tensor, tints: Tensor) -> Tensor:
    """[3, H, W] colours told at points [H, W, 3]."""
    place, far = project(points, 0)
    before = F.grid_sample(front[None, None], place[None], padding_mode="border", align_corners=False)[0, 0]
    layer = tint_layer((far - before).clamp_min(0))
    grid = torch.cat([place, layer[..., None]], -1)[None, None]
    volume = tints.transpose(0, 1)[None]  # [1, 3, layers, H, W]
    return F.grid_sample(volume, grid, padding_mode="border", align_corners=False)[0, :, 0]


def tint_layer(behind: Tensor) -> Tensor:
    """Where in a volume with the layers TINTED `grid_sample` finds distances behind the front."""
    known = torch.tensor(TINTED, device=behind.device)
    after = torch.bucketize(behind.contiguous(), known).clamp(1, len(known) - 1)
    share = ((behind - known[after - 1]) / (known[after] - known[after - 1])).clamp(0, 1)
    return (2 * (after - 1 + share) + 1) / len(TINTED) - 1
