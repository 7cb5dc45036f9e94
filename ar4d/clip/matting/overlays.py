"""What lies over or around the picture and is no part of the scene: bars, frames, lines of a watermark."""

from __future__ import annotations

import numpy as np

from ar4d.clip.matting.morphology import connected_parts, dilate, erode

_SAME = 14.0  # distance of colours, 0 to 255 per channel, within a bar
_UNIFORM = 0.98  # of a line of pixels that has the bar's colour
_DIFFERENT = 0.9  # of the first line after the bar that has another
_WIDEST = 0.35  # of the picture's side that a bar may take
_ALWAYS = 0.95  # of the frames in which a standing line is seen
_THICK = 9  # pixels of the survey: what is wider is no line
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


def standing_lines(masks: np.ndarray) -> np.ndarray | None:
    """Find thin lines that stand still over the whole picture, such as a preview's watermark.

    Args:
        masks: [F, h, w] bool, everything that differs from the background.

    Returns:
        [h, w] bool, or None where there is no such grid.
    """
    always = masks.mean(axis=0) >= _ALWAYS
    lines = always & ~dilate(erode(always, _THICK), _THICK)
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


def without_lines(masks: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """The masks [F, h, w] bool without lines, except where these cross the rest."""
    wide = dilate(lines, 3)
    cleaned = []
    for mask in masks:
        rest = mask & ~wide
        labels, count = connected_parts(rest)
        if count:  # crumbs between two lines that are not quite parallel
            areas = np.bincount(labels.ravel())
            rest = (areas > 0.01 * areas[1:].max())[labels] & rest
        closed = erode(dilate(rest, _THICK + 2), _THICK + 2)
        cleaned.append(rest | (closed & mask))
    return np.stack(cleaned)
