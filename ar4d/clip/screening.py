"""What may spoil a clip and can be seen before any work is done: one sentence for each finding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ar4d.clip.findings import name_frames
from ar4d.clip.framing import FILL, Crop
from ar4d.clip.matting.morphology import dilate

_VANISHED = 0.02  # of the median area
_JUMP = 1.4  # ratio of areas between neighbouring frames
_BRIGHTNESS = 1.6  # ratio to the clip's median brightness
_TEXTURE = 1.5  # of 255: standard deviation of fine detail without which motion cannot be seen
_MOVED = 0.01  # of the picture's longer side: a smaller shift between frames is not a moving camera
_EXPLAINED = 0.6  # of the difference between two frames that has to stay when the shift is undone
_SMALL = 0.4  # source pixels per pixel of the clip
_BACKGROUND_SHARE = 0.15  # of the picture that has to be background in both frames


def with_subject(masks: np.ndarray, threshold: float) -> np.ndarray:
    """Which frames [F] bool show the subject: not none of it, nor next to nothing of what others show."""
    areas = (masks > threshold).sum(axis=(1, 2))
    seen = areas[areas > 0]
    return areas > max(0.0, _VANISHED * float(np.median(seen))) if seen.size else np.zeros(len(masks), bool)


def border_warning(masks: np.ndarray, threshold: float, labels: Sequence[str]) -> list[str]:
    """Frames in which the subject is cut off by the picture's border."""
    subject = masks > threshold
    edges = [subject[:, 0], subject[:, -1], subject[:, :, 0], subject[:, :, -1]]
    least = max(2, round(0.01 * max(subject.shape[1:])))
    touching = np.max([edge.sum(axis=1) for edge in edges], axis=0) >= least
    names = [label for label, touches in zip(labels, touching, strict=True) if touches]
    if not names:
        return []
    return [
        f"The subject touches the border of the picture in {name_frames(names)}: what lies outside is "
        "missing, so use a clip that shows all of it."
    ]


def jump_warning(masks: np.ndarray, threshold: float, labels: Sequence[str]) -> list[str]:
    """Neighbouring frames between which the subject's area changes by more than 40 %."""
    areas = (masks > threshold).sum(axis=(1, 2)).astype(np.float64)
    ratio = np.maximum(areas[1:], areas[:-1]) / np.maximum(np.minimum(areas[1:], areas[:-1]), 1)
    names = [label for label, jumps in zip(labels[1:], ratio > _JUMP, strict=True) if jumps]
    if not names:
        return []
    return [
        f"The subject's area jumps by more than 40 % at {name_frames(names)}: look whether it is cut out "
        "well there, or take more frames."
    ]


def brightness_warning(
    pictures: np.ndarray, masks: np.ndarray, threshold: float, labels: Sequence[str]
) -> list[str]:
    """Frames in which the subject is much darker or brighter than usual.

    Args:
        pictures: [F, h, w, 3] uint8.
        masks: [F, h, w].
    """
    subject = masks > threshold
    areas = np.maximum(subject.sum(axis=(1, 2)), 1)
    brightness = (pictures.mean(axis=-1) * subject).sum(axis=(1, 2)) / areas
    usual = float(np.median(brightness))
    odd = (brightness < usual / _BRIGHTNESS) | (brightness > usual * _BRIGHTNESS)
    names = [label for label, unusual in zip(labels, odd, strict=True) if unusual]
    if not names:
        return []
    return [
        f"The subject is much darker or brighter than usual in {name_frames(names)} (a fade, a flash?): use "
        "--start and --end to leave these frames out."
    ]


def camera_warning(
    pictures: np.ndarray, masks: np.ndarray, threshold: float, labels: Sequence[str]
) -> list[str]:
    """Frames to which the background has moved as a whole, where it has enough texture to show that.

    Args:
        pictures: [F, h, w, 3] uint8.
        masks: [F, h, w].
    """
    moved = background_shifts(pictures, masks, threshold)
    names = [label for label, shift in zip(labels[1:], moved, strict=True) if shift > _MOVED]
    furthest = float(moved.max(initial=0.0))
    if not names:
        return []
    return [
        f"The camera seems to move (by up to {100 * furthest:.0f} % of the picture) at {name_frames(names)}: "
        "that is taken for motion of the subject, so use a clip from a fixed camera."
    ]


def background_shifts(pictures: np.ndarray, masks: np.ndarray, threshold: float) -> np.ndarray:
    """How far the background moved from each frame to the next, in shares of the picture's longer side.

    Args:
        pictures: [F, h, w, 3] uint8.
        masks: [F, h, w], the subject's.

    Returns:
        [F - 1]; 0 where the background has too little texture to tell.
    """
    grey = pictures.astype(np.float32).mean(axis=-1)
    reach = 2 * round(0.02 * max(masks.shape[1:])) + 1
    free = [~dilate(mask > 0.5 * threshold, reach) for mask in masks]
    detail = [_fine_detail(g, f) for g, f in zip(grey, free, strict=True)]
    shifts = [
        _shift(detail[i - 1], detail[i], free[i - 1], free[i]) / max(masks.shape[1:])
        for i in range(1, len(detail))
    ]
    return np.array(shifts, np.float64)


def size_warning(crop: Crop, size: int) -> list[str]:
    """A subject that is much smaller in the source than in the clip."""
    pixels = round(FILL * crop.side)
    if crop.side > _SMALL * size:
        return []
    return [f"The subject is only about {pixels} pixels large in the source: the result will be blurred."]


def _fine_detail(grey: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The background's texture [h, w], without its slow shades and without the subject."""
    weight = free.astype(np.float32)
    shades = ndimage.gaussian_filter(grey * weight, 6) / (ndimage.gaussian_filter(weight, 6) + 1e-6)
    return np.where(free, np.clip(grey - shades, -40, 40), 0).astype(np.float32)


def _shift(before: np.ndarray, after: np.ndarray, free_before: np.ndarray, free_after: np.ndarray) -> float:
    """Pixels by which the background has moved between two frames; 0 where that cannot be measured.

    The peak of the phase correlation proposes a shift. It counts if undoing it makes the two frames'
    backgrounds much more alike.
    """
    both = free_before & free_after
    if both.mean() < _BACKGROUND_SHARE or before[both].std() < _TEXTURE:
        return 0.0
    height, width = before.shape
    taper = np.outer(np.hanning(height), np.hanning(width))
    product = np.fft.rfft2(after * taper) * np.conj(np.fft.rfft2(before * taper))
    correlation = np.fft.irfft2(product / np.maximum(np.abs(product), 1e-9), s=before.shape)
    # A pixel's width of blur gathers a peak that lies between pixels.
    correlation = ndimage.gaussian_filter(correlation, 1, mode="wrap")
    row, column = np.unravel_index(np.argmax(correlation), correlation.shape)
    down = int(row) - height if row > height // 2 else int(row)
    right = int(column) - width if column > width // 2 else int(column)
    moved = np.roll(before, (down, right), axis=(0, 1))
    seen = np.zeros_like(both)
    seen[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = True
    seen &= np.roll(free_before, (down, right), axis=(0, 1)) & free_after
    if seen.mean() < _BACKGROUND_SHARE:
        return 0.0
    still = np.square(after - before)[both].mean()
    undone = np.square(after - moved)[seen].mean()
    return float(np.hypot(down, right)) if undone < _EXPLAINED * still else 0.0
