"""What a source's own alpha channel means: straight or premultiplied colours."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ar4d.images import to_float

_SOFT = (0.15, 0.85)  # alpha of the pixels that tell
_LEAST = 40  # such pixels
_TOLERANCE = 0.03  # by which a premultiplied colour may exceed alpha
_BETTER = 0.5  # error of one reading by that of the other
_REACH = 9  # pixels within which an outline's opaque neighbours lie
_OPAQUE = 0.95


def is_premultiplied(pictures: np.ndarray) -> bool:
    """Whether colours are multiplied by alpha, as some editors write them into ProRes or PNG.

    At a soft outline straight colours are like those of the opaque pixels nearby, premultiplied ones are
    alpha times these.

    Args:
        pictures: [F, h, w, 4] uint8.
    """
    few = pictures[np.unique(np.linspace(0, len(pictures) - 1, 6).round().astype(int))]
    straight_error = premultiplied_error = 0.0
    count = 0
    for picture in to_float(few):
        colors, alpha = picture[..., :3], picture[..., 3]
        opaque = (alpha > _OPAQUE).astype(np.float32)
        share = np.asarray(ndimage.uniform_filter(opaque, _REACH))
        soft = (alpha > _SOFT[0]) & (alpha < _SOFT[1]) & (share > 0.05)
        if not soft.any():
            continue
        if (colors[soft].max(axis=-1) > alpha[soft] + _TOLERANCE).mean() > 0.02:
            return False
        sums = [np.asarray(ndimage.uniform_filter(colors[..., c] * opaque, _REACH))[soft] for c in range(3)]
        nearby = np.stack(sums, axis=-1) / share[soft][:, None]
        straight_error += float(np.abs(colors[soft] - nearby).sum())
        premultiplied_error += float(np.abs(colors[soft] - alpha[soft][:, None] * nearby).sum())
        count += int(soft.sum())
    return count >= _LEAST and premultiplied_error < _BETTER * straight_error
