"""From maps of four orthogonal views to one surface of flat Gaussians.

Every pixel on the object is a point on its ray. A point that another view's outline contradicts is moved
along its ray to where the outlines agree, or dropped. The reference view's points are never dropped: its
outline and colours are the picture's own. A point is as opaque as its own view is sure of it, so that
uncertain outlines become neither holes nor solid lumps. (The least certain of all views made backs so
translucent that the face shone through them.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.geometry import VIEWS, cameras, project, rays, sample_view
from ar4d.experts.embedded.symmetry import reflect
from ar4d.experts.embedded.texture import with_fine_detail
from ar4d.experts.surfels import surfels
from ar4d.gaussians import Gaussians

OPACITY = 0.95
"""Opacity of certain points."""
OBJECT_ALPHA = 0.6
"""Alpha from which a pixel shows the object."""
CERTAIN_ALPHA = 0.98
"""Alpha of its own view from which a point is opaque."""
MIN_OPACITY_SHARE = 0.1
"""Least share of OPACITY that a point has."""
AGREEMENT_ALPHA = 0.65
"""Alpha that every other view needs where a point lies."""
SEARCH_RANGE = 0.3
"""World units by which a point may be moved along its ray, either way."""
SEARCH_STEPS = 24
"""Positions tried either way."""
MAX_STEP = 2.0
"""Grid cells between two neighbouring points beyond which they belong to different surfaces."""
STD_ALONG = 0.5
"""Standard deviation of a Gaussian along the surface, in grid cells; less shows gaps from nearby."""
STD_ACROSS = 0.15
"""Standard deviation of a Gaussian across the surface, in grid cells."""
MAX_STD = 2.5
"""Largest standard deviation, in grid cells."""
KEPT_SHARE = 0.95
"""Usual share of points that no view contradicts."""
VISIBLE_DISTANCE = 2.5
"""Grid cells by which a point may lie behind a view's surface and still count as visible in it."""


@dataclass(frozen=True)
class ViewMaps:
    """What the four orthogonal cameras see."""

    alpha: Tensor  # [4, H, W] in [0, 1]
    depth: Tensor  # [4, H, W] world units along the optical axis, defined a little beyond the outline too
    rgb: Tensor  # [4, 3, H, W] straight, in [0, 1]


@dataclass(frozen=True)
class PixelPoints:
    """The points of all views' pixels."""

    points: Tensor  # [4, H, W, 3]
    mask: Tensor  # [4, H, W] bool, the pixels whose point is used


def gaussians_from_views(
    maps: ViewMaps, plane: Tensor, probability: float, texture: float = 0.0
) -> Gaussians:
    """One flat Gaussian for each pixel that shows the object and that no other view contradicts.

    Args:
        maps: the four views.
        plane: [4] of symmetry, 0 where none is known.
        probability: that the plane is right, in [0, 1].
        texture: share of the picture's fine detail that the other views' points get, in [0, 1].
    """
    size = maps.alpha.shape[-1]
    cell = RADIUS / float(intrinsics(size)[0, 0])
    pixels = _snap_to_outlines(maps)
    tangents = _tangents(pixels, cell)
    colors = maps.rgb.permute(0, 2, 3, 1)
    side_colors = with_fine_detail(colors[1:], pixels.points[1:], maps.rgb[0], maps.alpha[0], texture)
    side_colors = _project_input_colors(side_colors, pixels, tangents, maps, cell, (plane, probability))
    colors = torch.cat([colors[:1], side_colors])
    mask = pixels.mask
    certainty = ((maps.alpha - OBJECT_ALPHA) / (CERTAIN_ALPHA - OBJECT_ALPHA)).clamp(0, 1)
    opacities = OPACITY * (MIN_OPACITY_SHARE + (1 - MIN_OPACITY_SHARE) * certainty)
    opacities[0] = OPACITY
    bounds = (STD_ACROSS * cell, MAX_STD * cell)
    return surfels(pixels.points[mask], STD_ALONG * tangents[mask], colors[mask], opacities[mask], bounds)


def grid_size(alpha: Tensor, budget: int) -> int:
    """Width of the maps at which their points number about `budget`, for alphas [4, H, W]."""
    covered = float((alpha > OBJECT_ALPHA).float().mean((-1, -2)).sum())
    return max(16, round(math.sqrt(budget / max(covered * KEPT_SHARE, 1e-3))))


def resample(maps: ViewMaps, size: int) -> ViewMaps:
    """Resize the maps; depth and colour are extrapolated beyond the outline first."""
    mask = (maps.alpha > OBJECT_ALPHA).float()[:, None]
    extended = extrapolate(torch.cat([maps.depth[:, None], maps.rgb], 1), mask)
    stacked = torch.cat([maps.alpha[:, None], extended], 1)
    resized = F.interpolate(stacked, size=(size, size), mode="bicubic", align_corners=False, antialias=True)
    return ViewMaps(resized[:, 0].clamp(0, 1), resized[:, 1], resized[:, 2:].clamp(0, 1))


def extrapolate(values: Tensor, mask: Tensor) -> Tensor:
    """Extend values [V, C, H, W] three pixels beyond the mask [V, 1, H, W] by means of known neighbours."""
    known, result = mask, values * mask
    for _ in range(3):
        around = F.avg_pool2d(result, 3, 1, 1) / F.avg_pool2d(known, 3, 1, 1).clamp_min(1e-6)
        reached = (F.max_pool2d(known, 3, 1, 1) > 0).float()
        result = torch.where(known > 0, result, around * reached)
        known = reached
    return torch.where(known > 0, result, values)


def _snap_to_outlines(maps: ViewMaps) -> PixelPoints:
    """Move points along their rays, as little as possible, into the outlines of all other views."""
    mask = maps.alpha > OBJECT_ALPHA
    origins, directions = rays(maps.alpha.shape[-1])
    offsets = torch.linspace(-SEARCH_RANGE, SEARCH_RANGE, 2 * SEARCH_STEPS + 1)
    offsets = offsets[offsets.abs().argsort(stable=True)]  # nearest first
    points = origins + directions * maps.depth[..., None]
    for view in range(VIEWS):
        pixels = mask[view]
        chosen, accepted = _nearest_agreement(
            maps.alpha, view, origins[view], directions[view][pixels], maps.depth[view][pixels], offsets
        )
        points[view][pixels] = chosen
        if view > 0:
            kept = mask[view].clone()
            kept[pixels] = accepted
            mask[view] = kept
    return PixelPoints(points, mask)


def _nearest_agreement(
    alpha: Tensor, view: int, origin: Tensor, directions: Tensor, depths: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    """Points [n, 3] on n rays at the first offsets where the other views agree, and [n] whether any does.

    Where none does, the first offset is taken. Most points agree there, so only the others try the rest.
    """

    def candidates(rays: Tensor, tried: Tensor) -> tuple[Tensor, Tensor]:
        places = depths[rays][:, None] + tried
        points = origin + directions[rays][:, None] * places[..., None]
        others = [u for u in range(VIEWS) if u != view]
        agreement = torch.stack([sample_view(alpha[u][None], points, u)[0] for u in others])
        return points, agreement.amin(0) > AGREEMENT_ALPHA  # [n, offsets]

    points, agreed = candidates(torch.arange(len(depths)), offsets[:1])
    points, agreed = points[:, 0], agreed[:, 0]
    rest = (~agreed).nonzero()[:, 0]
    tried, accepted = candidates(rest, offsets[1:])
    found = accepted.any(1)
    points[rest[found]] = tried[found, accepted[found].float().argmax(1)]
    agreed[rest[found]] = True
    return points, agreed


def _tangents(pixels: PixelPoints, cell: float) -> Tensor:
    """Steps [4, H, W, 2, 3] right and down to the neighbouring pixels of the same surface."""
    result = []
    defaults = _image_plane_steps(pixels.points.shape[1], cell)
    for axis in (2, 1):
        step = torch.roll(pixels.points, -1, axis) - pixels.points
        valid = pixels.mask & torch.roll(pixels.mask, -1, axis) & (step.norm(dim=-1) < MAX_STEP * cell)
        before, valid_before = torch.roll(step, 1, axis), torch.roll(valid, 1, axis)
        weight = valid.float() + valid_before.float()
        total = step * valid[..., None] + before * valid_before[..., None]
        mean = total / weight.clamp_min(1)[..., None]
        result.append(torch.where(weight[..., None] > 0, mean, defaults[axis][:, None, None]))
    return torch.stack(result, -2)


def _image_plane_steps(size: int, cell: float) -> dict[int, Tensor]:
    """Steps [4, 3] of one cell parallel to the image planes, by axis, for pixels without a neighbour."""
    rotations = cameras(size).viewmats[:, :3, :3]
    return {2: rotations[:, 0] * cell, 1: rotations[:, 1] * cell}


def _project_input_colors(
    colors: Tensor,
    pixels: PixelPoints,
    tangents: Tensor,
    maps: ViewMaps,
    cell: float,
    mirror: tuple[Tensor, float],
) -> Tensor:
    """Colours [3, H, W, 3] of the other views' points: the picture's where it shows them or their twins.

    Args:
        colors: [3, H, W, 3] as predicted.
        pixels: the points of all four views.
        tangents: [4, H, W, 2, 3] of the points.
        maps: the four views.
        cell: width of a pixel at the origin's depth, world units.
        mirror: plane of symmetry [4] and the probability that it is right.
    """
    points = pixels.points[1:]
    normals = F.normalize(torch.linalg.cross(tangents[1:, ..., 0, :], tangents[1:, ..., 1, :]), dim=-1)
    plane, probability = mirror
    if bool(plane.any()):
        mirrored = reflect(points, plane)
        mirrored_normals = reflect(points + normals, plane) - mirrored
        by_symmetry = _sample_input_colors(colors, mirrored, mirrored_normals, maps, cell)
        colors = torch.lerp(colors, by_symmetry, probability)
    return _sample_input_colors(colors, points, normals, maps, cell)


def _sample_input_colors(
    colors: Tensor, points: Tensor, normals: Tensor, maps: ViewMaps, cell: float
) -> Tensor:
    """Colours [..., 3], blended with the picture's where points [..., 3] are visible in it and face it."""
    camera = torch.tensor([0.0, 0.0, RADIUS])
    cosine = (normals * F.normalize(camera - points, dim=-1)).sum(-1).abs()
    surface = sample_view(maps.depth[0][None], points, 0)[0]
    _, depth = project(points, 0)
    eroded = -F.max_pool2d(-maps.alpha[:1], 3, 1, 1)
    inside = sample_view(eroded, points, 0)[0]
    visible = ((depth - surface).abs() < VISIBLE_DISTANCE * cell) & (inside > 0.9)
    weight = (visible * ((cosine - 0.15) / 0.4).clamp(0, 1))[..., None]
    seen = sample_view(maps.rgb[0], points, 0).permute(1, 2, 3, 0)
    return colors + weight * (seen - colors)
