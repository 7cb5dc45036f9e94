"""Point clouds on the actors of a pack (see `train.data.pack_actors`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ar4d.scenes.mesh import CUTOUT_THRESHOLD, AlphaMode, welded
from train.data.pack_actors import PackedMesh, PackedPart, read_pack
from train.data.point_clouds import PointCloud, map_in_processes


def clouds_of_actors(pack: Path, count: int, validation: bool, seed: int = 0) -> list[PointCloud]:
    """Clouds of `count` points for the training or validation clips of a pack."""
    jobs = (
        (name, parts, count, seed + number)
        for number, (name, kept, parts) in enumerate(read_pack(pack))
        if kept == validation
    )
    return list(map_in_processes(_actor_cloud, jobs))


def _actor_cloud(job: tuple[str, list[PackedPart], int, int]) -> PointCloud:
    name, parts, count, seed = job
    random = np.random.default_rng(seed)
    areas = [_areas(part) for part in parts]
    total = sum(float(area.sum()) for area in areas)
    counts = np.array([int(count * area.sum() / total) for area in areas])
    counts[counts.argmax()] += count - counts.sum()
    first = 0
    pieces: list[tuple[NDArray[np.generic], ...]] = []
    for part, area, points in zip(parts, areas, counts, strict=True):
        if points:
            pieces.append(_points_of(part, area, int(points), first, random))
        first += part.matrices.shape[1]
    rest, normals, bones, weights, colors = (np.concatenate(x) for x in zip(*pieces, strict=True))
    matrices = np.concatenate([part.matrices for part in parts], 1)
    return PointCloud(
        name, True, rest.astype(np.float32), normals.astype(np.float32), bones.astype(np.uint8),
        weights.astype(np.float16), colors.astype(np.uint8), matrices,
    )  # fmt: skip


def _areas(part: PackedPart) -> NDArray[np.float64]:
    """Areas [T] of the triangles in the first pose."""
    mesh = part.mesh
    blend = (mesh.weights[:, :, None, None] * part.matrices[0][mesh.bones]).sum(1)
    place = np.einsum("nij,nj->ni", blend[:, :, :3], mesh.positions) + blend[:, :, 3]
    a, b, c = (place[mesh.faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) + 1e-12


def _points_of(
    part: PackedPart, area: NDArray[np.float64], count: int, first: int, random: np.random.Generator
) -> tuple[NDArray[np.generic], ...]:
    """Sample points of a part uniformly by area, except in the holes of its texture.

    Args:
        part: the part.
        area: [T] of its triangles.
        count: number of points.
        first: index of the part's first bone among all bones of the actor.
        random: a generator.

    Returns:
        Positions, normals, bones, weights and colours, as in `PointCloud`.
    """
    mesh = part.mesh
    tries = count * (3 if part.alpha_mode == AlphaMode.CUTOUT else 1)
    triangle = random.choice(len(area), tries, p=area / area.sum())
    u, v = random.random((2, tries, 1))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    corners = mesh.faces[triangle]
    shares = np.concatenate([1 - u - v, u, v], 1)

    def between(values: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.einsum("nk,nkc->nc", shares, values[corners])

    texels = _texels(part.texture, between(mesh.uvs))
    if part.alpha_mode == AlphaMode.CUTOUT:
        there = np.flatnonzero(texels[:, 3] >= 255 * CUTOUT_THRESHOLD)
        chosen = np.resize(there if len(there) else np.arange(tries), count)
    else:
        chosen = np.arange(count)
    team = 255 - texels[:, 3] if part.alpha_mode == AlphaMode.TEAM_COLOUR else np.zeros(tries)
    colors = np.concatenate([texels[:, :3] * (1 - team[:, None] / 255), team[:, None]], 1)
    bones, weights = _hung(mesh, corners[chosen], shares[chosen], part.matrices.shape[1])
    return (
        between(mesh.positions)[chosen], between(_normals(mesh.positions, mesh.faces))[chosen],
        bones + first, weights, np.round(colors)[chosen],
    )  # fmt: skip


def _hung(
    mesh: PackedMesh, corners: NDArray[np.int64], shares: NDArray[np.float64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The four of `count` bones with the largest weights at points in triangles, and these weights.

    Args:
        mesh: the mesh.
        corners: [N, 3] vertices of the points' triangles.
        shares: [N, 3] barycentric coordinates.
        count: number of bones.
    """
    held = np.zeros((len(corners), count))
    rows = np.arange(len(corners))
    for k in range(3):
        for slot in range(4):
            vertex = corners[:, k]
            held[rows, mesh.bones[vertex, slot]] += shares[:, k] * mesh.weights[vertex, slot]
    most = np.argsort(-held, 1)[:, :4] if count >= 4 else np.tile(np.arange(count), (len(corners), 4))[:, :4]
    weights = np.take_along_axis(held, most, 1)
    if count < 4:
        weights[:, count:] = 0
    return most, weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)


def _normals(positions: NDArray[np.float32], faces: NDArray[np.int64]) -> NDArray[np.float32]:
    """Area-weighted vertex normals [V, 3]; vertices in the same place share one."""
    groups, faces = welded(positions, faces)
    a, b, c = (positions[faces[:, k]] for k in range(3))
    total = np.zeros((int(groups.max()) + 1, 3))
    for k in range(3):
        np.add.at(total, groups[faces[:, k]], np.cross(b - a, c - a))
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))[groups].astype(
        np.float32
    )


def _texels(texture: NDArray[np.uint8] | None, uvs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nearest texels [N, 4] at texture coordinates [N, 2]; the texture repeats."""
    if texture is None:
        return np.full((len(uvs), 4), 255.0)
    height, width = texture.shape[:2]
    x, y = (uvs[:, 0] % 1 * width).astype(int) % width, (uvs[:, 1] % 1 * height).astype(int) % height
    return texture[y, x].astype(np.float64)
