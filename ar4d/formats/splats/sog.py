"""PlayCanvas' SOG, version 2: pictures (lossless WebP) whose pixels are Gaussians, in a ZIP archive."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
from PIL import Image

from ar4d.formats.splats.packing import opacity_bytes, smallest_three, to_bytes
from ar4d.formats.splats.stored import StoredGaussians

CODEBOOK_SIZE = 256
CODEBOOK_ROUNDS = 10
FIRST_ROTATION_TAG = 252  # plus the index of the component that is left out
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same Gaussians give the same bytes


def encode_sog(stored: StoredGaussians) -> bytes:
    """A .sog file without higher harmonics.

    Positions take 16 bits per axis of sign(x) log(1 + |x|) between their bounds; rotations 8 bits for each of
    the three smaller components; scales and colours are indices into codebooks of 256 values.
    """
    logs = np.sign(stored.means) * np.log1p(np.abs(stored.means))
    low, high = logs.min(0), logs.max(0)
    positions = np.round((logs - low) / np.maximum(high - low, 1e-12) * 65535).astype(np.uint16)
    largest, others = smallest_three(stored.quats)
    tags = (largest + FIRST_ROTATION_TAG).astype(np.uint8)
    rotations = to_bytes((others * np.sqrt(0.5) + 0.5) * 255)
    scale_book, scales = codebook(stored.log_scales)
    color_book, colors = codebook(stored.f_dc)
    pictures = {
        "means_l.webp": _picture(positions & 255),
        "means_u.webp": _picture(positions >> 8),
        "quats.webp": _picture(rotations, tags),
        "scales.webp": _picture(scales),
        "sh0.webp": _picture(colors, opacity_bytes(stored.opacities)),
    }
    meta = {
        "version": 2,
        "asset": {"generator": "ar4d"},
        "count": len(stored),
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": scale_book.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": color_book.tolist(), "files": ["sh0.webp"]},
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"meta.json": json.dumps(meta).encode(), **pictures}.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data)
    return content.getvalue()


def codebook(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """256 values [256] that stand for `values` [N, 3] with a small squared error, and indices [N, 3] uint8.

    Lloyd's algorithm on the line, from the quantiles: neighbouring codebook values meet halfway.
    """
    line = np.sort(values.astype(np.float64).ravel())
    sums = np.concatenate([[0.0], np.cumsum(line)])
    book = np.quantile(line, (np.arange(CODEBOOK_SIZE) + 0.5) / CODEBOOK_SIZE)
    book[0], book[-1] = line[0], line[-1]
    for _ in range(CODEBOOK_ROUNDS):
        edges = np.concatenate([[0], np.searchsorted(line, (book[1:] + book[:-1]) / 2), [len(line)]])
        counts = np.diff(edges)
        book = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), book)
    book = np.sort(book).astype(np.float32)
    return book, np.searchsorted((book[1:] + book[:-1]) / 2, values).astype(np.uint8)


def _picture(rgb: np.ndarray, alpha: np.ndarray | None = None) -> bytes:
    """[N, 3] and [N] become the pixels of a lossless WebP whose sides are multiples of four."""
    count = len(rgb)
    width = 4 * int(np.ceil(np.sqrt(count) / 4))
    height = 4 * int(np.ceil(count / width / 4))
    pixels = np.full((width * height, 4), 255, np.uint8)
    pixels[:, :3] = 0
    pixels[:count, :3] = rgb
    if alpha is not None:
        pixels[:count, 3] = alpha
    buffer = io.BytesIO()
    # `exact` keeps colours where alpha is 0; the pixels are numbers here, not a picture.
    Image.fromarray(pixels.reshape(height, width, 4)).save(buffer, "webp", lossless=True, exact=True)
    return buffer.getvalue()
