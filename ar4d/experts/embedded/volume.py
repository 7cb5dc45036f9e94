"""From a prediction along the reference view's rays to what the four orthogonal cameras see of it.

The prediction becomes a volume of occupancy logits in the reference camera's frustum, is averaged with its
mirror image where a plane of symmetry is known, and is ray-marched from the other three cameras.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS
from ar4d.experts.embedded.geometry import VIEWS, frustum_points, project, rays
from ar4d.experts.embedded.network import (
    COLOR_OFFSETS,
    DEPTH_RANGE,
    OCCUPANCY_OFFSETS,
    OUT_SIZE,
    Prediction,
)
from ar4d.experts.embedded.surface import ViewMaps, extrapolate
from ar4d.experts.embedded.symmetry import reflect

LAYERS = 48
"""Depths of the volume along the reference view's rays."""
MARCH_STEPS = 48
"""Depths along the other views' rays."""
MIN_THICKNESS = 0.02
"""World units of matter that are assumed behind every front."""
FRONT_WIDTH = 0.01
"""World units over which the logits rise at the front."""
EMPTY_LOGIT = -4.0
"""The logit of empty space; the largest one is its negative."""
MIRROR_WEIGHT = 0.3
"""Weight of the mirrored volume where a plane of symmetry is known."""
OCCUPANCY_BIAS = 1.5
"""Added to predicted logits: a threshold at probability 1/2 is too high for the best silhouette IoU."""
NEAREST, FARTHEST = RADIUS - DEPTH_RANGE, RADIUS + DEPTH_RANGE


def render_views(prediction: Prediction, rgba: Tensor, planes: Tensor, weights: Tensor) -> ViewMaps:
    """Alpha, depth and colour maps at azimuths 0, 90, 180 and 270, OUT_SIZE² pixels each.

    Args:
        prediction: [K, …] predictions of one object, one for each assumed plane of symmetry.
        rgba: [4, OUT_SIZE, OUT_SIZE] the picture, premultiplied.
        planes: [K, 4], 0 for none.
        weights: [K] of the predictions; they sum to 1.
    """
    alpha = rgba[3]
    mask = (alpha > 0.5).float().expand(len(planes), 1, -1, -1)
    maps = torch.cat(
        [prediction.front_depth[:, None], prediction.occupancy_logits, prediction.colors.flatten(1, 2)], 1
    )
    maps = extrapolate(maps, mask)
    bins = len(OCCUPANCY_OFFSETS)
    volume = torch.zeros(LAYERS, *alpha.shape)
    for hypothesis, plane, weight in zip(maps, planes, weights, strict=True):
        single = _volume(hypothesis[0], hypothesis[1 : 1 + bins], alpha)
        volume += weight * (_symmetrize(single, alpha, plane) if bool(plane.any()) else single)
    mean = (weights[:, None, None, None] * maps).sum(0)
    front_depth, colors = mean[0], mean[1 + bins :].unflatten(0, (-1, 3))
    picture = rgba[:3] / alpha.clamp_min(1e-3)
    marched = [_march(volume, front_depth, colors, view) for view in range(1, VIEWS)]
    alphas, depths, rgbs = (torch.stack(parts) for parts in zip(*marched, strict=True))
    return ViewMaps(
        alpha=torch.cat([alpha[None], alphas]),
        depth=torch.cat([front_depth[None], depths]),
        rgb=torch.cat([picture[None], rgbs]),
    )


def _volume(front_depth: Tensor, occupancy_logits: Tensor, alpha: Tensor) -> Tensor:
    """Logits [LAYERS, H, W] at equally spaced depths along the reference view's rays."""
    depths = torch.linspace(NEAREST, FARTHEST, LAYERS)[:, None, None]
    behind = depths - front_depth
    bins = torch.tensor((0.0, *OCCUPANCY_OFFSETS))
    logits = torch.cat([occupancy_logits[:1], occupancy_logits]) + OCCUPANCY_BIAS
    logits = torch.where((bins <= MIN_THICKNESS)[:, None, None], logits.clamp_min(2.0), logits)
    upper = torch.bucketize(behind, bins).clamp(1, len(bins) - 1)
    share = ((behind - bins[upper - 1]) / (bins[upper] - bins[upper - 1])).clamp(0, 1)
    inside = torch.lerp(logits.gather(0, upper - 1), logits.gather(0, upper), share)
    at_front = (4 * behind / FRONT_WIDTH).clamp(EMPTY_LOGIT, -EMPTY_LOGIT)
    at_outline = (8 * (alpha - 0.5)).clamp(EMPTY_LOGIT, -EMPTY_LOGIT)
    return torch.minimum(torch.minimum(inside, at_front), at_outline.expand_as(inside)).clamp(
        EMPTY_LOGIT, -EMPTY_LOGIT
    )


def _symmetrize(volume: Tensor, alpha: Tensor, plane: Tensor) -> Tensor:
    """Blend the volume with its mirror image: each side of the object informs the other."""
    depths = torch.linspace(NEAREST, FARTHEST, LAYERS)
    mirrored = _sample(volume, reflect(frustum_points(depths, OUT_SIZE), plane))
    at_outline = (8 * (alpha - 0.5)).clamp(EMPTY_LOGIT, -EMPTY_LOGIT)
    return torch.minimum(torch.lerp(volume, mirrored, MIRROR_WEIGHT), at_outline.expand_as(volume))


def _sample(volume: Tensor, points: Tensor) -> Tensor:
    """Logits [..., H, W] of the volume at points [..., H, W, 3]; EMPTY_LOGIT outside the frustum."""
    place, depth = project(points, 0)
    layer = 2 * (depth - NEAREST) / (FARTHEST - NEAREST) - 1
    layer = (layer * (LAYERS - 1)) / LAYERS  # grid_sample's ends are the outer faces of the outer layers
    grid = torch.cat([place, layer[..., None]], -1)
    field = F.grid_sample(volume[None, None], grid[None], align_corners=False, padding_mode="border")[0, 0]
    return torch.where(place.abs().amax(-1) < 1, field, EMPTY_LOGIT)


def _march(volume: Tensor, front_depth: Tensor, colors: Tensor, view: int) -> tuple[Tensor, Tensor, Tensor]:
    """Alpha and depth [H, W] and colour [3, H, W] of a view, taken where its rays first enter the volume."""
    origins, directions = rays(OUT_SIZE)
    depths = torch.linspace(NEAREST, FARTHEST, MARCH_STEPS)
    points = origins[view] + directions[view] * depths[:, None, None, None]  # [MARCH_STEPS, H, W, 3]
    field = _sample(volume, points)
    highest, peak = field.max(0)
    entered = field > 0
    first = torch.where(entered.any(0), entered.float().argmax(0), peak)
    at_first = field.gather(0, first[None])[0]
    before = field.gather(0, (first - 1).clamp_min(0)[None])[0]
    back = torch.where(
        at_first > 0, at_first / (at_first - before).clamp_min(1e-3), torch.zeros_like(at_first)
    ).clamp(0, 1)
    depth = depths[first] - back * (depths[1] - depths[0])
    hit = origins[view] + directions[view] * depth[..., None]
    return torch.sigmoid(highest), depth, _color_at(hit, front_depth, colors)


def _color_at(points: Tensor, front_depth: Tensor, colors: Tensor) -> Tensor:
    """Predicted colours [3, H, W] at points [H, W, 3]."""
    place, depth = project(points, 0)
    front = F.grid_sample(front_depth[None, None], place[None], padding_mode="border", align_corners=False)[
        0, 0
    ]
    layer = color_layer((depth - front).clamp_min(0))
    grid = torch.cat([place, layer[..., None]], -1)[None, None]
    volume = colors.transpose(0, 1)[None]  # [1, 3, layers, H, W]
    return F.grid_sample(volume, grid, padding_mode="border", align_corners=False)[0, :, 0]


def color_layer(behind: Tensor) -> Tensor:
    """`grid_sample` coordinate, in a volume with the layers COLOR_OFFSETS, of distances behind the front."""
    offsets = torch.tensor(COLOR_OFFSETS, device=behind.device)
    upper = torch.bucketize(behind.contiguous(), offsets).clamp(1, len(offsets) - 1)
    share = ((behind - offsets[upper - 1]) / (offsets[upper] - offsets[upper - 1])).clamp(0, 1)
    return (2 * (upper - 1 + share) + 1) / len(COLOR_OFFSETS) - 1
