"""Masks grown, shrunk, split into connected parts and measured, with square windows."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def dilate(mask: np.ndarray, window: int) -> np.ndarray:
    """Grows a mask [h, w] bool by half of the (odd) window to each side."""
    return np.asarray(ndimage.maximum_filter(mask, window, mode="constant", cval=0), bool)


def erode(mask: np.ndarray, window: int) -> np.ndarray:
    """Shrinks a mask [h, w] bool by half of the (odd) window, but not from the picture's border."""
    return np.asarray(ndimage.minimum_filter(mask, window, mode="constant", cval=1), bool)


def connected_parts(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels [h, w] of the parts of a mask, from 1 on (0: none), and how many there are."""
    labels = np.empty(mask.shape, np.int32)
    return labels, int(ndimage.label(mask, output=labels))  # type: ignore[arg-type]


def depth_inside(mask: np.ndarray) -> np.ndarray:
    """How many pixels [h, w] float32 each pixel of a mask lies inside it; 0 outside, 1 at its rim."""
    if mask.all():  # no rim to measure from
        return np.full(mask.shape, float(max(mask.shape)), np.float32)
    return np.asarray(ndimage.distance_transform_cdt(mask, "chessboard"), np.float32)


def fill_enclosed(mask: np.ndarray) -> np.ndarray:
    """The mask [h, w] bool without holes."""
    return np.asarray(ndimage.binary_fill_holes(mask), bool)


def nearest_set(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column [h, w] of the pixel of a mask that is nearest to each pixel."""
    indices = np.empty((2, *mask.shape), np.int32)
    ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True, indices=indices)
    return indices[0], indices[1]
