"""Animated, textured triangle meshes.

Coordinates are right-handed with y up; an object looks towards +z, that is, towards a camera at azimuth 0.
Texture coordinates have their origin at the first row of the texture array.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
ByteArray = NDArray[np.uint8]

CUTOUT_THRESHOLD = 0.4
"""Texels of a cut-out texture with less alpha than this are holes."""


class AlphaMode(IntEnum):
    """What the alpha channel of a texture means."""

    OPAQUE = 0
    CUTOUT = 1
    TEAM_COLOUR = 2
    """Where alpha is low the team colour shows through."""


@dataclass(frozen=True)
class Part:
    """One animated triangle mesh with a single texture."""

    vertices: FloatArray
    """Positions, [frames, vertices, 3]."""
    faces: IntArray
    """Vertex indices, [triangles, 3]."""
    uvs: FloatArray
    """Texture coordinates, [vertices, 2]."""
    texture: ByteArray | None = None
    """RGBA texels, [height, width, 4]; white when missing."""
    alpha_mode: AlphaMode = AlphaMode.OPAQUE
    name: str = ""
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor on the texture's colour, in [0, 1]."""
    flat: bool = False
    """Whether each triangle has its own normal, as a box has, rather than the vertices."""


@dataclass(frozen=True)
class Clip:
    """An animated object: parts that share the same frames."""

    parts: tuple[Part, ...]

    @property
    def frames(self) -> int:
        """Number of animation frames."""
        return self.parts[0].vertices.shape[0]

    @property
    def triangles(self) -> int:
        """Number of triangles over all parts."""
        return sum(len(part.faces) for part in self.parts)

    def moved(self, matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Clip:
        """The clip with its points x at matrix x + offset."""
        return Clip(
            tuple(
                replace(part, vertices=(part.vertices @ matrix.T + offset).astype(np.float32))
                for part in self.parts
            )
        )

    def points(self, frame: int) -> list[FloatArray]:
        """The vertices of each part that its faces use, in a frame."""
        return [part.vertices[frame][np.unique(part.faces)] for part in self.parts]


def welded(rest: NDArray[Any], faces: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Weld vertices [V, 3] in the same place, and drop copies of faces.

    Copies that face the opposite way would cancel each other's normals.

    Returns:
        The number of each vertex's place [V], and the faces [T, 3] that are left.
    """
    cells = np.round(rest / max(float(np.ptp(rest)), 1e-6) * 1e5).astype(np.int64)
    groups = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    _, first = np.unique(np.sort(groups[faces], axis=1), axis=0, return_index=True)
    return groups, faces[np.sort(first)]
