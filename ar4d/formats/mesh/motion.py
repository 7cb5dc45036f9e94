"""Points that ride on Gaussians: a mesh made at one moment follows them through the clip."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from ar4d.gaussians import Gaussians

CARRIERS = 8  # Gaussians that carry a point
NEIGHBORS = 16  # Gaussians whose positions tell how one of them has turned
STIFFNESS = 1e-3  # where the neighbours leave a rotation open, none is preferred


class Attachment:
    """Points, each carried by its nearest Gaussians.

    A Gaussian's turn is read from where its neighbours went (weighted Procrustes), not from its
    quaternion, which is arbitrary for a round one. A carried point is Σᵢ wᵢ (μᵢ(t) + Rᵢ(t) (x - μᵢ)).
    """

    def __init__(self, points: np.ndarray, rest: Gaussians) -> None:
        """Attaches `points` [V, 3] to the Gaussians as they are at `rest`."""
        means = _means(rest)
        distances, nearest = neighbors(points, means, CARRIERS)  # [V, K]
        weights = np.exp(-0.5 * (distances / np.maximum(np.median(distances, 1, keepdims=True), 1e-9)) ** 2)
        self._weights = weights / weights.sum(1, keepdims=True)
        used, carriers = np.unique(nearest, return_inverse=True)
        self._used, self._carriers = used, carriers.reshape(nearest.shape)
        self._neighbors = neighbors(means[used], means, NEIGHBORS)[1]  # [U, K]
        self._edges = means[self._neighbors] - means[used, None]
        self._arms = points[:, None] - means[nearest]  # [V, K, 3]

    def follow(self, gaussians: Gaussians) -> np.ndarray:
        """[V, 3] float32 where the points are when the Gaussians are as given."""
        means = _means(gaussians)
        centers = means[self._used]
        edges = means[self._neighbors] - centers[:, None]
        rotations = _rotations(self._edges, edges)[self._carriers]  # [V, K, 3, 3]
        carried = centers[self._carriers] + np.einsum("vkij,vkj->vki", rotations, self._arms)
        return np.einsum("vk,vki->vi", self._weights, carried).astype(np.float32)


def _rotations(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[U, 3, 3] rotations that turn the edges `before` [U, K, 3] best into `after`."""
    products = np.einsum("uki,ukj->uij", after, before)
    sizes = np.linalg.norm(before, axis=2) * np.linalg.norm(after, axis=2)
    products += STIFFNESS * sizes.sum(1)[:, None, None] * np.eye(3)
    left, _, right = np.linalg.svd(products)
    left[..., 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    return left @ right


def neighbors(points: np.ndarray, among: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices [V, K] of the nearest of `among` [N, 3]; K is `count`, or N if that is less."""
    distances, indices = KDTree(among).query(points, k=min(count, len(among)))
    return distances.reshape(len(points), -1), indices.reshape(len(points), -1)


def _means(gaussians: Gaussians) -> np.ndarray:
    return gaussians.means.cpu().double().numpy()
