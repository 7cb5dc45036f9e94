"""The GLB container: one vertex-coloured mesh, with or without morph-target animation."""

from __future__ import annotations

import json
import struct

import numpy as np

FLOAT, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5123, 5125  # component types of glTF
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
COMPONENTS = {np.dtype("<f4"): FLOAT, np.dtype("<u2"): UNSIGNED_SHORT, np.dtype("<u4"): UNSIGNED_INT}


class _Buffer:
    """Collects arrays and describes them as glTF accessors."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def add(self, array: np.ndarray, kind: str, *, target: int | None = None, **extra: object) -> int:
        """Appends `array`, [N, ...] of type `kind` (SCALAR, VEC3, ...); returns its accessor's index."""
        data = np.ascontiguousarray(array).tobytes()
        view = {"buffer": 0, "byteOffset": sum(map(len, self.parts)), "byteLength": len(data)}
        self.views.append(view if target is None else {**view, "target": target})
        self.parts.append(data + bytes(-len(data) % 4))
        self.accessors.append({
            "bufferView": len(self.views) - 1, "componentType": COMPONENTS[array.dtype], "count": len(array),
            "type": kind, **extra,
        })  # fmt: skip
        return len(self.accessors) - 1

    def add_points(self, points: np.ndarray) -> int:
        bounds = {"min": points.min(0).tolist(), "max": points.max(0).tolist()}
        return self.add(points, "VEC3", target=ARRAY_BUFFER, **bounds)


def encode_glb(
    vertices: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    positions: np.ndarray | None = None,
    seconds: np.ndarray | None = None,
) -> bytes:
    """A binary glTF 2.0 with one unlit mesh: its colours hold the light of the clip already.

    Args:
        vertices: [V, 3] world units; glTF's axes are this project's (y up, right-handed).
        faces: [T, 3] counter-clockwise seen from outside.
        colors: [V, 3] sRGB in [0, 1]; stored linear, as glTF wants vertex colours.
        positions: [F, V, 3] where the vertices are at each of `seconds`; positions[0] is `vertices`.
        seconds: [F] increasing.
    """
    buffer = _Buffer()
    primitive: dict = {
        "attributes": {
            "POSITION": buffer.add_points(vertices.astype("<f4")),
            "COLOR_0": buffer.add(_linear(colors), "VEC4", target=ARRAY_BUFFER, normalized=True),
        },
        "indices": buffer.add(faces.astype("<u4").ravel(), "SCALAR", target=ELEMENT_ARRAY_BUFFER),
        "material": 0,
    }
    mesh: dict = {"name": "asset", "primitives": [primitive]}
    document: dict = {
        "asset": {"version": "2.0", "generator": "ar4d"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "asset", "mesh": 0}],
        "meshes": [mesh],
        "materials": [{
            "name": "asset",
            "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
            "extensions": {"KHR_materials_unlit": {}},
        }],
        "extensionsUsed": ["KHR_materials_unlit"],
    }  # fmt: skip
    if positions is not None and seconds is not None and len(positions) > 1:
        offsets = (positions[1:] - vertices).astype("<f4")
        primitive["targets"] = [{"POSITION": buffer.add_points(offset)} for offset in offsets]
        mesh["weights"] = [0.0] * len(offsets)
        mesh["extras"] = {"targetNames": [f"frame {index + 1:04d}" for index in range(len(offsets))]}
        document["animations"] = [_animation(buffer, seconds)]
    return _container(document, buffer)


def _animation(buffer: _Buffer, seconds: np.ndarray) -> dict:
    """At key k only target k - 1 counts; in between its neighbours blend into one another."""
    weights = np.eye(len(seconds), dtype="<f4")[:, 1:]  # [F, F - 1]
    times = buffer.add(
        seconds.astype("<f4"),
        "SCALAR",
        min=[float(np.float32(seconds[0]))],
        max=[float(np.float32(seconds[-1]))],
    )
    sampler = {"input": times, "output": buffer.add(weights.ravel(), "SCALAR"), "interpolation": "LINEAR"}
    channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
    return {"name": "clip", "samplers": [sampler], "channels": [channel]}


def _linear(colors: np.ndarray) -> np.ndarray:
    """[V, 4] 16-bit linear RGBA of [V, 3] sRGB colours."""
    light = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    rgba = np.column_stack([light, np.ones(len(light))])
    return np.round(rgba * 65535).astype("<u2")


def _container(document: dict, buffer: _Buffer) -> bytes:
    binary = b"".join(buffer.parts)
    document |= {
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": buffer.views,
        "accessors": buffer.accessors,
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
