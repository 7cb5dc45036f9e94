"""glTF 2.0 binary files as animated meshes.

Read are triangles with base colour (factor and texture), node animations (linear and step), and skins. Morph
targets, sparse accessors and compression are not read. Each mesh primitive becomes a part.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ar4d.scenes.mesh import AlphaMode, Clip, Part

Matrix = NDArray[np.float64]
_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_TRIANGLES = 4


def load_glb(data: bytes, animation: str | None, frames: int) -> Clip:
    """Pose a model over one cycle of an animation.

    Args:
        data: a binary glTF file.
        animation: its name; None leaves the model at rest in all frames.
        frames: number of frames, at equal steps over the cycle.

    Raises:
        ValueError: the file is no binary glTF 2.0, has no such animation, or uses what is not read.
    """
    file = _File.parse(data)
    moves = file.animation(animation) if animation else _Animation(0.0, ())
    poses = [file.pose(moves, moves.duration * k / frames) for k in range(frames)]
    nodes = enumerate(file.tree["nodes"])
    parts = [part for n, node in nodes if "mesh" in node for part in file.parts(n, poses)]
    if not parts:
        raise ValueError("no triangles in it")
    return Clip(tuple(parts))


@dataclass(frozen=True)
class _Channel:
    """Values [K, N] of a node's property at times [K]."""

    node: int
    path: str
    times: Matrix
    values: Matrix
    step: bool

    def at(self, time: float) -> Matrix:
        """The value at a time in seconds; rotations are mixed along the shorter arc and normalised."""
        if time >= self.times[-1]:
            return self.values[-1]
        k = int(np.searchsorted(self.times, time, side="right")) - 1
        if k < 0 or self.step:
            return self.values[max(k, 0)]
        mix = (time - self.times[k]) / (self.times[k + 1] - self.times[k])
        start, end = self.values[k], self.values[k + 1]
        if self.path != "rotation":
            return start + (end - start) * mix
        mixed = start * (1 - mix) + end * (mix if float((start * end).sum()) >= 0 else -mix)
        return mixed / np.sqrt((mixed**2).sum())


@dataclass(frozen=True)
class _Animation:
    duration: float
    channels: tuple[_Channel, ...]


@dataclass(frozen=True)
class _File:
    tree: dict[str, Any]
    binary: bytes

    @staticmethod
    def parse(data: bytes) -> _File:
        """Split the file into its tree and its binary chunk."""
        if len(data) < 20 or data[:4] != b"glTF" or struct.unpack_from("<I", data, 4)[0] != 2:
            raise ValueError("not a binary glTF 2.0 file")
        length = struct.unpack_from("<I", data, 12)[0]
        tree = json.loads(data[20 : 20 + length])
        unread = [name for name in tree.get("extensionsRequired", ()) if name != "KHR_materials_unlit"]
        if unread:
            raise ValueError(f"the extension {unread[0]} is not read")
        return _File(tree, data[28 + length :])

    def accessor(self, index: int) -> NDArray[Any]:
        """The numbers [count, width] of an accessor; integers that are normalised become floats."""
        accessor = self.tree["accessors"][index]
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ValueError("sparse accessors are not read")
        view = self.tree["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        row = width * kind.itemsize
        values = np.ndarray(
            (accessor["count"], width), kind, self.binary, start, (view.get("byteStride", row), kind.itemsize)
        )
        if accessor.get("normalized"):
            return np.maximum(values.astype(np.float64) / np.iinfo(kind).max, -1)
        return values.copy()

    def animation(self, name: str) -> _Animation:
        """
        Raises:
            ValueError: there is none of this name, or it has cubic splines.
        """
        for animation in self.tree.get("animations", ()):
            if animation.get("name") == name:
                channels = tuple(self._channels(animation))
                return _Animation(max(float(c.times[-1]) for c in channels), channels)
        raise ValueError(f'no animation "{name}" in it')

    def _channels(self, animation: dict[str, Any]):
        for channel in animation["channels"]:
            sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
            mode = sampler.get("interpolation", "LINEAR")
            if mode == "CUBICSPLINE" or target["path"] == "weights":
                raise ValueError("cubic splines and morph targets are not read")
            times = self.accessor(sampler["input"])[:, 0].astype(np.float64)
            values = self.accessor(sampler["output"]).astype(np.float64)
            yield _Channel(target["node"], target["path"], times, values, mode == "STEP")

    def pose(self, moves: _Animation, time: float) -> list[Matrix]:
        """The transform [4, 4] of each node to the scene."""
        changed: dict[int, dict[str, Matrix]] = {}
        for channel in moves.channels:
            changed.setdefault(channel.node, {})[channel.path] = channel.at(time)
        nodes = self.tree["nodes"]
        local = [_local(node, changed.get(n, {})) for n, node in enumerate(nodes)]
        parents = {child: n for n, node in enumerate(nodes) for child in node.get("children", ())}

        def world(n: int) -> Matrix:
            return world(parents[n]) @ local[n] if n in parents else local[n]

        return [world(n) for n in range(len(nodes))]

    def parts(self, n: int, poses: Sequence[Sequence[Matrix]]):
        """The parts of the node n in all poses."""
        node = self.tree["nodes"][n]
        mesh = self.tree["meshes"][node["mesh"]]
        for primitive in mesh["primitives"]:
            if primitive.get("mode", _TRIANGLES) != _TRIANGLES:
                continue
            attributes = primitive["attributes"]
            places = self.accessor(attributes["POSITION"]).astype(np.float64)
            homogeneous = np.concatenate([places, np.ones((len(places), 1))], axis=1)
            if "skin" in node:
                vertices = self._skinned(homogeneous, attributes, node["skin"], poses)
            else:
                vertices = np.stack([(homogeneous @ pose[n].T)[:, :3] for pose in poses])
            faces = np.arange(len(places))[:, None]
            if "indices" in primitive:
                faces = self.accessor(primitive["indices"])
            uvs = np.zeros((len(places), 2), np.float32)
            if "TEXCOORD_0" in attributes:
                uvs = self.accessor(attributes["TEXCOORD_0"]).astype(np.float32)
            texture, colour = self._material(primitive.get("material"))
            yield Part(
                vertices.astype(np.float32),
                faces.reshape(-1, 3).astype(np.int32),
                uvs,
                texture,
                AlphaMode.OPAQUE,
                mesh.get("name", ""),
                colour,
            )

    def _skinned(
        self, places: Matrix, attributes: dict[str, int], skin: int, poses: Sequence[Sequence[Matrix]]
    ) -> Matrix:
        """Linear blend skinning, [frames, vertices, 3]."""
        entry = self.tree["skins"][skin]
        inverse = self.accessor(entry["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints, weights = self.accessor(attributes["JOINTS_0"]), self.accessor(attributes["WEIGHTS_0"])
        weights = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
        posed = []
        for pose in poses:
            bones = np.stack([pose[joint] for joint in entry["joints"]]) @ inverse.astype(np.float64)
            moved = np.einsum("vkij,vj->vki", bones[joints][..., :3, :], places)
            posed.append((weights[..., None] * moved).sum(1))
        return np.stack(posed)

    def _material(self, index: int | None) -> tuple[NDArray[np.uint8] | None, tuple[float, float, float]]:
        """The base colour's texture, and its factor as sRGB."""
        surface = {} if index is None else self.tree["materials"][index].get("pbrMetallicRoughness", {})
        red, green, blue, _ = (_as_srgb(float(x)) for x in surface.get("baseColorFactor", (1, 1, 1, 1)))
        if "baseColorTexture" not in surface:
            return None, (red, green, blue)
        source = self.tree["textures"][surface["baseColorTexture"]["index"]]["source"]
        image = self.tree["images"][source]
        if "bufferView" not in image:
            raise ValueError("pictures in other files are not read")
        view = self.tree["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        with Image.open(io.BytesIO(self.binary[start : start + view["byteLength"]])) as picture:
            return np.asarray(picture.convert("RGBA")), (red, green, blue)


def _local(node: dict[str, Any], changed: dict[str, Matrix]) -> Matrix:
    """A node's transform to its parent."""
    if "matrix" in node and not changed:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    place = changed.get("translation", np.array(node.get("translation", (0, 0, 0)), dtype=np.float64))
    x, y, z, w = changed.get("rotation", np.array(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64))
    scale = changed.get("scale", np.array(node.get("scale", (1, 1, 1)), dtype=np.float64))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix[:3, :3] *= scale
    matrix[:3, 3] = place
    return matrix


def _as_srgb(linear: float) -> float:
    """A colour factor, which glTF states in linear light, as the pictures have it; rounded to a byte."""
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * min(max(value, 0.0), 1.0)) / 255
