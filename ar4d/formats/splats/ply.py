"""PLY as the reference implementation of 3D Gaussian splatting stores it, and PlayCanvas' packed PLY."""

from __future__ import annotations

import numpy as np

from ar4d.formats.splats.packing import opacity_bytes, pack_bits, smallest_three
from ar4d.formats.splats.stored import StoredGaussians

CHUNK_SIZE = 256  # Gaussians that share their bounds in a compressed PLY


def encode_ply(stored: StoredGaussians) -> bytes:
    """A binary PLY with the properties of 3DGS, without normals and without higher harmonics."""
    columns = np.column_stack([stored.means, stored.f_dc, stored.logits, stored.log_scales, stored.quats])
    names = ["x", "y", "z", *_numbered("f_dc", 3), "opacity", *_numbered("scale", 3), *_numbered("rot", 4)]
    header = _header([("vertex", len(columns), [f"float {name}" for name in names])])
    return header + columns.astype("<f4").tobytes()


def encode_compressed_ply(stored: StoredGaussians) -> bytes:
    """PlayCanvas' packed PLY: 16 bytes per Gaussian, relative to the bounds of its chunk of 256.

    Positions and scales take 11 + 10 + 11 bits, colour and opacity 8 each, the rotation 2 + 3 × 10
    (the largest component is left out). Layout as SuperSplat reads it.
    """
    position_bounds, positions = _relative_to_chunks(stored.means)
    scale_bounds, scales = _relative_to_chunks(stored.log_scales.clip(-20, 20))
    color_bounds, colors = _relative_to_chunks(stored.colors)
    largest, others = smallest_three(stored.quats)
    packed = np.column_stack([
        pack_bits(positions, (11, 10, 11)),
        (largest << np.uint32(30)) | pack_bits(others * np.sqrt(0.5) + 0.5, (10, 10, 10)),
        pack_bits(scales, (11, 10, 11)),
        (pack_bits(colors, (8, 8, 8)) << np.uint32(8)) | opacity_bytes(stored.opacities),
    ])  # fmt: skip
    bounds = np.concatenate([position_bounds, scale_bounds, color_bounds], axis=1)
    groups = (("", "xyz"), ("scale_", "xyz"), ("", "rgb"))
    bound_names = [f"{end}_{kind}{axis}" for kind, axes in groups for end in ("min", "max") for axis in axes]
    packed_names = [f"packed_{name}" for name in ("position", "rotation", "scale", "color")]
    header = _header([
        ("chunk", len(bounds), [f"float {name}" for name in bound_names]),
        ("vertex", len(packed), [f"uint {name}" for name in packed_names]),
    ])  # fmt: skip
    return header + bounds.astype("<f4").tobytes() + packed.astype("<u4").tobytes()


def _relative_to_chunks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of each chunk, [M, 6] (minima, then maxima), and `values` [N, 3] between them as 0..1."""
    starts = np.arange(0, len(values), CHUNK_SIZE)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    chunk = np.arange(len(values)) // CHUNK_SIZE
    relative = (values - low[chunk]) / np.maximum(high - low, 1e-12)[chunk]
    return np.concatenate([low, high], axis=1), relative


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}_{index}" for index in range(count)]


def _header(elements: list[tuple[str, int, list[str]]]) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0"]
    for name, count, properties in elements:
        lines += [f"element {name} {count}", *(f"property {p}" for p in properties)]
    return "\n".join([*lines, "end_header\n"]).encode()
