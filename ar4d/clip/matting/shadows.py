"""Shadows on a plain floor: darker places of the floor's own colour under the subject."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ar4d.clip.matting.morphology import connected_parts, dilate, erode
from ar4d.clip.matting.refinement import smoothed
from ar4d.threads import parallel_map

_DARKEST, _LIGHTEST = 0.3, 0.985  # of the floor's brightness
_TINT = 7.0  # of 255: how far a shadow's colour may be from the darkened floor's
_SMOOTH = 4.0  # of 255 per pixel of the survey: steepest slope inside a shadow
_AREA = 0.01  # of the subject's, that a shadow has at least
_LARGEST = 1.5  # times the rest of the subject
_FLAT = 1.3  # width of a shadow by its height, at least
_LOW = 0.55  # of the subject's height, below which a shadow begins
_OPEN = 0.35  # of a shadow's outline that borders on the floor
_HALF_OPEN = 0.2  # the same for what may be one
_RIM = 16  # pixels of the survey: widest penumbra
_FRAMES = 0.5  # share of the frames that show a shadow, if there is one


@dataclass(frozen=True, eq=False)
class Shadows:
    """What lies under the subject and is, or may be, its shadow."""

    masks: np.ndarray
    """[F, h, w] bool, empty where there is no shadow."""
    doubtful: tuple[int, ...]
    """Frames in which something may be a shadow and is not in `masks`."""


def find_shadows(pictures: np.ndarray, masks: np.ndarray, colors: np.ndarray) -> Shadows:
    """Find shadows under the subject.

    A shadow is the floor darkened: I = s B with one factor s for all channels. It is flat, smooth inside,
    lies under the subject and borders on the floor. A grey subject's own parts have texture, stand
    upright or are enclosed by the subject.

    Args:
        pictures: [F, h, w, 3] uint8.
        masks: [F, h, w] bool, the subject with its shadow.
        colors: [F, 3] the floor's, 0 to 255.
    """
    found = list(parallel_map(lambda frame: _shadow(*frame), zip(pictures, masks, colors, strict=True)))
    shadows, doubts = np.stack([shadow for shadow, _ in found]), np.array([doubt for _, doubt in found])
    seen = shadows.any(axis=(1, 2))
    if seen.sum() > _FRAMES * masks.any(axis=(1, 2)).sum():
        return Shadows(shadows, tuple(np.flatnonzero(doubts & ~seen).tolist()))
    return Shadows(np.zeros_like(shadows), tuple(np.flatnonzero(doubts | seen).tolist()))


def _shadow(picture: np.ndarray, mask: np.ndarray, color: np.ndarray) -> tuple[np.ndarray, bool]:
    """The shadow [h, w] in one frame, and whether something else in it may be one."""
    nothing = np.zeros_like(mask)
    if not mask.any() or color.min() < 60:  # a shadow on a dark or saturated floor has no room
        return nothing, False
    share, tint, slope = _floor_share(picture, color)
    candidates = mask & (share > _DARKEST) & (share < _LIGHTEST) & (tint < _TINT)
    darkened = candidates & (slope < _SMOOTH)
    parts, count = connected_parts(darkened)
    rest = mask & ~dilate(darkened, 3)
    if not count or rest.sum() < mask.sum() / (1 + _LARGEST):
        return nothing, False
    rows = np.flatnonzero(rest.any(axis=1))
    top, height = rows[0], rows[-1] + 1 - rows[0]
    found, doubt, areas = nothing.copy(), False, np.bincount(parts.ravel())
    for label, box in enumerate(ndimage.find_objects(parts), start=1):
        high, wide = (s.stop - s.start for s in box)
        middle = (box[0].start + box[0].stop) / 2
        if areas[label] < _AREA * rest.sum() or middle < top + _LOW * height or wide < _FLAT * high:
            continue
        core = parts == label
        part = _with_rim(core, candidates & (share > np.median(share[core])))
        outline = dilate(part, 5) & ~part
        is_open = (outline & ~mask).sum() / outline.sum()
        if is_open >= _OPEN:
            found |= part
        else:
            doubt |= bool(is_open >= _HALF_OPEN)
    if not found.any():
        return nothing, doubt
    # With its rim, whose mixed colours are no darkened floor's, but not into the subject.
    body = dilate(erode(mask & ~found, 5), 5)
    return dilate(found, 7) & mask & ~body, doubt


def _with_rim(core: np.ndarray, lighter: np.ndarray) -> np.ndarray:
    """A shadow's core with the lighter rim around it."""
    grown = core
    for _ in range(_RIM):
        grown = grown | (dilate(grown, 3) & lighter)
    return grown


def _floor_share(picture: np.ndarray, color: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """s of I = s B, the largest difference from it in a channel, and the slope of the brightness; [h, w]."""
    values = smoothed(picture)
    share, tint = darkened(values, color)
    slope = np.asarray(ndimage.gaussian_gradient_magnitude(values.mean(axis=-1), 1.0))
    return share, tint, slope


def darkened(values: np.ndarray, ground: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s of I = s B, and the largest difference from it in a channel; both [h, w].

    Args:
        values: [h, w, 3], I, 0 to 255.
        ground: [3] or [h, w, 3], B.
    """
    share = (values * ground).sum(axis=-1) / np.maximum((ground * ground).sum(axis=-1), 1)
    return share, np.abs(values - share[..., None] * ground).max(axis=-1)
