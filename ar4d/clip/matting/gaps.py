"""Ground that compression leaves between limbs and along the outline of a keyed subject.

It differs a little more from the background than clean ground does, in spots too small to be told from a
glint or a white of the eye by themselves. What lies around them, and what the neighbouring frames show in
the same place, decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ar4d.clip.matting.keying import PlainBackground, color_distance
from ar4d.clip.matting.morphology import connected_parts, dilate
from ar4d.threads import parallel_map

_PALE = 2.0  # tolerances: compression makes more noise beside a subject than elsewhere
_CONTRAST = 20.0  # tolerances by which the subject around a spot differs from the background
_LARGEST = 0.03  # of the subject's area
_SMALLEST = 6  # pixels of an enclosed spot
_REACH = 2  # frames
_SEEN_AS_GROUND = 0.3  # of an enclosed spot, in a neighbouring frame


def open_gaps(pictures: np.ndarray, masks: np.ndarray, plain: PlainBackground) -> np.ndarray:
    """Remove small spots of ground from a subject that contrasts with it.

    Args:
        pictures: [F, h, w, 3] uint8.
        masks: [F, h, w] bool, the subject.
        plain: the background.

    Returns:
        [F, h, w] bool.
    """
    opened = masks.copy()
    enclosed: list[tuple[int, tuple[slice, slice], np.ndarray]] = []
    frames = zip(pictures, masks, plain.colors, strict=True)
    for frame, spots in enumerate(parallel_map(lambda f: _pale_spots(*f, plain.tolerance), frames)):
        for box, spot, is_enclosed in spots:
            if is_enclosed:
                enclosed.append((frame, box, spot))
            else:
                opened[frame][box] &= ~spot
    for order in (enclosed, enclosed[::-1]):  # what is opened in one frame tells the next one
        for frame, box, spot in order:
            if _is_ground_nearby(opened, frame, box, spot):
                opened[frame][box] &= ~spot
    return opened


def _pale_spots(
    picture: np.ndarray, mask: np.ndarray, color: np.ndarray, tolerance: float
) -> list[tuple[tuple[slice, slice], np.ndarray, bool]]:
    """Boxes and masks of small spots that are almost the background's colour amid a subject that is not, and
    whether the subject encloses them."""
    distance = color_distance(picture, color)
    labels, _ = connected_parts(mask & (distance < _PALE * tolerance))
    areas = np.bincount(labels.ravel())
    is_open = np.bincount(labels[dilate(~mask, 3)], minlength=len(areas)) > 0
    wanted = (areas <= _LARGEST * mask.sum()) & (is_open | (areas >= _SMALLEST))
    spots = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if not wanted[label]:
            continue
        rows, columns = (slice(max(0, s.start - 5), s.stop + 5) for s in box)
        spot = labels[rows, columns] == label
        rim = dilate(spot, 9) & ~dilate(spot, 5) & mask[rows, columns]
        if rim.any() and np.median(distance[rows, columns][rim]) > _CONTRAST * tolerance:
            spots.append(((rows, columns), spot, not is_open[label]))
    return spots


def _is_ground_nearby(masks: np.ndarray, frame: int, box: tuple[slice, slice], spot: np.ndarray) -> bool:
    """Whether one of the frames before or after shows the ground where the spot is."""
    neighbours: Sequence[int] = [
        f for f in range(frame - _REACH, frame + _REACH + 1) if 0 <= f < len(masks) and f != frame
    ]
    return any((~masks[f][box])[spot].mean() >= _SEEN_AS_GROUND for f in neighbours)
