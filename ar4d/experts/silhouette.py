"""The expert that needs no weights: it inflates the object's silhouette.

The front sheet shows the picture, the back sheet the same colours blurred, and a wall along the outline
closes the gap between them. The result says nothing about the unseen side, but it is a closed body with a
plausible thickness, and it has no colour that the picture lacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi
import scipy.sparse as sparse
import torch
import torch.nn.functional as F
from scipy.sparse.linalg import spsolve
from torch import Tensor

from ar4d.cameras import RADIUS, intrinsics
from ar4d.errors import UserError
from ar4d.experts.surfels import surfels, to_world
from ar4d.gaussians import Gaussians
from ar4d.images import premultiply

MAX_HALF_THICKNESS = 0.35
"""World units."""
OPACITY = 0.95
MIN_GRID = 32
"""Smallest width of the sheets, in Gaussians."""
RIM_INSET = 0.65
"""Grid cells by which the outline's Gaussians are moved inwards."""
STD_ACROSS = 0.25
"""Standard deviation of a Gaussian across a sheet, in grid cells."""
STD_ALONG = 0.5
"""Standard deviation of a Gaussian along a sheet, in grid cells."""
BACK_BLUR = 1.5 / 128
"""Standard deviation of the back sheet's blur, in grid widths."""


@dataclass(frozen=True)
class Silhouette:
    """`ImageToGaussians` and `ViewsToGaussians` by inflation; it ignores all views but the first."""

    curvature: float = 2.5
    """c in ∇²u = -c, where √u is half the thickness: 2 turns a long strip into a cylinder, 4 a disc into a
    ball."""
    pseudo_budget: int = 8000
    """Gaussians of a reconstruction from four views."""
    name: str = "silhouette"

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> Gaussians:
        """See `ImageToGaussians.lift`.

        Raises:
            UserError: the picture is empty.
        """
        coverage = float((rgba[..., 3] > 0.5).float().mean())
        if coverage == 0:
            raise UserError(
                "The picture shows no object: its cut-out is empty; correct the background removal."
            )
        # Two sheets of `coverage * cells²` Gaussians each; a first inflation counts those of the wall.
        cells = math.sqrt(budget / (2 * coverage))
        draft = _inflate(_resample(rgba, cells), self.curvature)
        inflated = _inflate(_resample(rgba, cells * math.sqrt(budget / len(draft))), self.curvature)
        return to_world(inflated, elevation_deg).to(rgba.device)

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """See `ViewsToGaussians.reconstruct`."""
        return self.lift(rgba[0], self.pseudo_budget, elevation_deg)


def _resample(rgba: Tensor, cells: float) -> np.ndarray:
    """Resize a picture to [G, G, 4] straight alpha, G about `cells`, by averages of premultiplied colours."""
    size = int(min(max(cells, MIN_GRID), rgba.shape[0]))
    premultiplied = premultiply(rgba).permute(2, 0, 1)[None].float().cpu()
    small = F.interpolate(premultiplied, size=(size, size), mode="area")[0]
    small = small.permute(1, 2, 0).numpy()
    return np.concatenate([small[..., :3] / np.maximum(small[..., 3:], 1e-3), small[..., 3:]], -1)


def _inflate(rgba: np.ndarray, curvature: float) -> Gaussians:
    """Gaussians of front, back and wall, in the frame of a camera at elevation 0."""
    mask = rgba[..., 3] > 0.5
    cell = RADIUS / float(intrinsics(len(mask))[0, 0])  # width of a pixel at the origin's depth
    half = np.minimum(half_thickness(mask, curvature) * cell, MAX_HALF_THICKNESS)
    front_colors = _replace_outline_colors(rgba[..., :3], mask)
    back_colors = _blur_within(front_colors, mask, BACK_BLUR * len(mask))
    places, inward = _places(mask)
    parts = [
        _sheet(half, places, mask, cell, front_colors),
        _sheet(-half, places, mask, cell, back_colors),
        _wall(half, places, inward, mask, cell, front_colors),
    ]
    means, axes, colors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return surfels(
        torch.from_numpy(means),
        torch.from_numpy(axes * STD_ALONG),
        torch.from_numpy(colors),
        OPACITY,
        (STD_ACROSS * cell, 4 * cell),
    )


def half_thickness(mask: np.ndarray, curvature: float) -> np.ndarray:
    """Half the thickness √u of an inflated mask, with ∇²u = -c inside and u = 0 outside (a Poisson equation).

    Args:
        mask: [H, W] bool; its border rows and columns count as outside.
        curvature: c.

    Returns:
        [H, W] float64, in pixels. In the middle, a strip of width w gets √(c/8)·w, a disc of diameter d
        √(c/16)·d.
    """
    inside = np.zeros_like(mask)
    inside[1:-1, 1:-1] = mask[1:-1, 1:-1]
    ys, xs = np.nonzero(inside)
    thickness = np.zeros(mask.shape)
    if len(ys) == 0:
        return thickness
    number = np.full(mask.shape, -1)
    number[ys, xs] = np.arange(len(ys))
    rows, cols = [], []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        neighbour = number[ys + dy, xs + dx]
        rows.append(np.flatnonzero(neighbour >= 0))
        cols.append(neighbour[neighbour >= 0])
    row, col = np.concatenate(rows), np.concatenate(cols)
    links = sparse.csc_matrix((np.ones(len(row)), (row, col)), shape=(len(ys), len(ys)))
    laplacian = sparse.csc_matrix(4 * sparse.identity(len(ys)) - links)
    solution = np.asarray(spsolve(laplacian, np.full(len(ys), curvature)))
    thickness[ys, xs] = np.sqrt(solution.clip(0))
    return thickness


def _replace_outline_colors(colors: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colours [H, W, 3] whose outline, tinted by the background, is replaced by the pixels just inside."""
    core = np.asarray(ndi.binary_erosion(mask))
    if not core.any():
        return colors
    nearest = np.zeros((2, *mask.shape), np.int32)
    ndi.distance_transform_edt(
        np.logical_not(core), return_distances=False, return_indices=True, indices=nearest
    )
    return colors[nearest[0], nearest[1]]


def _blur_within(colors: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Colours [H, W, 3] blurred by means over the mask alone."""
    weight = ndi.gaussian_filter(mask.astype(float), sigma)
    mixed = ndi.gaussian_filter(colors * mask[..., None], (sigma, sigma, 0))
    return mixed / np.maximum(weight, 1e-6)[..., None]


def _places(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image coordinates of each pixel's Gaussian, and the inward directions; [G, G, 2] each, as (x, y).

    A Gaussian reaches beyond its centre, so those of the outline are moved inwards a little.
    """
    size = len(mask)
    places = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), -1)
    slope_y, slope_x = np.gradient(ndi.gaussian_filter(mask.astype(float), 1.0))
    inward = np.stack([slope_x, slope_y], -1)
    inward /= np.maximum(np.linalg.norm(inward, axis=-1, keepdims=True), 1e-9)
    return places + np.where(_outline(mask)[..., None], RIM_INSET * inward, 0), inward


def _outline(mask: np.ndarray) -> np.ndarray:
    """The pixels of the mask that border on its outside."""
    return mask & np.logical_not(ndi.binary_erosion(mask))


def _sheet(
    height: np.ndarray, places: np.ndarray, mask: np.ndarray, cell: float, colors: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One Gaussian per pixel, `height` [G, G] in front of the picture plane, stretched along the surface.

    Returns:
        Means [n, 3], two tangents of one grid step each [n, 2, 3], and colours [n, 3].
    """
    points = _unproject(places, height, len(mask))
    along_x, along_y = (_difference(points, mask, axis) for axis in (1, 0))
    along_x[np.linalg.norm(along_x, axis=-1) == 0] = (cell, 0, 0)  # pixels without a neighbour
    along_y[np.linalg.norm(along_y, axis=-1) == 0] = (0, cell, 0)
    return points[mask], np.stack([along_x[mask], along_y[mask]], 1), colors[mask]


def _wall(
    half: np.ndarray,
    places: np.ndarray,
    inward: np.ndarray,
    mask: np.ndarray,
    cell: float,
    colors: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill the gap between front and back along the outline; the same returns as `_sheet`."""
    rim = np.nonzero(_outline(mask))
    steps = np.maximum(np.ceil(2 * half[rim] / cell).astype(int), 1)
    each = np.repeat(np.arange(len(steps)), steps)
    order = np.arange(len(each)) - np.repeat(np.cumsum(steps) - steps, steps)
    height = half[rim][each] * ((order + 0.5) / steps[each] * 2 - 1)
    means = _unproject(places[rim][each], height, len(mask))
    dx, dy = inward[rim][each].T
    zero = np.zeros_like(dx)
    tangent = np.stack([-dy, -dx, zero], -1) * cell  # along the outline; image y points down
    depth = np.stack([zero, zero, np.maximum(2 * half[rim] / steps, cell)[each]], -1)
    return means, np.stack([tangent, depth], 1), colors[rim][each]


def _difference(points: np.ndarray, mask: np.ndarray, axis: int) -> np.ndarray:
    """Steps [G, G, 3] of the surface to the next pixel along `axis`; central differences where possible."""
    after, before = np.roll(points, -1, axis), np.roll(points, 1, axis)
    has_after, has_before = (np.roll(mask, shift, axis)[..., None] for shift in (-1, 1))
    one_sided = np.where(has_after, after - points, np.where(has_before, points - before, 0))
    return np.where(has_after & has_before, (after - before) / 2, one_sided)


def _unproject(places: np.ndarray, height: np.ndarray, size: int) -> np.ndarray:
    """World points [..., 3] at image coordinates [..., 2], `height` [...] in front of the origin's plane."""
    scale = (RADIUS - height) / float(intrinsics(size)[0, 0])
    x, y = np.moveaxis(places - size / 2, -1, 0)
    return np.stack([x * scale, -y * scale, height], -1)
