"""Objects as clouds of points on their surfaces, each point hung on bones: quickly posed on any device.

Actors come from a pack (`train.pack_actors`), made-up objects from `train.shapes`: there every part is a
bone. All face along z, and what has a left and a right has them on both sides of the plane x = 0.
"""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.pack_actors import PackedMesh, PackedPart, read_pack
from train.parts import Part
from train.samples import NEIGHBOUR
from train.shapes import FAUNA, KINDS, OTHERS, SYMMETRIC
from train.zeroad.mesh import CUTOUT_THRESHOLD, AlphaMode, welded

ANIMAL, OTHER_ACTOR, MADE_UP = range(3)
CANDIDATES = 3  # points drawn on a made-up part's sphere or box for each that is kept
SPARE = 1.8  # points drawn on made-up parts for each that is wanted: many lie within other parts
WITHIN = 0.95  # of a part's square radius, within which nothing is seen
LOOKS_ALONG_Z = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])  # of what looks along x


@dataclass(frozen=True)
class Cloud:
    """P points of one object and its pairs of neighbouring poses."""

    name: str
    symmetric: bool
    rest: NDArray[np.float32]  # [P, 3]
    normals: NDArray[np.float32]  # [P, 3] at rest, any length
    bones: NDArray[np.uint8]  # [P, 4]
    weights: NDArray[np.float16]  # [P, 4]
    colors: NDArray[np.uint8]  # [P, 4] red, green, blue and the share of the team colour behind them
    matrices: NDArray[np.float32]  # [2 pairs, bones, 3, 4]

    @property
    def kind(self) -> int:
        if self.name.startswith("shape/"):
            return MADE_UP
        return ANIMAL if self.name.startswith("fauna/") else OTHER_ACTOR


@dataclass(frozen=True)
class Clouds:
    """N objects on a device, their bones padded to the same number."""

    kind: Tensor  # [N] ANIMAL, OTHER_ACTOR or MADE_UP
    symmetric: Tensor  # [N] bool
    rest: Tensor  # [N, P, 3]
    normals: Tensor  # [N, P, 3]
    bones: Tensor  # [N, P, 4]
    weights: Tensor  # [N, P, 4]
    colors: Tensor  # [N, P, 4]
    matrices: Tensor  # [N, F, B, 12]

    def __len__(self) -> int:
        return len(self.symmetric)

    def posed(self, objects: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Points and normals [B, P, 3] of objects [B] in frames [B]; normals have any length."""
        moves = self.matrices[objects, frames]  # [B, bones, 12]
        bones, weights = self.bones[objects].long(), self.weights[objects].float()
        blend = sum(
            weights[..., k, None] * moves.gather(1, bones[..., k, None].expand(-1, -1, 12))
            for k in range(bones.shape[-1])
        )
        assert isinstance(blend, Tensor)
        blend = blend.unflatten(-1, (3, 4))
        points = (blend[..., :3] * self.rest[objects][..., None, :]).sum(-1) + blend[..., 3]
        a, b, c = blend[..., :3].unbind(-1)
        turned = torch.stack(
            [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], -1
        )
        return points, (turned * self.normals[objects][..., None, :]).sum(-1)


def gather(clouds: Iterable[Cloud], device: torch.device) -> Clouds:
    """Sends clouds of equally many points and frames to a device."""
    kept = [cloud for cloud in clouds if cloud.matrices.shape[1] <= 255]
    most = max(cloud.matrices.shape[1] for cloud in kept)
    moves = torch.zeros(len(kept), len(kept[0].matrices), most, 12)
    for row, cloud in zip(moves, kept, strict=True):
        row[:, : cloud.matrices.shape[1]] = torch.from_numpy(cloud.matrices).flatten(2)

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(cloud, name) for cloud in kept])).to(device)

    return Clouds(
        symmetric=torch.tensor([cloud.symmetric for cloud in kept], device=device),
        kind=torch.tensor([cloud.kind for cloud in kept], device=device),
        matrices=moves.to(device),
        **{name: stacked(name) for name in ("rest", "normals", "bones", "weights", "colors")},
    )


def clouds_of_actors(pack: Path, count: int, validation: bool, seed: int = 0) -> list[Cloud]:
    """One for each clip of a pack, with `count` points."""
    jobs = (
        (name, parts, count, seed + number)
        for number, (name, kept, parts) in enumerate(read_pack(pack))
        if kept == validation
    )
    return list(_in_processes(_actor_cloud, jobs))


def made_up_clouds(number: int, pairs: int, count: int, seed: int) -> list[Cloud]:
    """So many new objects of all kinds in turn: two thirds are animals, as many of each family."""
    kinds = [*FAUNA, *OTHERS, "figure", "figure", "vehicle", "plant"]
    jobs = ((kinds[k % len(kinds)], pairs, count, seed + k) for k in range(number))
    return list(_in_processes(_made_up_cloud, jobs))


def _in_processes(make, jobs: Iterable[tuple]) -> Iterator[Cloud]:  # type: ignore[type-arg, no-untyped-def]
    """On all cores; forked before anything is on a GPU."""
    with multiprocessing.get_context("fork").Pool(min(os.cpu_count() or 1, 16)) as pool:
        yield from pool.imap(make, jobs, chunksize=4)


def _actor_cloud(job: tuple[str, list[PackedPart], int, int]) -> Cloud:
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
    return Cloud(
        name, True, rest.astype(np.float32), normals.astype(np.float32), bones.astype(np.uint8),
        weights.astype(np.float16), colors.astype(np.uint8), matrices,
    )  # fmt: skip


def _areas(part: PackedPart) -> NDArray[np.float64]:
    """[T] of the triangles in the first pose."""
    mesh = part.mesh
    blend = (mesh.weights[:, :, None, None] * part.matrices[0][mesh.bones]).sum(1)
    place = np.einsum("nij,nj->ni", blend[:, :, :3], mesh.positions) + blend[:, :, 3]
    a, b, c = (place[mesh.faces[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) + 1e-12


def _points_of(
    part: PackedPart, area: NDArray[np.float64], count: int, first: int, random: np.random.Generator
) -> tuple[NDArray[np.generic], ...]:
    """Points spread over a part by area, where its texture has no holes."""
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
    """The four of `count` bones that hold most of each point between corners, and their shares [N, 4]."""
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
    """[V, 3] area-weighted; vertices on the same spot share one."""
    groups, faces = welded(positions, faces)
    a, b, c = (positions[faces[:, k]] for k in range(3))
    total = np.zeros((int(groups.max()) + 1, 3))
    for k in range(3):
        np.add.at(total, groups[faces[:, k]], np.cross(b - a, c - a))
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))[groups].astype(
        np.float32
    )


def _texels(texture: NDArray[np.uint8] | None, uvs: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, 4] at texture coordinates [N, 2]; the texture repeats."""
    if texture is None:
        return np.full((len(uvs), 4), 255.0)
    height, width = texture.shape[:2]
    x, y = (uvs[:, 0] % 1 * width).astype(int) % width, (uvs[:, 1] % 1 * height).astype(int) % height
    return texture[y, x].astype(np.float64)


def _made_up_cloud(job: tuple[str, int, int, int]) -> Cloud:
    kind, pairs, count, seed = job
    random = np.random.default_rng(seed)
    pose = KINDS[kind](random)
    start = random.random()
    firsts = (start + np.arange(pairs) / pairs) % 1
    poses = [pose(float(phase)) for first in firsts for phase in (first, (first + NEIGHBOUR) % 1)]
    parts = poses[0]
    areas = np.array([_area(part.half, part.box) for part in parts])
    drawn = np.ceil(SPARE * count * areas / areas.sum()).astype(int)
    moves = np.array([[np.c_[p.rotation * p.half, p.centre] for p in parts_now] for parts_now in poses])
    bone = np.repeat(np.arange(len(parts)), drawn)
    pieces = [_points_of_shape(part, int(n), random) for part, n in zip(parts, drawn, strict=True)]
    rest, normals = (np.concatenate(x) for x in zip(*pieces, strict=True))
    hidden = _inside(moves[0], rest, bone) & _inside(moves[pairs // 2 * 2], rest, bone)
    seen = np.flatnonzero(~hidden)
    chosen = seen[np.linspace(0, len(seen) - 1, count).round().astype(int)]
    rest, normals, bone = rest[chosen], normals[chosen], bone[chosen]
    own = np.split(rest, np.searchsorted(bone, np.arange(1, len(parts))))
    colors = np.concatenate([part.colors_at(points) for part, points in zip(parts, own, strict=True)])
    bones = np.zeros((count, 4), np.uint8)
    bones[:, 0] = bone
    weights = np.tile(np.array([1, 0, 0, 0], np.float16), (count, 1))
    matrices = (LOOKS_ALONG_Z @ moves).astype(np.float32)
    return Cloud(
        f"shape/{kind}", kind in SYMMETRIC, rest.astype(np.float32), normals.astype(np.float32), bones,
        weights, np.concatenate([np.round(255 * colors), np.zeros((count, 1))], 1).astype(np.uint8), matrices,
    )  # fmt: skip


def _area(half: NDArray[np.float64], box: bool) -> float:
    """Of a box or (Thomsen's approximation) an ellipsoid."""
    a, b, c = half
    return (
        8 * (a * b + b * c + c * a)
        if box
        else 4 * math.pi * (((a * b) ** 1.6 + (b * c) ** 1.6 + (c * a) ** 1.6) / 3) ** (1 / 1.6)
    )


def _inside(
    moves: NDArray[np.float64], own: NDArray[np.float64], bone: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """[N] which own points of parts that are moved so [parts, 3, 4] lie within another part."""
    turns, middles = moves[:, :, :3], moves[:, :, 3]
    back = np.linalg.inv(turns).transpose(0, 2, 1)
    reach = np.linalg.norm(turns, axis=1).max(1)
    apart = np.linalg.norm(middles[:, None] - middles, axis=2)
    near = (apart < reach[:, None] + reach) & ~np.eye(len(moves), dtype=bool)
    ends = np.searchsorted(bone, np.arange(len(moves) + 1))
    inside = np.zeros(len(own), bool)
    for part in np.flatnonzero(near.any(1)):
        others, here = np.flatnonzero(near[part]), slice(ends[part], ends[part + 1])
        ways = turns[part].T @ back[others]  # [others, 3, 3]
        starts = (middles[part] - middles[others])[:, None] @ back[others]
        within = own[here] @ ways + starts
        inside[here] = (np.square(within).sum(2) < WITHIN).any(0)
    return inside


@functools.cache
def _ball() -> NDArray[np.float64]:
    """Points on the unit sphere, drawn once."""
    points = np.random.default_rng(0).normal(size=(100_000, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _points_of_shape(
    part: Part, count: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points on the unit sphere or cube, as dense as lets them be even on the part; normals."""
    tries = CANDIDATES * count
    if part.box:
        own = random.uniform(-1, 1, (tries, 3))
        axis = random.integers(0, 3, tries)
        side = np.sign(random.uniform(-1, 1, tries))
        own[np.arange(tries), axis] = side
        normal = np.eye(3)[axis] * side[:, None]
    else:
        first = int(random.integers(len(_ball())))
        own = normal = _ball().take(np.arange(first, first + tries), 0, mode="wrap")
    shares = np.cumsum(np.sqrt(np.square(normal) @ (1 / part.half**2)))  # of the area, but for a constant
    chosen = np.searchsorted(shares, (np.arange(count) + random.random()) * shares[-1] / count)
    return own[chosen], normal[chosen]
