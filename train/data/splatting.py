"""Pictures of clouds of points, splatted on any device.

The points that nothing nearer hides are seen; a pixel's colour and depth are the means of its points'.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded.closeup import FILLED, CloseUps
from ar4d.experts.embedded.geometry import VIEWS, project, viewmat_of
from ar4d.experts.embedded.network import IN_SIZE

BEHIND_NEAREST = 0.03  # world units by which a pixel's points may lie behind the nearest around them
FROM_BEHIND = 0.02  # what points seen from behind count beside others: thin things have two sides
FROM_BELOW = 0.08  # how much darker what looks down is
FINE = 2  # of the outline's pixels in a pixel
CLOSED = 5  # of those in which gaps of an outline are closed


@dataclass(frozen=True)
class Light:
    """Of B objects."""

    direction: Tensor  # [B, 3] towards it
    ambient: Tensor  # [B, 1]
    diffuse: Tensor  # [B, 1]
    tint: Tensor  # [B, 3]
    team: Tensor  # [B, 3]


def photographed(points: Tensor, normals: Tensor, albedo: Tensor, light: Light) -> tuple[Tensor, Tensor]:
    """Premultiplied pictures [B, 4, 4, S, S] and depths [B, 4, S, S] of points [B, P, 3] in world units."""
    return _developed([_seen_from(view, points, normals, albedo, light) for view in range(VIEWS)])


def photographed_closely(points: Tensor, normals: Tensor, albedo: Tensor, light: Light) -> CloseUps:
    """As `photographed`, but close-ups: [4 B], the views of an object one after the other."""
    seen, middles, zooms = [], [], []
    for view in range(VIEWS):
        place, *others = _seen_from(view, points, normals, albedo, light)
        low, high = place.amin(1), place.amax(1)
        middle, zoom = (low + high) / 2, FILLED / (high - low).amax(1).clamp_min(1e-3)
        seen.append((zoom[:, None, None] * (place - middle[:, None]) + 0.5, *others))
        middles.append(2 * middle - 1)
        zooms.append(zoom)
    views = _developed(seen)[0].flatten(0, 1)
    return CloseUps(views, torch.stack(middles, 1).flatten(0, 1), torch.stack(zooms, 1).flatten())


def _developed(seen: list[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Pictures and depths of what `_seen_from` tells of each view."""
    place, depth, rgb, weight = (torch.stack(parts).flatten(0, 1) for parts in zip(*seen, strict=True))
    at = _cells(place, IN_SIZE)
    sums = _sums(at, torch.cat([weight, weight * rgb, weight * depth], -1), _unhidden(at, depth))
    hit = (sums[:, :1] > 0).float()
    for reach in (3, 5):  # what no point fell on
        sums = torch.where(sums[:, :1] > 0, sums, _around(sums, reach, torch.add, 0.0) / reach**2)
    means = sums[:, 1:] / sums[:, :1].clamp_min(1e-6)
    # Far from the edge there are no gaps.
    alpha = torch.maximum(_outline(place), _shrunk(_grown(hit, 5), 7))
    there = (alpha > 0.5) & (sums[:, :1] > 0)
    pictures = torch.cat([means[:, :3] * alpha, alpha], 1), means[:, 3] * there[:, 0]
    views, far = (x.unflatten(0, (VIEWS, -1)).transpose(0, 1).contiguous() for x in pictures)
    return views, far


def _seen_from(
    view: int, points: Tensor, normals: Tensor, albedo: Tensor, light: Light
) -> tuple[Tensor, ...]:
    """Of each point the place in the picture [B, P, 2] in [0, 1], depth, colour and weight [B, P, 1 or 3]."""
    normals = F.normalize(normals, dim=-1, eps=1e-9)
    place, depth = project(points, view)
    viewmat = viewmat_of(view, points.device)
    eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
    side = ((eye - points) * normals).sum(-1, keepdim=True).sign()
    facing = (side * (normals * light.direction[:, None]).sum(-1, keepdim=True)).clamp_min(0)
    shade = light.ambient[:, None] + light.diffuse[:, None] * facing + FROM_BELOW * side * normals[..., 1:2]
    weight = torch.where(side > 0, 1.0, FROM_BEHIND)
    return (place + 1) / 2, depth[..., None], (albedo * shade).clamp(0, 1), weight


def _unhidden(at: Tensor, depth: Tensor) -> Tensor:
    """[N, P] whether points [N, P, 1] deep, in the cells `at`, have nothing before them."""
    nearest = depth.new_full((len(at) * IN_SIZE**2,), torch.inf)
    nearest.scatter_reduce_(0, at.flatten(), depth.flatten(), "amin")
    around = -_grown(-nearest.view(-1, 1, IN_SIZE, IN_SIZE), 3)
    return depth[..., 0] <= around.flatten()[at] + BEHIND_NEAREST


def _sums(at: Tensor, values: Tensor, counted: Tensor) -> Tensor:
    """[N, C, S, S] of values [N, P, C] in the cells `at`."""
    sums = values.new_zeros(len(at) * IN_SIZE**2, values.shape[-1])
    sums.index_add_(0, at.flatten(), (values * counted[..., None]).flatten(0, 1))
    return sums.view(-1, IN_SIZE, IN_SIZE, values.shape[-1]).permute(0, 3, 1, 2)


def _cells(place: Tensor, size: int) -> Tensor:
    """[N, P] numbers of the pixels, of N pictures one after the other, at places [N, P, 2] in [0, 1]."""
    x, y = (place * size).long().clamp(0, size - 1).unbind(-1)
    return torch.arange(len(place), device=place.device)[:, None] * size**2 + y * size + x


def _outline(place: Tensor) -> Tensor:
    """[N, 1, S, S] alpha: the fine pixels that points fall on, gaps closed, averaged."""
    size = FINE * IN_SIZE
    marks = torch.zeros(len(place) * size**2, device=place.device)
    marks[_cells(place, size).flatten()] = 1
    marks = marks.view(-1, 1, size, size)
    return F.avg_pool2d(_shrunk(_grown(marks, CLOSED), CLOSED), FINE)


def _grown(marks: Tensor, reach: int) -> Tensor:
    return _around(marks, reach, torch.maximum, -torch.inf)


def _shrunk(marks: Tensor, reach: int) -> Tensor:
    return -_grown(-marks, reach)


def _around(
    images: Tensor, reach: int, combine: Callable[[Tensor, Tensor], Tensor], outside: float
) -> Tensor:
    """[..., S, S] each pixel combined with the `reach`² around it, row by row: pooling is slow on CPUs."""
    side = reach // 2
    for axis, sides in ((-1, (side, side)), (-2, (0, 0, side, side))):
        wide = F.pad(images, sides, value=outside)
        images = functools.reduce(combine, (wide.narrow(axis, k, images.shape[axis]) for k in range(reach)))
    return images
