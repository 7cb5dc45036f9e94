"""Makes a network's soft maps usable: steady in time, whole, and exact at the picture's edges."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from ar4d.clip.matting.morphology import connected_parts, fill_enclosed, nearest_set

_STILL = 8.0  # of 255: how little a place may change between two frames to count as unmoved
_HOLE_LIKENESS = 30.0  # of 255: how close a true hole's colour is to the background around the subject


def steady(maps: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """The median over three frames, wherever the picture does not move between them.

    Where it does, a neighbour's value is replaced by the frame's own, which the median then leaves as
    it is: no lag, and no ghost of where the subject was.

    Args:
        maps: [F, h, w] float32.
        pictures: [F, ..., ..., 3] uint8, the frames at any size.
    """
    if len(maps) < 3:
        return maps
    size = maps.shape[2], maps.shape[1]
    small = np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in pictures])
    steadied = maps.copy()
    for frame in range(1, len(maps) - 1):
        own = maps[frame]
        others = []
        for neighbour in (frame - 1, frame + 1):
            change = np.abs(small[frame].astype(np.float32) - small[neighbour]).max(axis=-1)
            still = np.exp(-((ndimage.uniform_filter(change, 5) / _STILL) ** 2))
            others.append(own + still * (maps[neighbour] - own))
        steadied[frame] = np.median(np.stack([own, *others]), axis=0)
    return steadied


def resize_maps(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """[F, h, w] float32 in [0, 1] at another size."""
    images = (Image.fromarray(m).resize((width, height), Image.Resampling.BICUBIC) for m in maps)
    return np.clip(np.stack([np.asarray(image) for image in images]), 0, 1)


def fill_false_holes(mask: np.ndarray, picture: np.ndarray, threshold: float) -> np.ndarray:
    """Closes enclosed holes through which one does not see the background's colour.

    Args:
        mask: [h, w] float32.
        picture: [h, w, 3] uint8.
    """
    holes = fill_enclosed(mask > threshold) & (mask <= threshold)
    if not holes.any():
        return mask
    outside = (mask < 0.1) & ~holes
    if not outside.any():
        return mask
    behind = picture[nearest_set(outside)].astype(np.float32)  # the background's colour close by
    unlike = np.abs(picture - behind).max(axis=-1) > _HOLE_LIKENESS
    filled = mask.copy()
    labels, count = connected_parts(holes)
    share = ndimage.mean(unlike, labels, np.arange(1, count + 1))
    filled[np.isin(labels, 1 + np.flatnonzero(np.asarray(share) > 0.5))] = 1
    return filled


def smoothed(picture: np.ndarray) -> np.ndarray:
    """Means over 3×3 pixels of a picture [h, w, 3], as float32."""
    return np.stack([ndimage.uniform_filter(picture[..., c].astype(np.float32), 3) for c in range(3)], -1)


def guided_filter(guide: np.ndarray, values: np.ndarray, radius: int, eps: float = 1e-4) -> np.ndarray:
    """Moves soft edges to the picture's edges (He et al. 2010): locally, the result is affine in colour.

    In each window ω the result is aᵀ I + b with a = (Σ + ε 1)⁻¹ cov(I, p) and b = p̄ − aᵀ Ī.

    Args:
        guide: [h, w, 3] float32 in [0, 1], the picture I.
        values: [h, w] float32, p.
        radius: of the window in pixels.

    Returns:
        [h, w] float32.
    """

    def mean(x: np.ndarray) -> np.ndarray:  # [h, w]
        return ndimage.uniform_filter(x, 2 * radius + 1)

    channels = [np.ascontiguousarray(guide[..., c]) for c in range(3)]
    means, mean_values = [mean(x) for x in channels], mean(values)
    cross = [mean(x * values) - m * mean_values for x, m in zip(channels, means, strict=True)]
    covariance = {
        (i, j): mean(channels[i] * channels[j]) - means[i] * means[j] + (eps if i == j else 0)
        for i in range(3)
        for j in range(i, 3)
    }
    a = _solve_symmetric(covariance, cross)
    b = mean_values - sum(x * m for x, m in zip(a, means, strict=True))
    return sum((mean(x) * g for x, g in zip(a, channels, strict=True)), mean(b))


def _solve_symmetric(
    matrix: dict[tuple[int, int], np.ndarray], right: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solves a symmetric 3×3 system at every pixel by its cofactors; `matrix` has the upper triangle."""
    xx, xy, xz = matrix[0, 0], matrix[0, 1], matrix[0, 2]
    yy, yz, zz = matrix[1, 1], matrix[1, 2], matrix[2, 2]
    c00, c01, c02 = yy * zz - yz * yz, yz * xz - xy * zz, xy * yz - yy * xz
    c11, c12, c22 = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = xx * c00 + xy * c01 + xz * c02
    x, y, z = right
    return (
        (c00 * x + c01 * y + c02 * z) / determinant,
        (c01 * x + c11 * y + c12 * z) / determinant,
        (c02 * x + c12 * y + c22 * z) / determinant,
    )


def foreground_colors(
    colors: np.ndarray, alpha: np.ndarray, scale: float, background: np.ndarray | None = None
) -> np.ndarray:
    """The subject's pure colours where alpha is soft (after Forte 2021).

    F = F̂ + α (I − α F̂ − (1 − α) B) with F̂ the mean of the subject's colours close by, and B the
    background's, which is estimated in the same way where it is not known.

    Args:
        colors: [h, w, 3] float32 in [0, 1], the picture I.
        alpha: [h, w] float32.
        scale: pixels of this picture per pixel of the survey.
        background: [3], where it is of one known colour.

    Returns:
        [h, w, 3] float32 in [0, 1]; the picture's own colours where alpha is 1.
    """
    window = 2 * max(3, round(4 * scale)) + 1

    def nearby(weight: np.ndarray) -> np.ndarray:
        total = ndimage.uniform_filter(weight, window)[..., None] + 1e-6
        sums = [ndimage.uniform_filter(colors[..., c] * weight, window) for c in range(3)]
        return np.stack(sums, axis=-1) / total

    subject = nearby(alpha**3)  # nearly opaque pixels count most
    behind = nearby((1 - alpha) ** 3) if background is None else background
    share = alpha[..., None]
    rest = colors - share * subject - (1 - share) * behind
    return np.clip(np.where(share < 1, subject + share * rest, colors), 0, 1).astype(np.float32)
