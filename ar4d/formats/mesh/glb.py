"""A mesh as GLB, with or without morph-target animation.

Not by trimesh: it cannot write morph targets or unlit materials, and it stores vertex colours as they are,
although glTF takes them for linear light.
"""

from __future__ import annotations

import numpy as np

from ar4d.formats import gltf
from ar4d.formats.mesh.surface import AnimatedSurface, Surface

QUANTIZATION = "KHR_mesh_quantization"
LARGEST_SHORT = 32767


def encode_glb(mesh: AnimatedSurface, *, color_bits: int = 16, quantized: bool = False) -> bytes:
    """A binary glTF 2.0 with one unlit mesh: its colours hold the light of the clip already.

    Args:
        mesh: glTF's axes are this project's (y up, right-handed).
        color_bits: of vertex colours, 8 or 16; a surface with a texture has none.
        quantized: stores positions and morph targets as 16-bit integers.
    """
    buffer = gltf.Buffer()
    vertices, offsets = mesh.positions[0], mesh.positions[1:] - mesh.positions[0]
    node: dict = {"name": "asset", "mesh": 0}
    grid = _Grid.around(vertices, offsets) if quantized else None
    if grid is not None:
        node |= {"translation": grid.center.tolist(), "scale": [grid.size] * 3}
    material: dict = {
        "name": "asset",
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
        "extensions": {"KHR_materials_unlit": {}},
    }
    primitive: dict = {
        "attributes": {"POSITION": _add_points(buffer, vertices, grid, is_offset=False)},
        "indices": buffer.add_indices(mesh.surface.faces),
        "material": 0,
    }
    gltf_mesh: dict = {"name": "asset", "primitives": [primitive]}
    document: dict = {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [node],
        "meshes": [gltf_mesh],
        "materials": [material],
        "extensionsUsed": ["KHR_materials_unlit"],
    }
    _add_colors(buffer, mesh.surface, primitive, material, document, color_bits)
    if grid is not None:
        document["extensionsUsed"].append(QUANTIZATION)
        document["extensionsRequired"] = [QUANTIZATION]
    if len(offsets):
        primitive["targets"] = [{"POSITION": _add_points(buffer, x, grid, is_offset=True)} for x in offsets]
        gltf_mesh["weights"] = [0.0] * len(offsets)
        gltf_mesh["extras"] = {"targetNames": [f"frame {index + 1:04d}" for index in range(len(offsets))]}
        document["animations"] = [_animation(buffer, mesh.seconds)]
    return gltf.encode(document, buffer)


class _Grid:
    """Positions as 16-bit integers: x = center + size · n / 32767."""

    def __init__(self, center: np.ndarray, size: float) -> None:
        self.center, self.size = center, size

    @staticmethod
    def around(vertices: np.ndarray, offsets: np.ndarray) -> _Grid:
        """The grid that holds the vertices and, as differences, the offsets."""
        center = (vertices.min(0) + vertices.max(0)) / 2
        largest = np.abs(vertices - center).max()
        return _Grid(center, float(max(largest, np.abs(offsets).max(initial=0.0), 1e-9)))

    def integers(self, points: np.ndarray, is_offset: bool) -> np.ndarray:
        relative = points if is_offset else points - self.center
        return np.round(relative / self.size * LARGEST_SHORT).astype("<i2")


def _add_points(buffer: gltf.Buffer, points: np.ndarray, grid: _Grid | None, is_offset: bool) -> int:
    if grid is None:
        return buffer.add_points(points.astype("<f4"))
    return buffer.add_points(grid.integers(points, is_offset), normalized=True)


def _add_colors(
    buffer: gltf.Buffer, surface: Surface, primitive: dict, material: dict, document: dict, bits: int
) -> None:
    """Vertex colours, or the texture and its coordinates where the surface has one."""
    if surface.texture_png is None:
        rgba = np.column_stack([gltf.to_linear(surface.colors), np.ones(len(surface.colors))])
        values = np.round(rgba * (2**bits - 1)).astype("<u2" if bits == 16 else "u1")
        primitive["attributes"]["COLOR_0"] = buffer.add_vertices(values, "VEC4", normalized=True)
        return
    primitive["attributes"]["TEXCOORD_0"] = buffer.add_vertices(surface.uvs.astype("<f4"), "VEC2")
    material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    document["images"] = [
        {"name": "asset", "mimeType": "image/png", "bufferView": buffer.add_bytes(surface.texture_png)}
    ]
    document["samplers"] = [{"magFilter": 9729, "minFilter": 9729, "wrapS": 33071, "wrapT": 33071}]
    document["textures"] = [{"source": 0, "sampler": 0}]


def _animation(buffer: gltf.Buffer, seconds: np.ndarray) -> dict:
    """At key k only target k - 1 counts; in between its neighbours blend into one another."""
    weights = np.eye(len(seconds), dtype="<f4")[:, 1:]  # [F, F - 1]
    ends = {"min": [float(np.float32(seconds[0]))], "max": [float(np.float32(seconds[-1]))]}
    times = buffer.add(seconds.astype("<f4"), "SCALAR", **ends)
    output = buffer.add(weights.ravel(), "SCALAR")
    sampler = {"input": times, "output": output, "interpolation": "LINEAR"}
    channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
    return {"name": "clip", "samplers": [sampler], "channels": [channel]}
