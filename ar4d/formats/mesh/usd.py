"""A mesh in OpenUSD whose points vary in time."""

# pyright: reportAttributeAccessIssue=false
# (usd-core has no type stubs)

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ar4d.formats import gltf
from ar4d.formats.mesh.surface import AnimatedSurface
from ar4d.formats.usd import write_samples

if TYPE_CHECKING:
    from pxr import Usd


def write_mesh(stage: Usd.Stage, moving: AnimatedSurface) -> None:
    """Defines /asset/mesh: polygons as they are, without subdivision, coloured at the vertices."""
    from pxr import UsdGeom, Vt

    mesh = UsdGeom.Mesh.Define(stage, "/asset/mesh")
    faces = moving.surface.faces.astype(np.int32)
    mesh.CreateSubdivisionSchemeAttr("none")
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.ravel()))
    positions = list(moving.positions)
    write_samples(mesh.CreatePointsAttr(), positions, lambda x: Vt.Vec3fArray.FromNumpy(x))
    extents = [np.stack([points.min(0), points.max(0)]) for points in positions]
    write_samples(mesh.CreateExtentAttr(), extents, lambda x: Vt.Vec3fArray.FromNumpy(x))
    colors = np.ascontiguousarray(gltf.to_linear(moving.surface.colors), dtype=np.float32)
    primvar = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
    primvar.Set(Vt.Vec3fArray.FromNumpy(colors))
