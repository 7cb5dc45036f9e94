"""What lies over or around the picture and is no part of the scene: bars, frames, lines of a watermark."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ar4d.clip.matting.morphology import connected_parts, dilate, erode, nearest_set

_SAME = 14.0  # distance of colours, 0 to 255 per channel, within a bar
_UNIFORM = 0.98  # of a line of pixels that has the bar's colour
_DIFFERENT = 0.9  # of the first line after the bar that has another
_WIDEST = 0.35  # of the picture's side that a bar may take
_ALWAYS = 0.95  # of the frames in which a standing line is seen
_THICK = 9  # pixels of the survey: what is wider is no line
_LONG = 0.2  # of the picture's shorter side that a line spans
_CROSSINGS = 6  # of the picture's border, that make lines a grid over the whole picture
_SPAN = 0.8  # of both the picture's sides that a grid's box covers


def find_picture(pictures: np.ndarray) -> tuple[slice, slice] | None:
    """Find the rows and columns that bars or a frame of one colour leave free, in all frames.

    Args:
        pictures: [F, h, w, 3] uint8, whole source pictures.

    Returns:
        None where there are no bars.
    """
    few = pictures[np.unique(np.linspace(0, len(pictures) - 1, 6).round().astype(int))]
    rows, columns = slice(0, few.shape[1]), slice(0, few.shape[2])
    for _ in range(2):  # the bars at the sides may end at those above and below, or the other way round
        inner = few[:, rows, columns]
        top, bottom = _bar(inner), _bar(inner[:, ::-1])
        rows = slice(rows.start + top, rows.stop - bottom)
        inner = np.swapaxes(few[:, rows, columns], 1, 2)
        left, right = _bar(inner), _bar(inner[:, ::-1])
        columns = slice(columns.start + left, columns.stop - right)
    whole = (rows.stop - rows.start, columns.stop - columns.start) == few.shape[1:3]
    return None if whole else (rows, columns)


def _bar(pictures: np.ndarray) -> int:
    """Rows [F, h, w, 3] from the top on that are of one colour and end at a straight edge."""
    color = np.median(pictures[:, :1].reshape(-1, 3), axis=0)
    most = round(_WIDEST * pictures.shape[1])
    alike = np.abs(pictures[:, : most + 3].astype(np.float32) - color).max(axis=-1) < _SAME
    share = alike.mean(axis=2)  # [F, rows]
    uniform = share.min(axis=0) > _UNIFORM
    height = int(np.argmin(uniform)) if not uniform.all() else 0
    # Two lines further: compression and scaling soften the edge.
    after = share.max(axis=0)[min(height + 2, len(uniform) - 1)]
    return height if 0 < height <= most and after < 1 - _DIFFERENT else 0


def standing_lines(different: np.ndarray) -> np.ndarray | None:
    """Find thin lines that stand still over the whole picture, such as a preview's watermark.

    Args:
        different: [F, h, w] bool, every pixel that has not the background's colour.

    Returns:
        [h, w] bool, or None where there is no such grid.
    """
    always = different.mean(axis=0) >= _ALWAYS
    thin = always & ~dilate(erode(always, _THICK), _THICK)
    labels, _ = connected_parts(dilate(thin, 3))  # with its diagonal neighbours
    long = [
        label
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
        if max(s.stop - s.start for s in box) > _LONG * min(thin.shape)
    ]
    lines = thin & np.isin(labels, long)
    if not lines.any():
        return None
    rows, columns = np.flatnonzero(lines.any(axis=1)), np.flatnonzero(lines.any(axis=0))
    height, width = lines.shape
    covers = np.ptp(rows) > _SPAN * height and np.ptp(columns) > _SPAN * width
    return lines if covers and _crossings(lines) >= _CROSSINGS else None


def _crossings(lines: np.ndarray) -> int:
    """How often lines run into the picture's border."""
    ring = (lines[1], lines[:, -2], lines[-2], lines[:, 1])
    return sum(int(np.diff(np.pad(edge, 1).astype(np.int8)).clip(0).sum()) for edge in ring)


def without_lines(pictures: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """The pictures [F, h, w, 3] with the colours beside the lines [h, w] in their place."""
    beside = nearest_set(~dilate(lines, 5))
    return np.stack([picture[beside] for picture in pictures])
