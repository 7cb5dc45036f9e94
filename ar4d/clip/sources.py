"""What a clip is made from: a video, an animation, an image or a folder of images.

A `Source` knows its frames' times and decodes only the frames that are asked for, at the size
that is asked for, so that neither ten thousand frames nor huge ones fill the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ar4d.clip import decoding, pictures
from ar4d.errors import UserError

_HELD = 1.8  # times the usual step, from which on a frame counts as held


class Source(Protocol):
    """Frames in the order of time, upright and with square pixels."""

    name: str
    width: int
    height: int
    times: np.ndarray  # [N] seconds since the first frame, ascending
    length: float  # seconds, with the time that the last frame stays
    warnings: list[str]  # grows while frames are read

    def place(self, index: int) -> str:
        """Where a frame is in the source: its time, or its file."""
        ...

    def read(self, indices: Sequence[int], scale: float) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index, picture [h, w, 4] uint8, straight alpha) at `scale` times the size, at most 1.

        `indices` ascend. A frame that turns out to be unreadable is missing from what comes back.
        """
        ...


def open_source(path: Path, fps: float | None) -> Source:
    """Open whatever lies at `path`; what it is decides its content, not its name.

    Args:
        path: a video, GIF, WebP, APNG, image, or a folder of images.
        fps: frames per second of the source in place of its own; a folder's own is 10.

    Raises:
        UserError: nothing is there, or nothing that can be read.
    """
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise UserError(f"The frame rate must be a positive number, not {fps}.")
    if not path.exists():
        raise UserError(f"There is no file or folder {path}: check the path.")
    if path.is_dir():
        return pictures.open_folder(path, fps)
    if pictures.is_picture(path) and not pictures.is_animated_png(path):
        return pictures.open_file(path, fps)
    return decoding.Video(path, fps)


def choose_frames(source: Source, start: float | None, end: float | None, num_frames: int) -> list[int]:
    """Indices of at most `num_frames` frames, evenly spaced in time from `start` to `end`, both included.

    Raises:
        UserError: the range is empty, reversed or beyond the source's end.
    """
    if num_frames < 1:
        raise UserError(f"The number of frames must be at least 1, not {num_frames}.")
    first, last = _range(source, start, end)
    if last - first + 1 <= num_frames:
        return list(range(first, last + 1))
    times = source.times
    wanted = np.linspace(times[first], times[last], num_frames)
    after = np.clip(np.searchsorted(times, wanted), first + 1, last)
    nearest = np.where(wanted - times[after - 1] <= times[after] - wanted, after - 1, after)
    nearest[0] = first
    return np.unique(nearest).tolist()


def hold_frames(times: np.ndarray, num_frames: int) -> list[int]:
    """Positions of frames, some repeated, so that they are evenly spaced in time.

    An encoder that merges equal frames leaves one that stays longer than the others.

    Args:
        times: [n] seconds at which the chosen frames begin, ascending.
        num_frames: the most frames that may come out.
    """
    steps = np.diff(times)
    if len(steps) < 2 or steps.max() < _HELD * float(np.median(steps)):
        return list(range(len(times)))
    span = float(times[-1] - times[0])
    step = max(float(steps.min()), span / max(num_frames - 1, 1))
    count = max(len(times), round(span / step) + 1)
    grid = np.linspace(times[0], times[-1], count)
    return (np.searchsorted(times, grid + 0.25 * step, side="right") - 1).tolist()


def _range(source: Source, start: float | None, end: float | None) -> tuple[int, int]:
    """First and last frame that are to be seen between `start` and `end`."""
    length = f"{source.name} is {source.length:.2f} s long"
    tolerance = 1e-3  # containers round their times to a millisecond
    begin = 0.0 if start is None else start
    finish = source.length if end is None else end
    if not (math.isfinite(begin) and math.isfinite(finish)):
        raise UserError(f"Start and end must be numbers of seconds, not {start} and {end} ({length}).")
    if begin < 0 or begin >= source.length:
        raise UserError(f"The start, {begin:g} s, lies outside the clip: {length}.")
    if finish > source.length + tolerance:
        raise UserError(f"The end, {finish:g} s, lies beyond the clip: {length}.")
    if begin >= finish:
        raise UserError(f"The start, {begin:g} s, must come before the end, {finish:g} s ({length}).")
    shown = int(np.searchsorted(source.times, begin + tolerance, side="right")) - 1
    first = shown if source.times[shown] >= begin - tolerance else shown + 1
    last = int(np.searchsorted(source.times, finish + tolerance, side="right")) - 1
    return (first, last) if first <= last else (shown, shown)
