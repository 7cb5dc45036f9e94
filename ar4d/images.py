"""Colour and alpha of pictures: premultiplication, compositing on white, and 8-bit values.

Colours are display-referred values in [0, 1] with the alpha channel last. "Straight" colours are the
subject's own; "premultiplied" ones are multiplied by alpha, which is the form in which pictures may be
averaged.
"""

from __future__ import annotations

import numpy as np

MIN_ALPHA = 1e-6  # below half a step of 8 bits by far: a colour behind it cannot be recovered


def premultiply(rgba: np.ndarray) -> np.ndarray:
    """Convert straight colours to premultiplied ones.

    Args:
        rgba: [..., 4] float in [0, 1], straight.

    Returns:
        [..., 4], with colour times alpha and the same alpha.
    """
    return np.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], axis=-1)


def unpremultiply(rgba: np.ndarray) -> np.ndarray:
    """Convert premultiplied colours to straight ones, clipped to [0, 1].

    Args:
        rgba: [..., 4] float in [0, 1], premultiplied.

    Returns:
        [..., 4], with colour divided by alpha; 0 where alpha is 0.
    """
    straight = np.clip(rgba[..., :3] / np.maximum(rgba[..., 3:], MIN_ALPHA), 0, 1)
    return np.concatenate([np.where(rgba[..., 3:] > 0, straight, 0), rgba[..., 3:]], axis=-1)


def on_white(rgba: np.ndarray) -> np.ndarray:
    """Composite straight colours over white: α C + (1 − α).

    Args:
        rgba: [..., 4] float in [0, 1], straight.

    Returns:
        [..., 3] float in [0, 1].
    """
    alpha = rgba[..., 3:]
    return rgba[..., :3] * alpha + (1 - alpha)


def to_float(values: np.ndarray) -> np.ndarray:
    """Convert 8-bit values (0 to 255) to float32 in [0, 1]."""
    return values.astype(np.float32) / 255


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Round values in [0, 1] to 8 bits; what lies outside is clipped."""
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
