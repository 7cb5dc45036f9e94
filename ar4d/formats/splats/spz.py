"""Niantic's SPZ, versions 3 and 4: 20 bytes per Gaussian before compression.

The axes of SPZ (right, up, back) are this project's own. Both versions store the same bytes: version 3 as
one gzip stream, which the most readers know, version 4 as one Zstandard stream per attribute.
"""

from __future__ import annotations

import gzip
import struct
from typing import Literal

import numpy as np
import zstandard

from ar4d.formats.splats.packing import opacity_bytes, smallest_three, to_bytes
from ar4d.formats.splats.stored import StoredGaussians

SpzVersion = Literal[3, 4]

FRACTIONAL_BITS = 14  # positions in steps of 6e-5, up to ±512
HEADER_SIZE = 32  # of version 4: the one of version 3, where the table lies, and zeros
ZSTANDARD_LEVEL = 19


def encode_spz(stored: StoredGaussians, version: SpzVersion) -> bytes:
    """An SPZ file without higher harmonics. Rotations err by up to 0.26°, version 2's by up to 12°."""
    fixed = np.round(stored.means * 2.0**FRACTIONAL_BITS).clip(-(2**23), 2**23 - 1).astype("<i4")
    sections = [
        fixed[..., None].view(np.uint8)[..., :3].tobytes(),  # 24 bits, little-endian
        opacity_bytes(stored.opacities).tobytes(),
        to_bytes(stored.f_dc * (0.15 * 255) + 127.5).tobytes(),
        to_bytes((stored.log_scales + 10) * 16).tobytes(),
        _rotations(stored.quats).astype("<u4").tobytes(),
    ]
    header = struct.pack("<4sIIBBB", b"NGSP", version, len(fixed), 0, FRACTIONAL_BITS, 0)
    if version == 3:
        return gzip.compress(header + b"\0" + b"".join(sections), mtime=0)
    compressor = zstandard.ZstdCompressor(level=ZSTANDARD_LEVEL)
    streams = [compressor.compress(section) for section in sections]
    table = [struct.pack("<QQ", len(a), len(b)) for a, b in zip(streams, sections, strict=True)]
    header += struct.pack("<BI", len(streams), HEADER_SIZE)
    return b"".join([header.ljust(HEADER_SIZE, b"\0"), *table, *streams])


def _rotations(quats: np.ndarray) -> np.ndarray:
    """SPZ counts components as xyzw and stores a sign and nine bits of magnitude for each of three."""
    largest, others = smallest_three(np.roll(quats, -1, axis=1))
    magnitude = np.round(np.abs(others) * np.sqrt(2) * 511).clip(0, 511).astype(np.uint32)
    fields = magnitude | ((others < 0).astype(np.uint32) << np.uint32(9))
    return (largest << np.uint32(30)) | (fields[:, 0] << 20) | (fields[:, 1] << 10) | fields[:, 2]
