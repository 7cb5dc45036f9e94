"""A closed, coloured surface around Gaussians."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ar4d.errors import UserError
from ar4d.formats.mesh.motion import neighbors
from ar4d.gaussians import Gaussians, rotation_matrices
from ar4d.kernels.jit import kernel

LEVEL = 0.75  # of the usual density, where the outline is about as large as the rendered one's
SHELL_LEVEL = 0.5  # what keeps the outside out of a hollow
MIN_OPACITY = 0.05
SPACING_RANK = 6  # which neighbour's distance says how far apart the Gaussians lie
STRAY = 6.0  # Gaussians that lie so many times further apart than usual belong to nothing
SMOOTHING = 0.7  # of the density, in cells
HOLE_RADIUS = 2  # cells; holes in the shell up to twice this wide do not let the outside in
MIN_COMPONENT = 0.02  # of the largest component's vertices; smaller ones are specks
COLOR_NEIGHBORS = 12
TOO_FAINT = "The asset is too faint to have a surface; export splats or a video instead."


@dataclass(frozen=True)
class Surface:
    """A triangle mesh with a colour at each vertex, and perhaps a texture instead."""

    vertices: np.ndarray  # [V, 3] float32, world units
    faces: np.ndarray  # [T, 3] int32, counter-clockwise seen from outside
    colors: np.ndarray  # [V, 3] float32 sRGB in [0, 1]
    uvs: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    """[V, 2] texture coordinates in [0, 1] from the upper left corner; none without a texture."""
    texture_png: bytes | None = None
    """The texture as a PNG file, sRGB."""


@dataclass(frozen=True)
class AnimatedSurface:
    """A surface and where its vertices are in each frame."""

    surface: Surface
    positions: np.ndarray  # [F, V, 3] float32, world units; F = 1 if it stands still
    seconds: np.ndarray  # [F] increasing


def extract(gaussians: Gaussians, resolution: int) -> Surface:
    """The surface at which the Gaussians are nearly as dense as at their centres, by marching cubes.

    The density at x is 1 - Π(1 - αᵢ exp(-½ (x - μᵢ)ᵀ (Σᵢ + bᵢ² I)⁻¹ (x - μᵢ))): what fog at x would
    stop. The widening bᵢ is half the distance between neighbours, which closes cracks, and at least
    half a cell, so that thin Gaussians are not missed. Enclosed hollows are filled, specks dropped.

    Args:
        resolution: cells along the longest side.

    Raises:
        UserError: nothing is opaque enough to have a surface.
    """
    from skimage.measure import marching_cubes  # slow to import

    solid, spacing = _without_strays(gaussians)
    reach = 3 * (solid.scales.amax(1) + spacing)[:, None]
    low, high = (solid.means - reach).amin(0).numpy(), (solid.means + reach).amax(0).numpy()
    cell = float((high - low).max()) / resolution
    widened = _widened(solid, spacing.clamp_min(cell))
    density = _density(widened, low, cell, tuple(int(n) for n in np.ceil((high - low) / cell) + 1))
    centers = np.round((solid.means.numpy() - low) / cell).astype(int)
    density = np.minimum(density / np.median(density[tuple(centers.T)]), 1)  # a veil has a surface, too
    density = ndimage.gaussian_filter(_filled(density), SMOOTHING)
    if density.max() <= LEVEL:
        raise UserError(TOO_FAINT)
    vertices, faces, _, _ = marching_cubes(np.pad(density, 1), LEVEL, gradient_direction="ascent")
    vertices, faces = _without_specks((vertices - 1) * cell + low, faces)
    return Surface(vertices.astype(np.float32), faces.astype(np.int32), colors_at(vertices, widened))


def _without_strays(gaussians: Gaussians) -> tuple[Gaussians, Tensor]:
    """What is opaque and has company, in float64 on the CPU, and how far apart it lies there, [N]."""
    solid = gaussians.select(gaussians.opacities > MIN_OPACITY).to("cpu").map(Tensor.double)
    if len(solid) == 0:
        raise UserError(TOO_FAINT)
    means = solid.means.numpy()
    spacing = torch.from_numpy(neighbors(means, means, SPACING_RANK)[0][:, -1])
    in_company = spacing <= STRAY * spacing.median()
    return solid.select(in_company), spacing[in_company]


def color_source(gaussians: Gaussians) -> Gaussians:
    """The Gaussians from which `colors_at` takes a surface's colours, in float64 on the CPU."""
    return _widened(*_without_strays(gaussians))


def _widened(gaussians: Gaussians, spacing: Tensor) -> Gaussians:
    return replace(gaussians, scales=(gaussians.scales**2 + (0.5 * spacing[:, None]) ** 2).sqrt())


def _density(gaussians: Gaussians, low: np.ndarray, cell: float, shape: tuple[int, ...]) -> np.ndarray:
    axes = rotation_matrices(gaussians.quats)  # [N, 3, 3]
    precisions = axes @ (gaussians.scales**-2)[..., None].mul(axes.mT)
    reach = 3 * (axes**2 @ (gaussians.scales**2)[..., None]).squeeze(-1).sqrt()  # [N, 3]
    clear = np.ones(shape, np.float32)
    arrays = [x.numpy() for x in (gaussians.means, precisions, reach, gaussians.opacities)]
    _attenuate(clear, low, cell, *arrays)
    return 1 - clear


@kernel
def _attenuate(clear, low, cell, means, precisions, reach, opacities):
    """Multiplies `clear` [X, Y, Z] by what each Gaussian lets through, within its 3σ box."""
    for i in range(means.shape[0]):
        P = precisions[i]
        x0 = max(int(np.ceil((means[i, 0] - reach[i, 0] - low[0]) / cell)), 0)
        x1 = min(int(np.floor((means[i, 0] + reach[i, 0] - low[0]) / cell)) + 1, clear.shape[0])
        y0 = max(int(np.ceil((means[i, 1] - reach[i, 1] - low[1]) / cell)), 0)
        y1 = min(int(np.floor((means[i, 1] + reach[i, 1] - low[1]) / cell)) + 1, clear.shape[1])
        z0 = max(int(np.ceil((means[i, 2] - reach[i, 2] - low[2]) / cell)), 0)
        z1 = min(int(np.floor((means[i, 2] + reach[i, 2] - low[2]) / cell)) + 1, clear.shape[2])
        for x in range(x0, x1):
            dx = low[0] + x * cell - means[i, 0]
            for y in range(y0, y1):
                dy = low[1] + y * cell - means[i, 1]
                for z in range(z0, z1):
                    dz = low[2] + z * cell - means[i, 2]
                    squared = P[0, 0] * dx * dx + P[1, 1] * dy * dy + P[2, 2] * dz * dz
                    squared += 2 * (P[0, 1] * dx * dy + P[0, 2] * dx * dz + P[1, 2] * dy * dz)
                    clear[x, y, z] *= 1 - opacities[i] * np.exp(-0.5 * squared)


def _filled(density: np.ndarray) -> np.ndarray:
    """The same with enclosed hollows made solid, also those that leak through small holes."""
    shell = density > SHELL_LEVEL
    ball = ndimage.generate_binary_structure(3, 1)
    sealed = ndimage.binary_closing(np.pad(shell, HOLE_RADIUS), ball, HOLE_RADIUS)
    hollow = _holes(sealed)[(slice(HOLE_RADIUS, -HOLE_RADIUS),) * 3]
    hollow = ndimage.binary_dilation(hollow, ball, HOLE_RADIUS, mask=~shell)
    density = np.where(hollow, np.float32(1), density)
    return np.where(_holes(density > LEVEL), np.float32(1), density)  # the inner skin of the shell, too


def _holes(solid: np.ndarray) -> np.ndarray:
    return np.array(ndimage.binary_fill_holes(solid)) != solid


def _without_specks(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), bool), edges.T), shape=(len(vertices),) * 2)
    _, component = connected_components(graph, directed=False)
    sizes = np.bincount(component)
    keep = (sizes >= MIN_COMPONENT * sizes.max())[component]
    renumbered = np.cumsum(keep) - 1
    return vertices[keep], renumbered[faces[keep[faces[:, 0]]]]


def colors_at(points: np.ndarray, gaussians: Gaussians) -> np.ndarray:
    """[V, 3] float32 sRGB: the mean of the nearest Gaussians, weighted by what they contribute at a point."""
    means = gaussians.means.numpy()
    _, nearest = neighbors(points, means, COLOR_NEIGHBORS)  # [V, K]
    axes = rotation_matrices(gaussians.quats).numpy()[nearest]  # [V, K, 3, 3]
    along = np.einsum("vkij,vki->vkj", axes, points[:, None] - means[nearest])
    squared = ((along / gaussians.scales.numpy()[nearest]) ** 2).sum(-1)
    squared -= squared.min(1, keepdims=True)  # at least one neighbour counts, however far it is
    weights = gaussians.opacities.numpy()[nearest] * np.exp(-0.5 * squared)
    colors = np.einsum("vk,vkc->vc", weights, gaussians.colors.numpy()[nearest])
    return (colors / weights.sum(1, keepdims=True)).clip(0, 1).astype(np.float32)
