"""One GLB with splats (KHR_gaussian_splatting) becomes Gaussians."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ar4d.errors import UserError
from ar4d.formats.gltf import COMPONENTS, to_srgb
from ar4d.formats.splats.glb import EXTENSION
from ar4d.formats.splats.stored import SH_C0
from ar4d.gaussians import Gaussians, concatenate, multiply_quaternions, rotation_matrices

DTYPES = {code: dtype for dtype, code in COMPONENTS.items()}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def read_glb_file(path: Path) -> tuple[Gaussians, list[str]]:
    """Read the splats of a GLB in the scene's coordinates, and what was left out, in sentences.

    Raises:
        UserError: the file is damaged, holds no splats, or holds them in a form that ar4d does not read.
    """
    try:
        document, binary = _chunks(path.read_bytes())
        parts, left_out = [], []
        for mesh, matrix in _placed_meshes(document):
            for primitive in document["meshes"][mesh]["primitives"]:
                if EXTENSION in primitive.get("extensions", {}):
                    parts.append(_placed(_gaussians(document, binary, primitive, path), matrix, path))
                    left_out += _left_out(path, primitive)
    except (OSError, KeyError, ValueError, IndexError, TypeError, struct.error) as error:
        raise UserError(f"{path} cannot be read as a GLB with splats ({error}); export it again.") from error
    if not parts:
        raise UserError(f"{path} holds no {EXTENSION}; export splats, not a mesh.")
    return concatenate(parts), list(dict.fromkeys(left_out))


def _chunks(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The document and the binary buffer of a GLB."""
    magic, version, _ = struct.unpack_from("<4sII", content)
    if magic != b"glTF" or version != 2:
        raise ValueError("it is not glTF 2.0 in binary form")
    chunks, offset = {}, 12
    while offset + 8 <= len(content):
        size, kind = struct.unpack_from("<I4s", content, offset)
        chunks[kind] = content[offset + 8 : offset + 8 + size]
        offset += 8 + size
    return json.loads(chunks[b"JSON"]), chunks.get(b"BIN\0", b"")


def _placed_meshes(document: dict[str, Any]) -> Iterator[tuple[int, np.ndarray]]:
    """The index of each mesh in the scene, and its matrix [4, 4] to the scene's coordinates."""
    nodes = document.get("nodes", [])
    waiting = [(node, np.eye(4)) for node in document["scenes"][document.get("scene", 0)].get("nodes", [])]
    seen: set[int] = set()
    while waiting:
        index, parent = waiting.pop(0)
        if index in seen:
            raise ValueError(f"node {index} is in the scene twice")
        seen.add(index)
        node = nodes[index]
        matrix = parent @ _matrix(node)
        if "mesh" in node:
            yield node["mesh"], matrix
        waiting += [(child, matrix) for child in node.get("children", [])]


def _matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = rotation_matrices(torch.tensor([[w, x, y, z]], dtype=torch.float64))[0].numpy()
    matrix[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _gaussians(document: dict[str, Any], binary: bytes, primitive: dict[str, Any], path: Path) -> Gaussians:
    extension = primitive["extensions"][EXTENSION]
    if "extensions" in extension:
        names = ", ".join(sorted(extension["extensions"]))
        raise UserError(f"{path} holds compressed splats ({names}); export it without compression.")
    attributes = primitive["attributes"]

    def read(name: str) -> np.ndarray:
        return _accessor(document, binary, attributes[name])

    colors = 0.5 + SH_C0 * read(f"{EXTENSION}:SH_DEGREE_0_COEF_0")
    if extension.get("colorSpace") == "lin_rec709_display":
        colors = to_srgb(colors.clip(0, 1))
    arrays = {
        "means": read("POSITION"),
        "quats": np.roll(read(f"{EXTENSION}:ROTATION"), 1, axis=1),
        "scales": read(f"{EXTENSION}:SCALE"),
        "opacities": read(f"{EXTENSION}:OPACITY")[:, 0],
        "colors": colors,
    }
    return Gaussians(**{name: torch.from_numpy(a.astype(np.float32)) for name, a in arrays.items()})


def _accessor(document: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    """[N, K] float64 of an accessor; normalised integers become -1..1 or 0..1."""
    accessor = document["accessors"][index]
    if "sparse" in accessor:
        raise ValueError("it has sparse accessors")
    view = document["bufferViews"][accessor["bufferView"]]
    if view["buffer"] != 0 or "uri" in document["buffers"][0]:
        raise ValueError("its numbers lie in another file")
    dtype, width, count = DTYPES[accessor["componentType"]], WIDTHS[accessor["type"]], accessor["count"]
    stride = view.get("byteStride", dtype.itemsize * width)
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    if count == 0 or start + (count - 1) * stride + dtype.itemsize * width > len(binary):
        raise ValueError("it is cut short")
    rows = np.ndarray((count, width), dtype, binary, start, (stride, dtype.itemsize)).astype(np.float64)
    if not accessor.get("normalized"):
        return rows
    return np.maximum(rows / np.iinfo(dtype).max, -1)


def _placed(gaussians: Gaussians, matrix: np.ndarray, path: Path) -> Gaussians:
    """The Gaussians in the scene's coordinates."""
    linear = torch.from_numpy(matrix[:3, :3])
    size = float(linear.det().clamp_min(0) ** (1 / 3))
    even = size**2 * torch.eye(3, dtype=torch.float64)
    if size == 0 or not torch.allclose(linear @ linear.T, even, atol=1e-4 * size**2):
        raise UserError(
            f"{path} mirrors its splats or scales them unevenly; apply that to the splats before the import."
        )
    turn = _quaternion(linear / size).to(gaussians.quats)
    means = gaussians.means.double() @ linear.T + torch.from_numpy(matrix[:3, 3])
    return replace(
        gaussians,
        means=means.float(),
        quats=multiply_quaternions(turn.expand_as(gaussians.quats), gaussians.quats),
        scales=gaussians.scales * size,
    )


def _quaternion(rotation: torch.Tensor) -> torch.Tensor:
    """The unit quaternion [4] (wxyz) of a rotation matrix [3, 3].

    It is the eigenvector of the largest eigenvalue of a symmetric matrix (Bar-Itzhack, 2000).
    """
    m = rotation
    rows = [
        [m.trace(), m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
        [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
        [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]],
    ]
    _, vectors = torch.linalg.eigh(torch.stack([torch.stack(row) for row in rows]))
    return F.normalize(vectors[:, -1], dim=0)


def _left_out(path: Path, primitive: dict[str, Any]) -> list[str]:
    if f"{EXTENSION}:SH_DEGREE_1_COEF_0" not in primitive["attributes"]:
        return []
    return [f"{path.name} has view-dependent colour, which is left out: ar4d shows the base colour."]
