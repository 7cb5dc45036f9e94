"""Parsers for two binary formats of the Pyrogenesis engine.

PMD is a skinned mesh, PSA a skeletal animation. The 0 A.D. package has both as cached conversions of COLLADA
files. The engine's space is left-handed, and so are the results.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatMatrix = NDArray[np.float64]

NO_BONE = 0xFF


@dataclass(frozen=True)
class PropPoint:
    """A place on a mesh where another actor can be attached."""

    matrix: FloatMatrix
    """Transform relative to the bone, 4x4."""
    bone: int
    """Bone index, or NO_BONE for the object itself."""


@dataclass(frozen=True)
class SkinnedMesh:
    """Contents of a PMD file."""

    positions: FloatMatrix
    uvs: NDArray[np.float32]
    faces: NDArray[np.int32]
    bones: NDArray[np.int64]
    """Up to four bone indices per vertex; NO_BONE where unused."""
    weights: FloatMatrix
    bind: FloatMatrix
    """Bone-to-object transforms of the rest pose, [bones, 4, 4]."""
    prop_points: dict[str, PropPoint]


@dataclass(frozen=True)
class SkeletalAnimation:
    """Contents of a PSA file."""

    frame_time_ms: float
    keys: NDArray[np.float32]
    """Translation (3) and quaternion x y z w (4), [frames, bones, 7]."""

    def sample(self, phase: float) -> FloatMatrix:
        """Bone-to-object transforms at a phase in [0, 1) of the looped cycle."""
        count = len(self.keys)
        position = phase * count
        first = int(position) % count
        second = (first + 1) % count
        fraction = position - int(position)
        start, end = self.keys[first], self.keys[second]
        q0, q1 = start[:, 3:], end[:, 3:].copy()
        q1[(q0 * q1).sum(axis=1) < 0] *= -1
        blended = np.concatenate(
            [
                start[:, :3] * (1 - fraction) + end[:, :3] * fraction,
                q0 * (1 - fraction) + q1 * fraction,
            ],
            axis=1,
        )
        return transforms(blended)


def transforms(rows: NDArray[np.float32]) -> FloatMatrix:
    """4x4 matrices from rows of translation and quaternion (x y z w)."""
    values = np.asarray(rows, dtype=np.float64).reshape(-1, 7)
    norm = np.linalg.norm(values[:, 3:], axis=1, keepdims=True)
    x, y, z, w = (values[:, 3:] / np.maximum(norm, 1e-9)).T
    matrices = np.zeros((len(values), 4, 4))
    matrices[:, 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], axis=1)
    matrices[:, 1, :3] = np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], axis=1)
    matrices[:, 2, :3] = np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=1)
    matrices[:, :3, 3] = values[:, :3]
    matrices[:, 3, 3] = 1
    return matrices


class _Reader:
    """Sequential reads from a byte string."""

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self._offset = offset

    def u32(self) -> int:
        """Read an unsigned integer of 32 bits."""
        (value,) = struct.unpack_from("<I", self._data, self._offset)
        self._offset += 4
        return int(value)

    def f32(self) -> float:
        """Read a float of 32 bits."""
        (value,) = struct.unpack_from("<f", self._data, self._offset)
        self._offset += 4
        return float(value)

    def text(self) -> str:
        """Read a string with its length before it."""
        length = self.u32()
        raw = self._data[self._offset : self._offset + length]
        self._offset += length
        return raw.decode("latin-1")

    def array(self, dtype: np.dtype | str, count: int) -> NDArray:  # type: ignore[type-arg]
        """Read `count` values of a type."""
        result = np.frombuffer(self._data, dtype, count, self._offset)
        self._offset += result.nbytes
        return result


def parse_pmd(data: bytes) -> SkinnedMesh:
    """Read a PMD mesh (versions 3 and 4)."""
    if data[:4] != b"PSMD":
        raise ValueError("not a PMD file")
    reader = _Reader(data, 4)
    version, _size, vertex_count = reader.u32(), reader.u32(), reader.u32()
    if version < 3:
        raise ValueError(f"PMD version {version} is not supported")
    uv_sets = reader.u32() if version >= 4 else 1
    layout = np.dtype(
        [
            ("position", "<f4", (3,)),
            ("normal", "<f4", (3,)),
            ("uv", "<f4", (uv_sets, 2)),
            ("bones", "u1", (4,)),
            ("weights", "<f4", (4,)),
        ]
    )
    vertices = reader.array(layout, vertex_count)
    faces = reader.array("<u2", 3 * reader.u32()).reshape(-1, 3)
    bind = transforms(reader.array("<f4", 7 * reader.u32()))
    prop_points: dict[str, PropPoint] = {}
    for _ in range(reader.u32()):
        name = reader.text()
        matrix = transforms(reader.array("<f4", 7))[0]
        prop_points[name] = PropPoint(matrix, int(reader.array("u1", 1)[0]))
    return SkinnedMesh(
        positions=vertices["position"].astype(np.float64),
        uvs=vertices["uv"][:, 0].copy(),
        faces=faces.astype(np.int32),
        bones=vertices["bones"].astype(np.int64),
        weights=vertices["weights"].astype(np.float64),
        bind=bind,
        prop_points=prop_points,
    )


def parse_psa(data: bytes) -> SkeletalAnimation:
    """Read a PSA animation."""
    if data[:4] != b"PSSA":
        raise ValueError("not a PSA file")
    reader = _Reader(data, 12)
    reader.text()
    frame_time = reader.f32()
    bone_count, frame_count = reader.u32(), reader.u32()
    keys = reader.array("<f4", frame_count * bone_count * 7)
    return SkeletalAnimation(frame_time, keys.reshape(frame_count, bone_count, 7))
