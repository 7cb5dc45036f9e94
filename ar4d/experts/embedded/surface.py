"""Maps of four orthogonal views become one surface of flat Gaussians.

Every pixel on the object is a point on its ray, and the views are held against each other: a point
that another view's outline contradicts is moved along its ray to where it agrees, or dropped. The
reference view is never cut: its outline and colours are the picture's own. Of what no view shows for
certain, points are as opaque as it is likely: neither a hole nor a lump that may not be there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.experts.embedded.geometry import VIEWS, cameras, project, rays, sample_view
from ar4d.experts.embedded.symmetry import reflected
from ar4d.experts.surfels import surfels
from ar4d.gaussians import Gaussians

OPACITY = 0.95
INSIDE = 0.6  # alpha from which a pixel shows the object
AGREED = 0.65  # alpha that another view must have where a point lies
SURE = 0.98  # alpha that all views must have for a point to be opaque
FAINTEST = 0.1  # share of the opacity that the others have at least
SEARCH = 0.3  # world units by which a point may be moved along its ray
SEARCH_STEPS = 24  # to either side
TORN = 2.0  # grid cells between two neighbours that are no longer one surface
SPREAD = 0.5  # standard deviation along the surface, in grid cells: less shows gaps from nearby
FLATNESS = 0.15  # and across it
LARGEST = 2.5
KEPT = 0.95  # usual share of points that no view contradicts
SEEN = 2.5  # grid cells by which a point may lie behind a view's surface and still be it


@dataclass(frozen=True)
class ViewMaps:
    """What four orthogonal cameras see."""

    alpha: Tensor  # [4, H, W] in [0, 1]
    depth: Tensor  # [4, H, W] world units along the optical axis, also a little beyond the outline
    rgb: Tensor  # [4, 3, H, W] straight, in [0, 1]


@dataclass(frozen=True)
class Sheets:
    """The points of all views' pixels."""

    points: Tensor  # [4, H, W, 3]
    on: Tensor  # [4, H, W] bool, the pixels whose point counts


def gaussians_from_views(maps: ViewMaps, plane: Tensor, chance: float) -> Gaussians:
    """One flat Gaussian for each pixel that shows the object and that no other view contradicts.

    Args:
        plane: [4] of symmetry, 0 where none is known.
        chance: that it is right.
    """
    size = maps.alpha.shape[-1]
    cell = RADIUS / float(intrinsics(size)[0, 0])
    sheets = _agreed(maps)
    tangents = _tangents(sheets, cell)
    colors = maps.rgb.permute(0, 2, 3, 1)
    colors = torch.cat([colors[:1], _borrowed(colors[1:], sheets, tangents, maps, cell, (plane, chance))])
    opacities = _opacities(maps, sheets.points)
    on = sheets.on
    bounds = (FLATNESS * cell, LARGEST * cell)
    return surfels(sheets.points[on], SPREAD * tangents[on], colors[on], opacities[on], bounds)


def grid_size(alpha: Tensor, budget: int) -> int:
    """Width of the maps whose points come to about `budget`."""
    covered = float((alpha > INSIDE).float().mean((-1, -2)).sum())
    return max(16, round(math.sqrt(budget / max(covered * KEPT, 1e-3))))


def resampled(maps: ViewMaps, size: int) -> ViewMaps:
    """The maps at another size; depth and colour are first carried on beyond the outline."""
    weight = (maps.alpha > INSIDE).float()[:, None]
    spread = carried_on(torch.cat([maps.depth[:, None], maps.rgb], 1), weight)
    stacked = torch.cat([maps.alpha[:, None], spread], 1)
    finer = F.interpolate(stacked, size=(size, size), mode="bicubic", align_corners=False, antialias=True)
    return ViewMaps(finer[:, 0].clamp(0, 1), finer[:, 1], finer[:, 2:].clamp(0, 1))


def carried_on(values: Tensor, weight: Tensor) -> Tensor:
    """Values [V, C, H, W] where `weight` [V, 1, H, W] is 1, and around there those of the nearest pixels."""
    known, result = weight, values * weight
    for _ in range(3):
        around = F.avg_pool2d(result, 3, 1, 1) / F.avg_pool2d(known, 3, 1, 1).clamp_min(1e-6)
        reached = (F.max_pool2d(known, 3, 1, 1) > 0).float()
        result = torch.where(known > 0, result, around * reached)
        known = reached
    return torch.where(known > 0, result, values)


def _agreed(maps: ViewMaps) -> Sheets:
    """Points moved along their rays into the outlines of the other views, as little as possible."""
    on = maps.alpha > INSIDE
    origins, directions = rays(maps.alpha.shape[-1])
    offsets = torch.linspace(-SEARCH, SEARCH, 2 * SEARCH_STEPS + 1)
    offsets = offsets[offsets.abs().argsort(stable=True)]  # nearest first
    points = origins + directions * maps.depth[..., None]
    for view in range(VIEWS):
        pixels = on[view]
        depths = maps.depth[view][pixels][:, None] + offsets
        candidates = origins[view] + directions[view][pixels][:, None] * depths[..., None]
        others = [u for u in range(VIEWS) if u != view]
        agreement = torch.stack([sample_view(maps.alpha[u][None], candidates, u)[0] for u in others])
        good = agreement.amin(0) > AGREED  # [n, offsets]
        first = good.float().argmax(1)
        some = good.any(1)
        chosen = candidates[torch.arange(len(first)), torch.where(some, first, 0)]
        points[view][pixels] = chosen
        if view > 0:
            kept = on[view].clone()
            kept[pixels] = some
            on[view] = kept
    return Sheets(points, on)


def _opacities(maps: ViewMaps, points: Tensor) -> Tensor:
    """[4, H, W] of points [4, H, W, 3], by the view that is least sure; the picture's are opaque."""
    sure = torch.stack([sample_view(maps.alpha[u][None], points, u)[0] for u in range(VIEWS)]).amin(0)
    opacities = OPACITY * (FAINTEST + (1 - FAINTEST) * ((sure - INSIDE) / (SURE - INSIDE)).clamp(0, 1))
    opacities[0] = OPACITY
    return opacities


def _tangents(sheets: Sheets, cell: float) -> Tensor:
    """[4, H, W, 2, 3]: the steps right and down to the next pixel of the same surface."""
    result = []
    own = _own_steps(sheets.points.shape[1], cell)
    for axis in (2, 1):
        step = torch.roll(sheets.points, -1, axis) - sheets.points
        valid = sheets.on & torch.roll(sheets.on, -1, axis) & (step.norm(dim=-1) < TORN * cell)
        before, valid_before = torch.roll(step, 1, axis), torch.roll(valid, 1, axis)
        weight = valid.float() + valid_before.float()
        total = step * valid[..., None] + before * valid_before[..., None]
        mean = total / weight.clamp_min(1)[..., None]
        result.append(torch.where(weight[..., None] > 0, mean, own[axis][:, None, None]))
    return torch.stack(result, -2)


def _own_steps(size: int, cell: float) -> dict[int, Tensor]:
    """Steps of one cell parallel to each picture, for pixels without a neighbour; [4, 3] by axis."""
    rotations = cameras(size).viewmats[:, :3, :3]
    return {2: rotations[:, 0] * cell, 1: rotations[:, 1] * cell}


def _borrowed(
    colors: Tensor,
    sheets: Sheets,
    tangents: Tensor,
    maps: ViewMaps,
    cell: float,
    mirror: tuple[Tensor, float],
) -> Tensor:
    """Colours [3, H, W, 3] of the other views' points: the picture's where it shows them or their twins."""
    points = sheets.points[1:]
    normals = F.normalize(torch.linalg.cross(tangents[1:, ..., 0, :], tangents[1:, ..., 1, :]), dim=-1)
    plane, chance = mirror
    if bool(plane.any()):
        twins = reflected(points, plane)
        turned = reflected(points + normals, plane) - twins
        colors = torch.lerp(colors, _lent(colors, twins, turned, maps, cell), chance)
    return _lent(colors, points, normals, maps, cell)


def _lent(colors: Tensor, points: Tensor, normals: Tensor, maps: ViewMaps, cell: float) -> Tensor:
    """Colours [..., 3], where the picture shows a surface at points [..., 3] the picture's."""
    centre = torch.tensor([0.0, 0.0, RADIUS])
    facing = (normals * F.normalize(centre - points, dim=-1)).sum(-1).abs()
    surface = sample_view(maps.depth[0][None], points, 0)[0]
    _, depth = project(points, 0)
    eroded = -F.max_pool2d(-maps.alpha[:1], 3, 1, 1)
    inside = sample_view(eroded, points, 0)[0]
    visible = ((depth - surface).abs() < SEEN * cell) & (inside > 0.9)
    weight = (visible * ((facing - 0.15) / 0.4).clamp(0, 1))[..., None]
    seen = sample_view(maps.rgb[0], points, 0).permute(1, 2, 3, 0)
    return colors + weight * (seen - colors)
