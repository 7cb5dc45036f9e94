"""What is measured in 3D: distances between moving surfaces, and whether views agree on depth.

Surfaces are point sets over time, [T, N, 3]: point n is the same point of the surface at all times. The three
Chamfer distances are those of ActionBench (Sabathier et al., "ActionMesh", 2026), which adds the mean
distances of both directions (not squared). They differ in how the found points are aligned with the truth
before. ActionBench aligns by gradient descent on a similarity; here it is iterated closest points with the
closed-form similarity of Umeyama (1991), which minimises the same squares.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.rendering import Rendering

F_SCORE_REACH = 0.02
"""Distance below which a point counts as found: that of Motion-80's script, for objects in [-1, 1]³."""
DEPTH_REACH = 0.02
"""Difference of depths, in world units, up to which two views agree."""
_ITERATIONS = 50


def chamfer(found: Tensor, truth: Tensor) -> float:
    """The mean distance to the nearest point, both directions added.

    Args:
        found: [N, 3].
        truth: [M, 3].

    Returns:
        A number ≥ 0 in world units; not a number where a set is empty.
    """
    if not len(found) or not len(truth):
        return float("nan")
    a, b = _points(found), _points(truth)
    return float(KDTree(b).query(a)[0].mean() + KDTree(a).query(b)[0].mean())


def f_score(found: Tensor, truth: Tensor, reach: float = F_SCORE_REACH) -> float:
    """The harmonic mean of precision and recall at a distance, as Motion-80's script has it.

    Args:
        found: [N, 3].
        truth: [M, 3].
        reach: points nearer than this count as found.

    Returns:
        A number in [0, 1]; larger is better.
    """
    a, b = _points(found), _points(truth)
    precision = float((KDTree(b).query(a)[0] < reach).mean())
    recall = float((KDTree(a).query(b)[0] < reach).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def chamfer_3d(found: Tensor, truth: Tensor) -> float:
    """CD-3D: the mean over times of `chamfer`, each time aligned on its own. Shapes as `motion_chamfer`."""
    pairs = list(zip(found, truth, strict=True))
    return float(np.mean([chamfer(align(a, b)(a), b) for a, b in pairs]))


def chamfer_4d(found: Tensor, truth: Tensor) -> float:
    """CD-4D: the mean over times of `chamfer`, all aligned as the first. Shapes as `motion_chamfer`."""
    aligned = align(found[0], truth[0])(found)
    return float(np.mean([chamfer(a, b) for a, b in zip(aligned, truth, strict=True)]))


def motion_chamfer(found: Tensor, truth: Tensor, *, aligned: bool = False) -> float:
    """CD-M: the distance over all times of points that are nearest at the first, both directions added.

    Args:
        found: [T, N, 3], tracked.
        truth: [T, M, 3], tracked.
        aligned: leave out the alignment at the first time.
    """
    if not aligned:
        found = align(found[0], truth[0])(found)
    a, b = _points(found), _points(truth)
    to_a, to_b = KDTree(a[0]).query(b[0])[1], KDTree(b[0]).query(a[0])[1]
    there = np.linalg.norm(a[:, to_a] - b, axis=-1).mean()
    return float(there + np.linalg.norm(b[:, to_b] - a, axis=-1).mean())


class Similarity:
    """x ↦ s R x + t."""

    def __init__(self, scale: float, rotation: np.ndarray, translation: np.ndarray) -> None:
        self.scale, self.rotation, self.translation = scale, rotation, translation

    def __call__(self, points: Tensor) -> Tensor:
        """The moved points, of any shape [..., 3], in float64."""
        moved = self.scale * _points(points) @ self.rotation.T + self.translation
        return torch.from_numpy(moved)


def align(found: Tensor, truth: Tensor) -> Similarity:
    """The similarity that moves `found` [N, 3] onto `truth` [M, 3] by iterated closest points.

    Iterated closest points find a local minimum. It is sought from two starts, as the points lie and with
    their centres together, and the better one is taken.
    """
    a, b = _points(found), _points(truth)
    tree = KDTree(b)
    starts = (np.zeros(3), b.mean(0) - a.mean(0))
    runs = [_iterated(a, b, tree, Similarity(1.0, np.eye(3), start)) for start in starts]
    return min(runs, key=lambda run: run[0])[1]


def _iterated(a: np.ndarray, b: np.ndarray, tree: KDTree, best: Similarity) -> tuple[float, Similarity]:
    """The mean squared distance to the nearest point that is reached from a start, and the similarity."""
    last = np.inf
    for _ in range(_ITERATIONS):
        distances, nearest = tree.query(best(torch.from_numpy(a)).numpy())
        error = float(np.mean(distances**2))
        if last - error <= 1e-12:
            break
        last = error
        best = fitted_similarity(a, b[nearest])
    return last, best


def fitted_similarity(source: np.ndarray, target: np.ndarray) -> Similarity:
    """The least-squares similarity of matched points [N, 3] (Umeyama 1991)."""
    centre_a, centre_b = source.mean(0), target.mean(0)
    a, b = source - centre_a, target - centre_b
    u, singular, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * signs) @ vt
    spread = (a**2).sum()
    scale = float((singular * signs).sum() / spread) if spread > 0 else 1.0
    return Similarity(scale, rotation, centre_b - scale * rotation @ centre_a)


def depth_agreement(views: Rendering, cameras: Cameras, reach: float = DEPTH_REACH) -> float:
    """The share of surface points of each view that the other views see at the same place.

    Every solid pixel of a view is a point in the world. Another view agrees if its own depth there differs
    by at most `reach`; it disagrees if it looks through the point: its depth is larger, or nothing is
    there. Points that it sees something in front of are hidden from it and do not count.

    Args:
        views: V renderings of one time.
        cameras: V cameras, as many as renderings.
        reach: in world units.

    Returns:
        A number in [0, 1]; not a number where no point is seen twice.
    """
    agree = total = 0
    solid = views.alpha > 0.9
    depth = views.depth / views.alpha.clamp(min=1e-6)
    for i in range(len(depth)):
        points = unprojected(depth[i], solid[i], cameras[i : i + 1])
        for j in range(len(depth)):
            if i != j:
                same, seen = _compared(points, depth[j], views.alpha[j], cameras[j : j + 1], reach)
                agree, total = agree + same, total + seen
    return agree / total if total else float("nan")


def unprojected(depth: Tensor, mask: Tensor, camera: Cameras) -> Tensor:
    """World points [N, 3] of the masked pixels of a depth map [H, W], through their centres."""
    rows, columns = mask.nonzero(as_tuple=True)
    pixels = torch.stack([columns + 0.5, rows + 0.5, torch.ones_like(rows) * 1.0], dim=-1).to(depth)
    rays = pixels @ torch.linalg.inv(camera.Ks[0]).T
    local = rays * depth[rows, columns, None]
    rotation, translation = camera.viewmats[0, :3, :3], camera.viewmats[0, :3, 3]
    return (local - translation) @ rotation


def _compared(points: Tensor, depth: Tensor, alpha: Tensor, camera: Cameras, reach: float) -> tuple[int, int]:
    """How many points a view agrees on, and how many it sees or looks through."""
    local = points @ camera.viewmats[0, :3, :3].T + camera.viewmats[0, :3, 3]
    pixels = local @ camera.Ks[0].T
    place = (pixels[:, :2] / pixels[:, 2:].clamp(min=1e-6)).floor().long()
    height, width = depth.shape
    inside = (place >= 0).all(1) & (place[:, 0] < width) & (place[:, 1] < height) & (local[:, 2] > 0)
    x, y = place[inside].unbind(1)
    behind = torch.where(alpha[y, x] > 0.5, depth[y, x], torch.inf) - local[inside, 2]
    same = behind.abs() <= reach
    return int(same.sum()), int((same | (behind > reach)).sum())


def _points(points: Tensor) -> np.ndarray:
    return points.detach().cpu().double().numpy()
