"""Pictures of point clouds, splatted on any device.

A point is visible if nothing nearer covers it; a pixel's colour and depth are the means over its visible
points.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.embedded.crops import FILL, ObjectCrops
from ar4d.experts.embedded.geometry import VIEWS, project, viewmat_of
from ar4d.experts.embedded.network import IN_SIZE

DEPTH_TOLERANCE = 0.03
"""World units by which a visible point may lie behind the nearest one around it."""
BACK_FACE_WEIGHT = 0.02
"""Weight of points seen from behind; not 0, because thin things have two sides."""
DOWNWARD_SHADE = 0.08
"""Reduction of brightness for normals that point straight down."""
OUTLINE_SUPERSAMPLE = 2
"""Outline samples per pixel and axis."""
OUTLINE_CLOSING = 5
"""Outline samples across which gaps are closed."""


@dataclass(frozen=True)
class Light:
    """Lighting for a batch of B objects."""

    direction: Tensor  # [B, 3] towards the light, normalised
    ambient: Tensor  # [B, 1]
    diffuse: Tensor  # [B, 1]
    tint: Tensor  # [B, 3] factor on all colours
    team: Tensor  # [B, 3] colour


def splat_views(points: Tensor, normals: Tensor, albedo: Tensor, light: Light) -> tuple[Tensor, Tensor]:
    """Render the four orthogonal views of points [B, P, 3] in world units.

    Returns:
        Premultiplied pictures [B, 4, 4, S, S] and depths [B, 4, S, S], S = IN_SIZE.
    """
    views, depths = _composite(
        [_project_and_shade(view, points, normals, albedo, light) for view in range(VIEWS)]
    )
    return views, depths


def splat_orbit(
    points: Tensor, normals: Tensor, albedo: Tensor, light: Light, azimuths: Tensor
) -> tuple[Tensor, Tensor]:
    """Render views from any azimuths at elevation 0.

    A camera at azimuth A sees the world as the reference camera sees the world turned by -A about the y axis.

    Args:
        points: [B, P, 3] world units.
        normals: [B, P, 3].
        albedo: [B, P, 3].
        light: fixed in the world.
        azimuths: [V] radians.

    Returns:
        Premultiplied pictures [B, V, 4, S, S] and depths [B, V, S, S], S = IN_SIZE.
    """
    views, depths = _composite(_orbit_projections(points, normals, albedo, light, azimuths))
    return views, depths


def splat_moving_orbit(
    points: Tensor, following: Tensor, normals: Tensor, albedo: Tensor, light: Light, azimuths: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Render views as `splat_orbit` does, and the optical flow of the visible surface in each.

    Args:
        points: [B, P, 3] world units.
        following: [B, P, 3] where the same points are in the next frame.
        normals, albedo, light, azimuths: as for `splat_orbit`.

    Returns:
        Pictures [B, V, 4, S, S], depths [B, V, S, S] and flow [B, V, 2, S, S] in pixels, positive to the
        right and downwards, 0 outside the object.
    """
    projections = []
    turns = rotations_about_y(-azimuths)
    for turn, projection in zip(
        turns, _orbit_projections(points, normals, albedo, light, azimuths), strict=True
    ):
        there = (project(following @ turn.T, 0)[0] + 1) / 2
        projections.append((*projection, IN_SIZE * (there - projection[0])))
    views, depths, flow = _composite(projections)
    return views, depths, flow


def _orbit_projections(
    points: Tensor, normals: Tensor, albedo: Tensor, light: Light, azimuths: Tensor
) -> list[tuple[Tensor, ...]]:
    """Results of `_project_and_shade` for cameras at azimuths [V] in radians."""
    projections = []
    for turn in rotations_about_y(-azimuths):
        turned = replace(light, direction=light.direction @ turn.T)
        projections.append(_project_and_shade(0, points @ turn.T, normals @ turn.T, albedo, turned))
    return projections


def splat_crops(points: Tensor, normals: Tensor, albedo: Tensor, light: Light) -> ObjectCrops:
    """Render crops [4 B] of the four orthogonal views, an object's views one after the other."""
    projections, centers, zooms = [], [], []
    for view in range(VIEWS):
        place, *others = _project_and_shade(view, points, normals, albedo, light)
        low, high = place.amin(1), place.amax(1)
        center, zoom = (low + high) / 2, FILL / (high - low).amax(1).clamp_min(1e-3)
        projections.append((zoom[:, None, None] * (place - center[:, None]) + 0.5, *others))
        centers.append(2 * center - 1)
        zooms.append(zoom)
    views = _composite(projections)[0].flatten(0, 1)
    return ObjectCrops(views, torch.stack(centers, 1).flatten(0, 1), torch.stack(zooms, 1).flatten())


def _composite(projections: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Pictures [B, V, 4, S, S] and depths [B, V, S, S] from the results of `_project_and_shade` per view.

    Further values of the points [B, P, C] are averaged as depths are: [B, V, C, S, S].
    """
    place, depth, rgb, weight, *further = (
        torch.stack(x).flatten(0, 1) for x in zip(*projections, strict=True)
    )
    pixels = _pixel_indices(place, IN_SIZE)
    values = torch.cat([weight, weight * rgb, weight * depth, *(weight * x for x in further)], -1)
    sums = _scatter_sum(pixels, values, _visible(pixels, depth))
    hit = (sums[:, :1] > 0).float()
    for window in (3, 5):  # fill pixels that no point falls on
        sums = torch.where(sums[:, :1] > 0, sums, _reduce_window(sums, window, torch.add, 0.0) / window**2)
    means = sums[:, 1:] / sums[:, :1].clamp_min(1e-6)
    # The inside, far from the outline, is closed by morphology on the coarser pixels.
    alpha = torch.maximum(_outline(place), _erode(_dilate(hit, 5), 7))
    mask = (alpha > 0.5) & (sums[:, :1] > 0)
    parts = [torch.cat([means[:, :3] * alpha, alpha], 1), means[:, 3] * mask[:, 0]]
    if further:
        parts.append(means[:, 4:] * mask)
    count = len(projections)
    return tuple(x.unflatten(0, (count, -1)).transpose(0, 1).contiguous() for x in parts)


def rotations_about_y(angles: Tensor) -> Tensor:
    """Rotation matrices [B, 3, 3] about the y axis by angles [B] in radians."""
    c, s, o, i = angles.cos(), angles.sin(), torch.zeros_like(angles), torch.ones_like(angles)
    return torch.stack([c, o, s, o, i, o, -s, o, c], 1).view(-1, 3, 3)


def _project_and_shade(
    view: int, points: Tensor, normals: Tensor, albedo: Tensor, light: Light
) -> tuple[Tensor, ...]:
    """Image coordinates [B, P, 2] in [0, 1], depth [B, P, 1], colour [B, P, 3] and weight [B, P, 1]."""
    normals = F.normalize(normals, dim=-1, eps=1e-9)
    place, depth = project(points, view)
    viewmat = viewmat_of(view, points.device)
    eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
    side = ((eye - points) * normals).sum(-1, keepdim=True).sign()
    lambert = (side * (normals * light.direction[:, None]).sum(-1, keepdim=True)).clamp_min(0)
    shade = (
        light.ambient[:, None] + light.diffuse[:, None] * lambert + DOWNWARD_SHADE * side * normals[..., 1:2]
    )
    weight = torch.where(side > 0, 1.0, BACK_FACE_WEIGHT)
    return (place + 1) / 2, depth[..., None], (albedo * shade).clamp(0, 1), weight


def _visible(pixels: Tensor, depth: Tensor) -> Tensor:
    """Whether points [N, P] with depths [N, P, 1] have nothing much nearer in the pixels around theirs."""
    nearest = depth.new_full((len(pixels) * IN_SIZE**2,), torch.inf)
    nearest.scatter_reduce_(0, pixels.flatten(), depth.flatten(), "amin")
    around = -_dilate(-nearest.view(-1, 1, IN_SIZE, IN_SIZE), 3)
    return depth[..., 0] <= around.flatten()[pixels] + DEPTH_TOLERANCE


def _scatter_sum(pixels: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Sums [N, C, S, S] over pixels of the values [N, P, C] of the points in the mask [N, P]."""
    sums = values.new_zeros(len(pixels) * IN_SIZE**2, values.shape[-1])
    sums.index_add_(0, pixels.flatten(), (values * mask[..., None]).flatten(0, 1))
    return sums.view(-1, IN_SIZE, IN_SIZE, values.shape[-1]).permute(0, 3, 1, 2)


def _pixel_indices(place: Tensor, size: int) -> Tensor:
    """Flat indices [N, P] into N stacked pictures of the pixels at image coordinates [N, P, 2] in [0, 1]."""
    x, y = (place * size).long().clamp(0, size - 1).unbind(-1)
    return torch.arange(len(place), device=place.device)[:, None] * size**2 + y * size + x


def _outline(place: Tensor) -> Tensor:
    """Alpha [N, 1, S, S]: supersampled coverage by points with its gaps closed, averaged."""
    size = OUTLINE_SUPERSAMPLE * IN_SIZE
    covered = torch.zeros(len(place) * size**2, device=place.device)
    covered[_pixel_indices(place, size).flatten()] = 1
    covered = covered.view(-1, 1, size, size)
    return F.avg_pool2d(_erode(_dilate(covered, OUTLINE_CLOSING), OUTLINE_CLOSING), OUTLINE_SUPERSAMPLE)


def _dilate(images: Tensor, window: int) -> Tensor:
    return _reduce_window(images, window, torch.maximum, -torch.inf)


def _erode(images: Tensor, window: int) -> Tensor:
    return -_dilate(-images, window)


def _reduce_window(
    images: Tensor, window: int, combine: Callable[[Tensor, Tensor], Tensor], outside: float
) -> Tensor:
    """Combine each pixel of images [..., S, S] with its `window`² neighbourhood.

    Rows and columns are reduced in turn, which is faster than pooling on a CPU.
    """
    side = window // 2
    for axis, sides in ((-1, (side, side)), (-2, (0, 0, side, side))):
        padded = F.pad(images, sides, value=outside)
        images = functools.reduce(
            combine, (padded.narrow(axis, k, images.shape[axis]) for k in range(window))
        )
    return images
