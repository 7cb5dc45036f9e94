"""A closed, coloured surface around Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import KDTree

from ar4d.errors import UserError
from ar4d.gaussians import Gaussians, rotation_matrices
from ar4d.rendering.cpu.jit import kernel

LEVEL = 0.5  # the surface is where half of the light would be stopped
MIN_OPACITY = 0.05
MIN_COMPONENT = 0.02  # of the largest component's vertices; smaller ones are specks
HOLE_RADIUS = 2  # cells; holes in the shell up to twice this wide do not let the outside in
COLOR_NEIGHBORS = 12


@dataclass(frozen=True)
class Surface:
    """A triangle mesh with a colour at each vertex."""

    vertices: np.ndarray  # [V, 3] float32, world units
    faces: np.ndarray  # [T, 3] int32, counter-clockwise seen from outside
    colors: np.ndarray  # [V, 3] float32 sRGB in [0, 1]


def extract(gaussians: Gaussians, resolution: int) -> Surface:
    """The surface at which the Gaussians turn opaque, by marching cubes.

    The density at x is 1 - Π(1 - αᵢ exp(-½ (x - μᵢ)ᵀ (Σᵢ + (h/2)² I)⁻¹ (x - μᵢ))): what a unit of fog
    would stop, with each Gaussian widened by half a cell h so that thin ones are not missed. Hollow
    insides are filled, specks dropped.

    Args:
        resolution: cells along the longest side.

    Raises:
        UserError: nothing is opaque enough to have a surface.
    """
    from skimage.measure import marching_cubes  # slow to import

    solid = gaussians.select(gaussians.opacities > MIN_OPACITY).to("cpu").map(torch.Tensor.double)
    if len(solid) == 0:
        raise UserError("The asset is too faint for a surface; export splats or a video instead.")
    reach = 3 * solid.scales.amax(1, keepdim=True)
    low, high = (solid.means - reach).amin(0).numpy(), (solid.means + reach).amax(0).numpy()
    cell = float((high - low).max()) / resolution
    low = low - 2 * cell
    shape = tuple(int(n) for n in np.ceil((high - low) / cell) + 3)
    density = _density(solid, low, cell, shape)
    density = ndimage.gaussian_filter(_filled(density), 0.7)
    if density.max() <= LEVEL:
        raise UserError("The asset is too faint for a surface; export splats or a video instead.")
    vertices, faces, _, _ = marching_cubes(density, LEVEL, gradient_direction="ascent")
    vertices, faces = _without_specks(vertices * cell + low, faces)
    return Surface(vertices.astype(np.float32), faces.astype(np.int32), _vertex_colors(vertices, solid))


def _density(gaussians: Gaussians, low: np.ndarray, cell: float, shape: tuple[int, ...]) -> np.ndarray:
    factors = rotation_matrices(gaussians.quats) * gaussians.scales[:, None, :]
    covariances = factors @ factors.mT + (cell / 2) ** 2 * torch.eye(3, dtype=torch.float64)
    reach = 3 * covariances.diagonal(dim1=1, dim2=2).sqrt()
    clear = np.ones(shape, np.float32)
    _attenuate(
        clear, low, cell, gaussians.means.numpy(), torch.linalg.inv(covariances).numpy(), reach.numpy(),
        gaussians.opacities.numpy(),
    )  # fmt: skip
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
    shell = density > LEVEL
    ball = ndimage.generate_binary_structure(3, 1)
    sealed = ndimage.binary_closing(np.pad(shell, HOLE_RADIUS), ball, HOLE_RADIUS)
    hollow = np.asarray(ndimage.binary_fill_holes(sealed)) & ~sealed
    hollow = hollow[(slice(HOLE_RADIUS, -HOLE_RADIUS),) * 3]
    hollow = ndimage.binary_dilation(hollow, ball, HOLE_RADIUS, mask=~shell)
    return np.where(hollow, np.float32(1), density)


def _without_specks(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    graph = coo_array((np.ones(len(edges), bool), edges.T), shape=(len(vertices),) * 2)
    _, component = connected_components(graph, directed=False)
    sizes = np.bincount(component)
    keep = (sizes >= MIN_COMPONENT * sizes.max())[component]
    renumbered = np.cumsum(keep) - 1
    return vertices[keep], renumbered[faces[keep[faces[:, 0]]]]


def _vertex_colors(vertices: np.ndarray, gaussians: Gaussians) -> np.ndarray:
    """Mean colour of the nearest Gaussians, weighted by what they contribute at the vertex."""
    means = gaussians.means.numpy()
    count = min(COLOR_NEIGHBORS, len(means))
    _, nearest = KDTree(means).query(vertices, k=np.arange(1, count + 1))  # [V, K]
    axes = rotation_matrices(gaussians.quats).numpy()[nearest]  # [V, K, 3, 3]
    along = np.einsum("vkij,vki->vkj", axes, vertices[:, None] - means[nearest])
    scales = gaussians.scales.numpy()[nearest]
    squared = (along**2 / np.maximum(scales, 1e-6) ** 2).sum(-1)
    squared -= squared.min(1, keepdims=True)  # at least one neighbour counts, however far it is
    weights = gaussians.opacities.numpy()[nearest] * np.exp(-0.5 * squared)
    colors = np.einsum("vk,vkc->vc", weights, gaussians.colors.numpy()[nearest])
    return (colors / weights.sum(1, keepdims=True)).clip(0, 1).astype(np.float32)
