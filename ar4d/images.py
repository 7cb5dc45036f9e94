"""Colour and alpha of pictures: premultiplication, compositing on white, and 8-bit values.

Colours are display-referred values in [0, 1] with the alpha channel last. "Straight" colours are the
subject's own; "premultiplied" ones are multiplied by alpha, which is the form in which pictures may be
averaged. Every function takes a NumPy array or a torch tensor and returns the same kind.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

Image = TypeVar("Image", np.ndarray, torch.Tensor)

MIN_ALPHA = 1e-6  # below half a step of 8 bits by far: a colour behind it cannot be recovered


def premultiply(rgba: Image) -> Image:
    """Convert straight colours to premultiplied ones.

    Args:
        rgba: [..., 4] float in [0, 1], straight.

    Returns:
        [..., 4], with colour times alpha and the same alpha.
    """
    return _joined(rgba[..., :3] * rgba[..., 3:], rgba[..., 3:])


def unpremultiply(rgba: Image) -> Image:
    """Convert premultiplied colours to straight ones, clipped to [0, 1].

    Args:
        rgba: [..., 4] float in [0, 1], premultiplied.

    Returns:
        [..., 4], with colour divided by alpha.
    """
    alpha = rgba[..., 3:]
    return _joined((rgba[..., :3] / alpha.clip(min=MIN_ALPHA)).clip(0, 1), alpha.clip(0, 1))


def on_white(rgba: Image) -> Image:
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


def to_uint8(values: np.ndarray | torch.Tensor) -> np.ndarray:
    """Round values in [0, 1] to 8 bits; what lies outside is clipped."""
    array = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    return np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)


def _joined(rgb: Image, alpha: Image) -> Image:
    if isinstance(rgb, torch.Tensor) and isinstance(alpha, torch.Tensor):
        return torch.cat([rgb, alpha], dim=-1)
    return np.concatenate([rgb, alpha], axis=-1)
