"""The clean plate of a camera that stands still: the background wherever frames show it without the subject.

A network takes one frame at a time. It drops a part that it does not know, such as a handle that has just
come out from behind its cup, or keeps what is seen through it. Where other frames show the ground in the
same place, the difference from it decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ar4d.clip.matting.morphology import connected_parts, dilate, erode, nearest_set
from ar4d.clip.matting.refinement import smoothed
from ar4d.clip.matting.shadows import darkened
from ar4d.threads import parallel_map

_FREE = 0.1  # of a map, below which a place shows the background
_AWAY = 11  # pixels from the subject, within which its soft outline and its shadow lie
_FEWEST, _MOST_FRAMES = 3, 16  # frames that must show a place free, and that are looked at
_STANDS = 6.0  # of 255: median difference from the plate, above which the camera or the ground moves
_SAME, _OTHER = 10.0, 30.0  # of 255: differences from the plate that say ground, and subject
_SMALLEST, _LARGEST = 0.003, 0.5  # of the subject's area
_SHADE = 0.25  # of the ground's brightness: what is less dark and of its hue may be a shadow
_MOST = 0.6  # of a part, that lies where the ground is known
_TINT = 12.0  # of 255


def compare_with_plate(maps: np.ndarray, pictures: np.ndarray, threshold: float) -> np.ndarray:
    """Maps [F, h, w] with the parts that differ from the clean plate, without those that equal it.

    Args:
        maps: [F, h, w] float32 in [0, 1], the network's.
        pictures: [F, h, w, 3] uint8.
        threshold: value from which on a pixel is the subject's.
    """
    plate = clean_plate(maps, pictures)
    if plate is None:
        return maps
    frames = zip(maps, pictures, strict=True)
    return np.stack(list(parallel_map(lambda f: _corrected(*f, plate, threshold), frames)))


@dataclass(frozen=True, eq=False)
class Plate:
    """The background without the subject."""

    picture: np.ndarray
    """[h, w, 3] float32, 0 to 255; where it is not known, the colour of the nearest place where it is."""
    known: np.ndarray
    """[h, w] bool, where enough frames show the same."""
    near: np.ndarray
    """[h, w] bool, with places close by that no frame shows: between a subject and its part."""


def clean_plate(maps: np.ndarray, pictures: np.ndarray) -> Plate | None:
    """The background, from the same as `compare_with_plate`; None if it does not stand still."""
    shape = pictures.shape[1:]
    if len(maps) < _FEWEST:
        return None
    some = np.linspace(0, len(maps) - 1, min(len(maps), _MOST_FRAMES)).astype(int)
    maps, pictures = maps[some], pictures[some]
    free = np.stack(list(parallel_map(lambda m: ~dilate(m >= _FREE, _AWAY), maps)))
    shown = free.sum(axis=0)
    known = shown >= max(_FEWEST, len(maps) // 4)
    if not known.any():
        return None
    seen = free[:, known]  # [F, N]
    colors = pictures[:, known].astype(np.int16)  # [F, N, 3]
    middle = _medians(colors, seen[..., None])
    spread = _medians(np.abs(colors - middle).max(axis=-1), seen)
    if np.median(spread) > _STANDS or np.quantile(spread, 0.9) > 2 * _STANDS:
        return None
    picture = np.zeros(shape, np.float32)
    picture[known] = middle
    known[known] = spread < _SAME
    return Plate(picture[nearest_set(known)], known, known | (dilate(known, _AWAY + 2) & (shown == 0)))


def _medians(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The lower median over the first axis of int16 values, of those that are seen (at least one)."""
    ordered = np.sort(np.where(seen, values, np.iinfo(np.int16).max), axis=0)
    middle = (seen.sum(axis=0) - 1) // 2
    return np.take_along_axis(ordered, middle[None], axis=0)[0]


def _corrected(values: np.ndarray, picture: np.ndarray, plate: Plate, threshold: float) -> np.ndarray:
    """One frame's map, corrected."""
    subject = values > threshold
    area = int(subject.sum())
    if not area:
        return values
    smooth, ground = smoothed(picture), smoothed(plate.picture)
    difference = np.abs(smooth - ground).max(axis=-1)
    corrected = values.copy()
    share, tint = darkened(smooth, ground)
    shaded = (share < 1.1) & (share > _SHADE) & (tint < _TINT)
    other = plate.near & ~subject & (difference > _OTHER) & ~shaded
    for part in _parts(_without_lines(other), area):
        if (dilate(part, 5) & subject).any() and plate.known[part].mean() > _MOST:
            closed = erode(dilate(part, 5), 5)  # thin lines in it may have the ground's colour
            corrected[closed & plate.near] = 1
    same = plate.known & subject & (difference < _SAME)
    for part in _parts(same, area):
        rim = dilate(part, 9) & ~dilate(part, 5) & subject & plate.known
        if rim.any() and np.median(difference[rim]) > _OTHER:
            corrected[part] = 0
    return corrected


def _without_lines(mask: np.ndarray) -> np.ndarray:
    """The mask without what is thinner than three pixels: edges of the ground where the camera shakes."""
    return dilate(erode(mask, 3), 3) & mask


def _parts(mask: np.ndarray, area: int) -> list[np.ndarray]:
    """The connected parts of a mask whose areas suit a part of a subject."""
    labels, _ = connected_parts(mask)
    areas = np.bincount(labels.ravel())
    wanted = [k for k in range(1, len(areas)) if _SMALLEST * area <= areas[k] <= _LARGEST * area]
    return [labels == k for k in wanted]
