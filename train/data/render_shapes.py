"""Renders procedural objects into a training set in the format of `train.data.render_actors`.

    python -m train.data.render_shapes --out DIR --samples 4000

Rays are intersected with ellipsoids and boxes in closed form, so that no meshes and no graphics driver are
needed, and no licence but the program's own applies.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG, intrinsics, orbit
from ar4d.experts.embedded.symmetry import Plane, upright_plane
from train.data.framing import FILL_RANGE, frame_object
from train.data.procedural.parts import Part, rotation
from train.data.procedural.shapes import KINDS, SYMMETRIC
from train.data.samples import DEPTH_UNIT, NEIGHBOUR, TEST_AZIMUTHS_DEG
from train.data.shards import ShardWriter

SUPERSAMPLE = 2
VALIDATION_SHARE = 0.03


@dataclass(frozen=True)
class Options:
    """Render a training set of procedural objects."""

    out: Path
    """Folder for the arrays."""
    samples: int = 4000
    size: int = 128
    """Width and height of the views."""
    seed: int = 0
    kinds: tuple[str, ...] = tuple(KINDS)
    """Kinds of objects, in turn."""


def main(argv: Sequence[str]) -> None:
    """Render all samples and write the arrays and the list."""
    options = tyro.cli(Options, prog="python -m train.data.render_shapes", args=argv)
    options.out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(options.seed)
    writer, shots = ShardWriter(options.out), []
    for number in range(options.samples):
        kind = options.kinds[number % len(options.kinds)]
        validation = random.random() < VALIDATION_SHARE or number == 0
        plane, rgba, depth, test = render_sample(kind, random, options.size, validation)
        writer.add(rgba, depth, test)
        shots.append({"actor": f"shape/{kind}", "validation": bool(validation), "plane": plane})
    writer.flush()
    (options.out / "samples.json").write_text(json.dumps(shots))


def render_sample(
    kind: str, random: np.random.Generator, size: int, validation: bool
) -> tuple[Plane | None, NDArray[np.uint8], NDArray[np.uint16], NDArray[np.uint8]]:
    """Render a random object.

    Returns:
        Its plane of symmetry, and its entries in the rgba, depth and test files.
    """
    pose = KINDS[kind](random)
    phase, yaw = random.random(), random.uniform(0, 2 * math.pi)
    turn = rotation(0, yaw, 0)
    poses = [[_turned(part, turn) for part in pose(p)] for p in (phase, (phase + NEIGHBOUR) % 1)]
    points = np.concatenate([_surface_points(part) for parts in poses for part in parts])
    scale, centre = frame_object(points, float(random.uniform(*FILL_RANGE)))
    poses = [[_placed(part, scale, centre) for part in parts] for parts in poses]
    facing = 90 + math.degrees(yaw)
    normal = turn @ np.array([0, 0, -1.0])
    plane = upright_plane(facing, -scale * float(centre @ normal)) if kind in SYMMETRIC else None
    around, lift = random.uniform(-math.pi, math.pi), random.uniform(0.2, 1.5)
    light = np.array([math.sin(around), lift, math.cos(around)])
    shading = (light / np.linalg.norm(light), random.uniform(0.5, 0.8), random.uniform(0.1, 0.5))
    views = [[draw(parts, a, size, shading) for a in ORTHOGONAL_AZIMUTHS_DEG] for parts in poses]
    rgba = np.stack([[picture for picture, _ in row] for row in views])
    depth = np.stack([[far for _, far in row] for row in views])
    test = np.zeros((len(TEST_AZIMUTHS_DEG), size, size, 4), np.uint8)
    if validation:
        test = np.stack([draw(poses[0], a, size, shading)[0] for a in TEST_AZIMUTHS_DEG])
    return plane, rgba, np.round(depth / DEPTH_UNIT).astype(np.uint16), test


def draw(
    parts: list[Part], azimuth_deg: float, size: int, shading: tuple[NDArray[np.float64], float, float]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Ray-cast parts from an azimuth.

    Args:
        parts: of the object, in world units.
        azimuth_deg: of the camera.
        size: S.
        shading: direction towards the light, ambient and diffuse intensity.

    Returns:
        Colour with straight alpha [S, S, 4], and depth [S, S], 0 outside the object.
    """
    fine = size * SUPERSAMPLE
    focal = float(intrinsics(fine)[0, 0])
    viewmat = orbit(azimuth_deg, size=1).viewmats[0].double().numpy()
    eye = -viewmat[:3, :3].T @ viewmat[:3, 3]
    depth = np.full((fine, fine), np.inf)
    rgb = np.zeros((fine, fine, 3))
    for part in parts:
        middle = viewmat[:3, :3] @ part.centre + viewmat[:3, 3]
        reach = float(np.linalg.norm(part.half) if part.box else part.half.max())
        radius = 1.2 * focal * reach / max(middle[2] - reach, 0.1) + 2
        x, y = focal * middle[:2] / middle[2] + fine / 2
        x0, x1 = (int(np.clip(v, 0, fine)) for v in (x - radius, x + radius))
        y0, y1 = (int(np.clip(v, 0, fine)) for v in (y - radius, y + radius))
        if x0 >= x1 or y0 >= y1:
            continue
        ys, xs = np.mgrid[y0:y1, x0:x1] + 0.5
        local = np.stack([(xs - fine / 2) / focal, (ys - fine / 2) / focal, np.ones_like(xs)], -1)
        rays = local @ viewmat[:3, :3]
        far, normal, inside = (_box if part.box else _ellipsoid)(part, eye, rays)
        nearer = far < depth[y0:y1, x0:x1]
        color = _shaded(part, normal, inside, shading)
        depth[y0:y1, x0:x1][nearer] = far[nearer]
        rgb[y0:y1, x0:x1][nearer] = color[nearer]
    there = np.isfinite(depth)
    blocks = np.concatenate([rgb * there[..., None], there[..., None]], -1)
    mean = blocks.reshape(size, SUPERSAMPLE, size, SUPERSAMPLE, 4).mean((1, 3))
    straight = np.concatenate([mean[..., :3] / np.maximum(mean[..., 3:], 1e-6), mean[..., 3:]], -1)
    middle = depth[::SUPERSAMPLE, ::SUPERSAMPLE]
    return np.round(straight * 255).astype(np.uint8), np.where(np.isfinite(middle), middle, 0)


def _ellipsoid(
    part: Part, eye: NDArray[np.float64], rays: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """First intersections of rays with an ellipsoid: depth (∞ for none), normal and local coordinates."""
    origin = (part.rotation.T @ (eye - part.centre)) / part.half
    way = (rays @ part.rotation) / part.half
    a, b, c = (way**2).sum(-1), way @ origin, origin @ origin - 1
    root = b * b - a * c
    far = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    own = origin + way * np.where(np.isfinite(far), far, 0)[..., None]
    normal = (own / part.half) @ part.rotation.T
    return far, normal, own


def _box(part: Part, eye: NDArray[np.float64], rays: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """First intersections of rays with a box, as `_ellipsoid`: the latest entry, if before the first exit."""
    origin = (part.rotation.T @ (eye - part.centre)) / part.half
    way = (rays @ part.rotation) / part.half
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    entry, leave = (-np.sign(way) - origin) / way, (np.sign(way) - origin) / way
    axis, far = entry.argmax(-1), entry.max(-1)
    far = np.where((far < leave.min(-1)) & (far > 0), far, np.inf)
    own = origin + way * np.where(np.isfinite(far), far, 0)[..., None]
    facing = -np.take_along_axis(np.sign(way), axis[..., None], -1)
    normal = (np.eye(3)[axis] * facing) @ part.rotation.T
    return far, normal, own


def _shaded(
    part: Part,
    normal: NDArray[np.float64],
    own: NDArray[np.float64],
    shading: tuple[NDArray[np.float64], float, float],
) -> NDArray[np.float64]:
    light, ambient, diffuse = shading
    n = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    shade = ambient + diffuse * np.maximum(n @ light, 0) + 0.08 * n[..., 1]
    return np.clip(part.colors_at(own) * shade[..., None], 0, 1)


def _surface_points(part: Part) -> NDArray[np.float64]:
    """Points that bound a part for framing: a box's corners, or an ellipsoid's ends and some between."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    ends = signs if part.box else np.concatenate([np.eye(3), -np.eye(3), signs / math.sqrt(3)])
    return part.centre + (ends * part.half) @ part.rotation.T


def _turned(part: Part, turn: NDArray[np.float64]) -> Part:
    return replace(part, centre=turn @ part.centre, rotation=turn @ part.rotation)


def _placed(part: Part, scale: float, centre: NDArray[np.float64]) -> Part:
    return replace(part, centre=scale * (part.centre - centre), half=scale * part.half)


if __name__ == "__main__":
    main(sys.argv[1:])
