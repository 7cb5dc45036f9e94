"""Which connected part of a mask is the subject, frame after frame."""

from __future__ import annotations

import numpy as np

from ar4d.clip.matting.morphology import connected_parts, dilate

_SPECK = 0.002  # of the largest part: smaller ones are noise
_GAP = 0.01  # of the picture's side: parts that are closer to one another are one
_RIVAL = 0.2  # of the largest part's area that another part must have to be the subject


def drop_specks(masks: np.ndarray) -> np.ndarray:
    """The masks [F, h, w] bool without tiny parts."""
    return np.stack([_drop_specks(mask) for mask in masks])


def _drop_specks(mask: np.ndarray) -> np.ndarray:
    labels, count = connected_parts(mask)
    if count < 2:
        return mask
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    least = max(_SPECK * areas.max(), min(4, areas.max()))
    return (areas >= least)[labels] & mask


def follow_subject(masks: np.ndarray, point: tuple[float, float] | None = None) -> np.ndarray:
    """One connected part in each frame, the same thing in all of them.

    It starts with the largest part of the frame in which that stands out most, and goes on, forwards
    and backwards, to the part that overlaps the previous frame's most; where a subject moves so fast
    that none does, to the largest. Parts with only a narrow gap between them are one.

    Args:
        masks: [F, h, w] bool.
        point: (x, y) of the subject in the first frame that shows something, in shares of width and
            height; the part nearest to it is followed instead of the largest.

    Returns:
        [F, h, w] bool.
    """
    parts = [_parts(mask) for mask in masks]
    if point is None:
        first = int(np.argmax([_dominance(areas) for _, areas in parts]))
        chosen = {first: _largest(*parts[first])}
    else:
        first = int(np.argmax(masks.any(axis=(1, 2))))
        chosen = {first: _nearest(*parts[first], masks[first], point)}
    for frames in (range(first + 1, len(masks)), range(first - 1, -1, -1)):
        previous = chosen[first]
        for frame in frames:
            chosen[frame] = _overlapping(*parts[frame], previous)
            previous = chosen[frame] if chosen[frame].any() else previous
    return drop_specks(np.stack([chosen[frame] & mask for frame, mask in enumerate(masks)]))


def _parts(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels [h, w] of the parts, 0 for none, and each label's area in the mask."""
    gap = 2 * max(1, round(_GAP * max(mask.shape) / 2)) + 1
    labels, count = connected_parts(dilate(mask, gap))
    areas = np.bincount(labels[mask], minlength=count + 1).astype(np.float64)
    return labels, areas


def _dominance(areas: np.ndarray) -> float:
    """How much larger the largest part is than all others together, weighed with its size."""
    largest = areas[1:].max(initial=0)
    return 2 * largest - areas[1:].sum() if largest > 0 else -np.inf


def _largest(labels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    if len(areas) < 2:
        return np.zeros(labels.shape, bool)
    return labels == 1 + int(np.argmax(areas[1:]))


def _nearest(
    labels: np.ndarray, areas: np.ndarray, mask: np.ndarray, point: tuple[float, float]
) -> np.ndarray:
    """The part whose nearest pixel is closest to a point; specks do not count."""
    height, width = mask.shape
    ys, xs = np.nonzero(mask & (areas >= _SPECK * areas[1:].max(initial=0))[labels])
    if not len(ys):
        return np.zeros(mask.shape, bool)
    nearest = int(np.argmin(np.hypot(xs + 0.5 - point[0] * width, ys + 0.5 - point[1] * height)))
    return labels == labels[ys[nearest], xs[nearest]]


def largest_left_out(masks: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Area [F] of the largest part that is not the subject's, in shares of the subject's area.

    Args:
        masks: [F, h, w] bool, everything that was found.
        subject: [F, h, w] bool, what `follow_subject` has chosen of it.
    """
    shares = []
    for mask, chosen in zip(masks, subject, strict=True):
        _, areas = _parts(mask & ~chosen)
        shares.append(areas[1:].max(initial=0) / max(chosen.sum(), 1) if chosen.any() else 0.0)
    return np.array(shares)


def _overlapping(labels: np.ndarray, areas: np.ndarray, previous: np.ndarray) -> np.ndarray:
    if len(areas) < 3:
        return _largest(labels, areas)
    overlap = np.bincount(labels[previous], minlength=len(areas)).astype(np.float64)
    overlap[0] = 0
    overlap[areas < _RIVAL * areas[1:].max()] = 0
    return labels == int(np.argmax(overlap)) if overlap.any() else _largest(labels, areas)
