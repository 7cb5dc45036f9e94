"""Few bits per value, as the packed splat formats share them."""

from __future__ import annotations

import numpy as np

# A reader takes the logit of a stored opacity: the first and the last of the 256 steps would be infinite.
FIRST_OPACITY, LAST_OPACITY = 1, 254


def pack_bits(values: np.ndarray, bits: tuple[int, ...]) -> np.ndarray:
    """[N] uint32 of the columns of `values` in 0..1, the first column in the highest bits."""
    packed = np.zeros(len(values), np.uint32)
    for column, width in zip(values.T, bits, strict=True):
        level = np.floor(column.clip(0, 1) * (2**width - 1) + 0.5).astype(np.uint32)
        packed = (packed << np.uint32(width)) | level
    return packed


def smallest_three(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The index [N] of each largest component, and the other three [N, 3] with the largest made positive."""
    largest = np.abs(quats).argmax(1)
    signed = quats * np.where(np.take_along_axis(quats, largest[:, None], 1) < 0, -1, 1)
    others = signed[np.arange(4) != largest[:, None]].reshape(-1, 3)
    return largest.astype(np.uint32), others


def to_bytes(values: np.ndarray) -> np.ndarray:
    """uint8, rounded and clipped."""
    return np.round(values).clip(0, 255).astype(np.uint8)


def opacity_bytes(opacities: np.ndarray) -> np.ndarray:
    """[N] uint8 of opacities in (0, 1), away from the ends."""
    return np.round(opacities * 255).clip(FIRST_OPACITY, LAST_OPACITY).astype(np.uint8)
