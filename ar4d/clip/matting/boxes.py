"""Boxes that hold the subject in some frames, carried to all others by optical flow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ar4d.clip.matting.flow import Flow

Sides = tuple[float, float, float, float]  # left, top, right, bottom in pixels of the survey

_GROWTH = 1.25  # by which a box may become larger or smaller from one frame to the next
_AROUND = 0.12  # of a box's sides, by which the matting looks beyond it


def carry_boxes(found: np.ndarray, boxes: Mapping[int, Sides], flow: Flow) -> np.ndarray:
    """A box for every frame.

    Between two key frames, what is carried forwards from the one and backwards from the other is mixed
    with linear weights; before the first and after the last key frame, one box is carried alone.

    Args:
        found: [F, h, w] bool, the subject before any correction.
        boxes: the boxes of the key frames, by the frame's index.

    Returns:
        [F, 4] left, top, right and bottom in pixels, within the picture.
    """
    frames, (height, width) = len(found), found.shape[1:]
    keys = sorted(boxes)
    ahead = {
        key: _follow(found, boxes[key], key, range(key + 1, _next(keys, key, frames)), flow) for key in keys
    }
    back = {
        key: _follow(found, boxes[key], key, range(key - 1, _previous(keys, key), -1), flow) for key in keys
    }
    carried = np.empty((frames, 4))
    for frame in range(frames):
        before = max((key for key in keys if key <= frame), default=None)
        after = min((key for key in keys if key >= frame), default=None)
        if before is None:
            carried[frame] = back[keys[0]][frame]
        elif after is None:
            carried[frame] = ahead[keys[-1]][frame]
        elif before == after:
            carried[frame] = boxes[frame]
        else:
            share = (frame - before) / (after - before)
            carried[frame] = (1 - share) * ahead[before][frame] + share * back[after][frame]
    return np.clip(carried, 0, [width, height, width, height])


def inside(box: np.ndarray, shape: tuple[int, int], around: float = 0.0) -> tuple[slice, slice]:
    """Rows and columns within a box [4] that is enlarged by a share of its sides: at least 2 × 2 pixels."""
    left, top, right, bottom = box
    more_x, more_y = around * (right - left), around * (bottom - top)
    return _span(top - more_y, bottom + more_y, shape[0]), _span(left - more_x, right + more_x, shape[1])


def windows(boxes: np.ndarray, shape: tuple[int, int]) -> list[tuple[slice, slice]]:
    """Rows and columns of each frame in which the matting looks for the subject."""
    return [inside(box, shape, _AROUND) for box in boxes]


def cut_frames(found: np.ndarray, boxes: np.ndarray) -> tuple[int, ...]:
    """Indices of the frames in which the subject goes on beyond a side of its box.

    Args:
        found: [F, h, w] bool, before the boxes cut anything away.
        boxes: [F, 4].
    """
    least = max(2, round(0.01 * max(found.shape[1:])))
    return tuple(
        frame
        for frame, (mask, box) in enumerate(zip(found, boxes, strict=True))
        if _crossing(mask, *inside(box, mask.shape)) >= least
    )


def _crossing(mask: np.ndarray, rows: slice, columns: slice) -> int:
    """Pixels by which the mask passes through the box's longest-crossed side."""
    height, width = mask.shape
    sides = []
    if rows.start > 0:
        sides.append(mask[rows.start, columns] & mask[rows.start - 1, columns])
    if rows.stop < height:
        sides.append(mask[rows.stop - 1, columns] & mask[rows.stop, columns])
    if columns.start > 0:
        sides.append(mask[rows, columns.start] & mask[rows, columns.start - 1])
    if columns.stop < width:
        sides.append(mask[rows, columns.stop - 1] & mask[rows, columns.stop])
    return max((int(side.sum()) for side in sides), default=0)


def _follow(found: np.ndarray, box: Sides, start: int, frames: range, flow: Flow) -> dict[int, np.ndarray]:
    """The box in the frames that follow `start`, each moved by what lies in it."""
    carried, now, at = {}, np.array(box, np.float64), start
    for frame in frames:
        now, at = _moved(found[at], now, flow.between(at, frame)), frame
        carried[frame] = now
    return carried


def _moved(mask: np.ndarray, box: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """A box after the motion of the subject in it, or of everything in it where there is none."""
    rows, columns = inside(box, mask.shape)
    held = mask[rows, columns]
    if not held.any():
        held = np.ones_like(held)
    y, x = np.nonzero(held)
    shift = flow[rows, columns][held]
    old = np.stack([x, y], 1).astype(np.float64)
    new = old + shift
    center = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    size = np.array([box[2] - box[0], box[3] - box[1]])
    spread = np.abs(old - np.median(old, axis=0)).mean()
    grown = np.abs(new - np.median(new, axis=0)).mean() / spread if spread > 1 else 1.0
    half = size / 2 * float(np.clip(grown, 1 / _GROWTH, _GROWTH))
    # Off its middle, a box that grows moves as its content does.
    middle = np.median(old, axis=0) + np.array([columns.start, rows.start])
    center = middle + np.median(shift, axis=0) + (center - middle) * half / (size / 2)
    return np.concatenate([center - half, center + half])


def _span(low: float, high: float, length: int) -> slice:
    start = int(np.clip(np.floor(low), 0, length - 2))
    return slice(start, int(np.clip(np.ceil(high), start + 2, length)))


def _next(keys: list[int], key: int, frames: int) -> int:
    return min((other for other in keys if other > key), default=frames)


def _previous(keys: list[int], key: int) -> int:
    return max((other for other in keys if other < key), default=-1)
