"""Quantised key frames of an asset, which a browser decodes and interpolates (web/recording.js).

The Gaussians are sorted along a space-filling curve. Each but the first has a parent: the earlier one
whose path is nearest to its own. A key frame holds the change since the key frame before, as a difference
from the parent's change, because neighbours move alike. The integers are zigzag-coded, split into planes
of low and high bytes, and deflated together.

| stream     | per key frame and Gaussian | step                                             |
| ---------- | -------------------------- | ------------------------------------------------ |
| means      | 3                          | `MEANS_STEP`, or coarser for a very large scene  |
| log scales | 3                          | `LOG_SCALES_STEP`                                |
| opacities  | 1                          | 1/255                                            |
| colors     | 3                          | 1/255                                            |
| quats      | 4 in the first key frame   | 1/`QUATS_UNIT`                                   |
| rotations  | 3 in each later one        | `ROTATIONS_STEP` rad, a rotation vector in world |
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from ar4d.gaussians import Gaussians

MEANS_STEP = 1 / 4096  # 0.09 pixels at 512², where the object fills the picture
LOG_SCALES_STEP = 1 / 32
ROTATIONS_STEP = 1 / 96
QUATS_UNIT = 511
SMALLEST_SCALE = 1e-6
MAX_INTEGER = 16000  # of the means: differences of differences still fit 16 bits
NEIGHBOURS = 24
MAX_OFFSET = 65535  # from a Gaussian to its parent


@dataclass(frozen=True)
class Recording:
    """Key frames for a browser."""

    meta: dict[str, Any]
    """What web/recording.js needs besides the data, as JSON."""

    data: bytes
    """Deflated streams: offsets to the parents, means, log scales, opacities, colors, quats, rotations."""


def encode(key_frames: Sequence[Gaussians], smooth: bool = False) -> Recording:
    """Quantises corresponding sets of Gaussians.

    Args:
        key_frames: the same number of Gaussians in each, evenly spaced in time.
        smooth: whether positions between key frames lie on a Catmull-Rom spline, instead of a line.
    """
    states = [{n: v.detach().cpu().double().numpy() for n, v in g.state().items()} for g in key_frames]
    stacked = {name: np.stack([state[name] for state in states]) for name in states[0]}  # [K, N, …]
    visible = (stacked["opacities"] >= 0.5 / 255).any(0)
    if visible.any():
        stacked = {name: values[:, visible] for name, values in stacked.items()}
    stacked = {name: values[:, _curve_order(stacked["means"][0])] for name, values in stacked.items()}
    parents = _parents(stacked["means"])

    step = max(MEANS_STEP, float(np.abs(stacked["means"]).max()) / MAX_INTEGER)
    scales = np.log(stacked["scales"].clip(SMALLEST_SCALE))
    streams = [
        (np.arange(len(parents)) - parents)[None, :, None],
        _differences(_round(stacked["means"] / step), parents),
        _differences(_round(scales / LOG_SCALES_STEP), parents),
        _differences(_round(stacked["opacities"][..., None].clip(0, 1) * 255), parents),
        _differences(_round(stacked["colors"].clip(0, 1) * 255), parents),
        *_rotations(stacked["quats"], parents),
    ]
    meta = {
        "keyFrames": len(states),
        "count": len(parents),
        "meansStep": step,
        "logScalesStep": LOG_SCALES_STEP,
        "rotationsStep": ROTATIONS_STEP,
        "smooth": smooth,
    }
    return Recording(meta, zlib.compress(b"".join(map(_planes, streams)), 9))


def _curve_order(means: np.ndarray) -> np.ndarray:
    """The order of points [N, 3] along a Morton curve of 1024³ cells."""
    low, high = means.min(0), means.max(0)
    cells = ((means - low) / np.maximum(high - low, 1e-12) * 1023).astype(np.int64)
    code = np.zeros(len(means), np.int64)
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _parents(means: np.ndarray) -> np.ndarray:
    """For each Gaussian the earlier one with the nearest path, [N]; 0 for the first one.

    Args:
        means: [K, N, 3].
    """
    num_frames, count, _ = means.shape
    paths = np.moveaxis(means, 0, 1).reshape(count, 3 * num_frames)
    nearest = KDTree(paths).query(paths, k=min(NEIGHBOURS, count))[1].reshape(count, -1)
    index = np.arange(count)
    usable = (nearest < index[:, None]) & (index[:, None] - nearest <= MAX_OFFSET)
    first = usable.argmax(1)
    return np.where(usable.any(1), nearest[index, first], np.maximum(index - 1, 0))


def _round(values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.int64)


def _differences(integers: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """[K, N, C]: changes since the key frame before, less those of the parents."""
    changes = np.diff(integers, axis=0, prepend=0)
    return _less_parents(changes, parents)


def _less_parents(changes: np.ndarray, parents: np.ndarray) -> np.ndarray:
    result = changes - changes[:, parents]
    result[:, 0] = changes[:, 0]
    return result


def _rotations(quats: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first quaternions [1, N, 4] and the later rotations [K - 1, N, 3] as integers.

    Each rotation starts from what the browser has decoded before, so that errors do not add up.
    """
    first = quats[0] * np.where(quats[0, :, :1] < 0, -1.0, 1.0)
    integers = _round(first / np.linalg.norm(first, axis=-1, keepdims=True) * QUATS_UNIT)
    decoded = integers / np.linalg.norm(integers, axis=-1, keepdims=True)
    vectors = []
    for quat in quats[1:]:
        relative = _multiply(quat, decoded * (1, -1, -1, -1))
        relative *= np.where(relative[:, :1] < 0, -1.0, 1.0)
        sine = np.linalg.norm(relative[:, 1:], axis=-1, keepdims=True)
        angle = 2 * np.arctan2(sine, relative[:, :1])
        vector = _round(relative[:, 1:] * angle / np.maximum(sine, 1e-12) / ROTATIONS_STEP)
        decoded = _multiply(_exponential(vector * ROTATIONS_STEP), decoded)
        vectors.append(vector)
    later = np.stack(vectors) if vectors else np.zeros((0, len(parents), 3), np.int64)
    return integers[None], _less_parents(later, parents)


def _exponential(vectors: np.ndarray) -> np.ndarray:
    """Unit quaternions [N, 4] (wxyz) of rotation vectors [N, 3]."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.concatenate([np.cos(angle / 2), vectors * np.sinc(angle / (2 * np.pi)) / 2], axis=-1)


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products of quaternions [N, 4] (wxyz)."""
    (aw, ax, ay, az), (bw, bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def _planes(integers: np.ndarray) -> bytes:
    """[K, N, C] integers: all low bytes of their zigzag codes, then all high ones, component by component."""
    codes = ((integers << 1) ^ (integers >> 63)).astype(np.uint32).astype("<u2")
    by_component = np.ascontiguousarray(np.moveaxis(codes, -1, 0))
    return (by_component & 255).astype(np.uint8).tobytes() + (by_component >> 8).astype(np.uint8).tobytes()
