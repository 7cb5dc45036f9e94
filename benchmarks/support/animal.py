"""A cat that walks before a busy background, with its exact masks: footage as a phone would take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np

_FINE = 4  # times the size at which is drawn
_FUR, _DARK, _LIGHT = (196, 134, 74), (120, 72, 34), (236, 214, 184)


@dataclass(frozen=True)
class Footage:
    """Pictures, and what they show."""

    pictures: np.ndarray  # [F, h, w, 3] uint8
    subject: np.ndarray  # [F, h, w] bool, the cat
    cushion: np.ndarray  # [F, h, w] bool, what is seen of a cushion that the cat walks past

    def write(self, path: Path, fps: float = 12.0) -> Path:
        """The footage as a video."""
        iio.imwrite(path, self.pictures, fps=fps, codec="libx264", output_params=["-crf", "12"])
        return path


def walking_cat(num_frames: int = 12, width: int = 320, height: int = 240) -> Footage:
    """The cat walks from the left to the right, in front of shelves, a plant and a patterned cushion."""
    room, cushion = _room(width, height)
    noise = np.random.default_rng(4)
    pictures, masks = [], []
    for frame in range(num_frames):
        share = frame / max(num_frames - 1, 1)
        color, mask = _cat(width, height, 0.30 + 0.36 * share, share * 3.0)
        alpha = mask[..., None]
        picture = alpha * color + (1 - alpha) * room
        pictures.append((picture + noise.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8))
        masks.append(mask > 0.5)
    subject = np.stack(masks)
    return Footage(np.stack(pictures), subject, cushion[None] & ~subject)


def _room(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The background [h, w, 3] float, and the cushion in it [h, w] bool."""
    random = np.random.default_rng(2)
    wall = np.full((height, width, 3), (170, 176, 182), np.uint8)
    for shelf in range(2):
        top = int(height * (0.08 + 0.22 * shelf))
        x = 4
        while x < width - 12:
            thick, tall = int(random.integers(5, 13)), int(random.integers(18, 38) * height / 240)
            color = tuple(int(c) for c in random.integers(40, 220, 3))
            cv2.rectangle(wall, (x, top + 40 - tall), (x + thick, top + 40), color, -1)
            x += thick + 1
        cv2.rectangle(wall, (0, top + 40), (width, top + 45), (112, 84, 60), -1)
    floor = int(0.80 * height)
    for plank in range(12):
        shade = int(random.integers(-14, 14))
        left, right = plank * width // 12, (plank + 1) * width // 12
        wall[floor:, left:right] = (150 + shade, 118 + shade, 88 + shade)
    cushion = np.zeros((height, width), np.uint8)
    center, axes = (int(0.86 * width), int(0.70 * height)), (int(0.12 * width), int(0.15 * height))
    cv2.ellipse(cushion, center, axes, 0, 0, 360, 1, -1)
    y, x = np.mgrid[:height, :width]
    pattern = np.where(((x // 6 + y // 6) % 2)[..., None] > 0, (58, 96, 160), (226, 226, 214))
    room = np.where(cushion[..., None] > 0, pattern, wall)
    return room.astype(np.float64), cushion > 0


def _cat(width: int, height: int, place: float, phase: float) -> tuple[np.ndarray, np.ndarray]:
    """The cat's colours [h, w, 3] float and its coverage [h, w] in [0, 1]."""
    fine = (height * _FINE, width * _FINE)
    color, mask = np.zeros((*fine, 3), np.uint8), np.zeros(fine, np.uint8)
    unit = fine[0]

    def at(x: float, y: float) -> tuple[int, int]:
        return int(place * fine[1] + x * unit), int(0.66 * unit + y * unit)

    def blob(x: float, y: float, a: float, b: float, tint: tuple[int, int, int], turn: float = 0) -> None:
        for canvas, value in ((color, tint), (mask, 255)):
            cv2.ellipse(canvas, at(x, y), (int(a * unit), int(b * unit)), turn, 0, 360, value, -1)  # type: ignore[call-overload]

    def limb(points: list[tuple[float, float]], thick: float, tint: tuple[int, int, int]) -> None:
        path = np.array([at(*point) for point in points], np.int32)
        for canvas, value in ((color, tint), (mask, 255)):
            cv2.polylines(canvas, [path], False, value, int(thick * unit))  # type: ignore[call-overload]

    swing = 0.05 * np.sin(2 * np.pi * phase)
    limb([(-0.17, -0.02), (-0.27, -0.08), (-0.30, -0.18 + swing / 2)], 0.045, _DARK)
    for foot, sign, tint in ((-0.15, 1, _DARK), (0.10, -1, _DARK), (-0.11, -1, _FUR), (0.14, 1, _FUR)):
        limb([(foot, 0.03), (foot + 0.5 * sign * swing, 0.11), (foot + sign * swing, 0.20)], 0.05, tint)
    blob(0, 0, 0.20, 0.10, _FUR)
    for stripe in (-0.12, -0.06, 0.0, 0.06):
        blob(stripe, -0.05, 0.012, 0.042, _DARK, 12)
    blob(0.02, 0.055, 0.12, 0.035, _LIGHT)
    blob(0.21, -0.10, 0.085, 0.075, _FUR)
    for ear in (0.16, 0.25):
        blob(ear, -0.175, 0.022, 0.04, _DARK)
    blob(0.26, -0.075, 0.035, 0.03, _LIGHT)
    blob(0.235, -0.115, 0.011, 0.014, (30, 40, 30))
    size = (width, height)
    covered = cv2.resize(mask.astype(np.float32) / 255, size, interpolation=cv2.INTER_AREA)
    opaque = color.astype(np.float32) * (mask[..., None] > 0)
    premultiplied = cv2.resize(opaque, size, interpolation=cv2.INTER_AREA)
    return premultiplied / np.maximum(covered, 1e-6)[..., None], covered
