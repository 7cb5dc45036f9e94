"""How far a subject moves between the frames of a clip, and how many frames its motion needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

TOO_FAST = 0.16
"""Largest motion between two frames, in shares of the subject's size, that the stages follow well."""

_SIDE = 192  # pixels at which the motion is measured
_QUANTILE = 0.9  # of the subject's pixels: what a limb does counts, a single pixel does not


@dataclass(frozen=True)
class Motion:
    """The motion from each frame to the next."""

    steps: np.ndarray  # [F - 1] in shares of the subject's size

    @property
    def fastest(self) -> float:
        """The largest motion between two frames, in shares of the subject's size; 0 for one frame."""
        return float(self.steps.max(initial=0.0))

    def frames_needed(self, num_frames: int) -> int:
        """How many frames, evenly spaced in time, bring the largest motion down to `TOO_FAST`."""
        return max(num_frames, 1 + math.ceil((num_frames - 1) * self.fastest / TOO_FAST))


def measure_motion(frames: np.ndarray, numbers: Sequence[int] | None = None) -> Motion:
    """Measure how fast a clip's subject moves, by optical flow.

    Args:
        frames: [F, S, S, 4] uint8, straight alpha.
        numbers: of the frames among evenly spaced ones: where some are missing, their motion is shared.
    """
    small = [_on_grey(frame) for frame in frames]
    masks = [alpha > 0.5 for _, alpha in small]
    extents = [max(np.ptp(np.nonzero(mask)[axis]) for axis in (0, 1)) for mask in masks if mask.any()]
    if len(small) < 2 or not extents:
        return Motion(np.zeros(max(len(small) - 1, 0)))
    size = max(1.0, float(np.median(extents)))
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    gaps = np.maximum(np.diff(numbers), 1) if numbers is not None else np.ones(len(small) - 1)
    steps = []
    for k, gap in enumerate(gaps):
        if not masks[k].any():
            steps.append(0.0)
            continue
        flow = dis.calc(small[k][0], small[k + 1][0], None)  # type: ignore[call-overload]
        lengths = np.hypot(flow[..., 0], flow[..., 1])[masks[k]]
        steps.append(float(np.quantile(lengths, _QUANTILE)) / size / gap)
    return Motion(np.array(steps))


def _on_grey(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame's luminance on grey [h, w] uint8, and its alpha [h, w] in [0, 1]."""
    small = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    alpha = small[..., 3].astype(np.float32) / 255
    grey = cv2.cvtColor(np.ascontiguousarray(small[..., :3]), cv2.COLOR_RGB2GRAY)
    return np.round(grey * alpha + 128 * (1 - alpha)).astype(np.uint8), alpha
