"""Animated PNG written chunk by chunk, so that frames may lie over each other."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SOURCE, OVER = 0, 1  # blend operations


def write_apng(path: Path, frames: Sequence[tuple[np.ndarray, int]], delay_ms: int = 100) -> Path:
    """Write frames (picture [h, w, 4] uint8, blend operation), none of which is disposed of."""
    height, width = frames[0][0].shape[:2]
    chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))]
    chunks.append(_chunk(b"acTL", struct.pack(">II", len(frames), 0)))
    number = 0
    for index, (picture, blend) in enumerate(frames):
        control = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, delay_ms, 1000, 0, blend)
        chunks.append(_chunk(b"fcTL", control))
        number += 1
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in picture))
        if index == 0:
            chunks.append(_chunk(b"IDAT", data))
        else:
            chunks.append(_chunk(b"fdAT", struct.pack(">I", number) + data))
            number += 1
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b""))
    return path


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
