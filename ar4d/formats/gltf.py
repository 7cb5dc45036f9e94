"""The binary container of glTF 2.0 (GLB) and the arrays in it."""

from __future__ import annotations

import json
import struct

import numpy as np

BYTE, UNSIGNED_BYTE, SHORT, UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5120, 5121, 5122, 5123, 5125, 5126
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
COMPONENTS = {
    np.dtype("i1"): BYTE,
    np.dtype("u1"): UNSIGNED_BYTE,
    np.dtype("<i2"): SHORT,
    np.dtype("<u2"): UNSIGNED_SHORT,
    np.dtype("<u4"): UNSIGNED_INT,
    np.dtype("<f4"): FLOAT,
}


class Buffer:
    """Collects arrays and describes them as glTF accessors."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def add_bytes(self, data: bytes, **extra: object) -> int:
        """Appends bytes; returns the index of their buffer view."""
        self.views.append({
            "buffer": 0, "byteOffset": sum(map(len, self.parts)), "byteLength": len(data), **extra,
        })  # fmt: skip
        self.parts.append(data + bytes(-len(data) % 4))
        return len(self.views) - 1

    def add(self, array: np.ndarray, kind: str, **extra: object) -> int:
        """Appends `array`, [N, ...] of type `kind` (SCALAR, VEC3, …); returns its accessor's index."""
        view = self.add_bytes(np.ascontiguousarray(array).tobytes())
        return self._describe(view, array, kind, extra)

    def add_vertices(self, array: np.ndarray, kind: str, **extra: object) -> int:
        """Appends one row per vertex, each padded to a multiple of four bytes, as glTF wants it."""
        rows = np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1)
        padding = -rows.shape[1] % 4
        stride = {"byteStride": rows.shape[1] + padding} if padding else {}
        data = np.pad(rows, ((0, 0), (0, padding))).tobytes()
        return self._describe(self.add_bytes(data, target=ARRAY_BUFFER, **stride), array, kind, extra)

    def add_points(self, points: np.ndarray, **extra: object) -> int:
        """Appends positions [N, 3] with their bounds."""
        bounds = {"min": points.min(0).tolist(), "max": points.max(0).tolist()}
        return self.add_vertices(points, "VEC3", **bounds, **extra)

    def add_indices(self, indices: np.ndarray) -> int:
        view = self.add_bytes(indices.astype("<u4").tobytes(), target=ELEMENT_ARRAY_BUFFER)
        return self._describe(view, indices.astype("<u4").ravel(), "SCALAR", {})

    def _describe(self, view: int, array: np.ndarray, kind: str, extra: dict[str, object]) -> int:
        component = COMPONENTS[array.dtype]
        self.accessors.append({
            "bufferView": view, "componentType": component, "count": len(array), "type": kind, **extra,
        })  # fmt: skip
        return len(self.accessors) - 1


def encode(document: dict, buffer: Buffer) -> bytes:
    """The GLB file of a document whose accessors are those of `buffer`."""
    binary = b"".join(buffer.parts)
    document = {
        "asset": {"version": "2.0", "generator": "ar4d"},
        **document,
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": buffer.views,
        "accessors": buffer.accessors,
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def to_linear(colors: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1), as glTF stores vertex colours."""
    return np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)


def to_srgb(light: np.ndarray) -> np.ndarray:
    """The reverse of `to_linear`."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
