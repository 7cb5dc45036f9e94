"""Dense optical flow between the frames of a survey (DIS, Kroeger et al. 2016, as OpenCV has it)."""

from __future__ import annotations

import cv2
import numpy as np


class Flow:
    """Optical flow between frames, worked out when it is first asked for.

    Args:
        pictures: [F, h, w, 3] uint8.
    """

    def __init__(self, pictures: np.ndarray) -> None:
        self._grey = [cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY) for picture in pictures]
        self._known: dict[tuple[int, int], np.ndarray] = {}
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def between(self, frame: int, other: int) -> np.ndarray:
        """Where each pixel of `frame` lies in `other`: its displacement [h, w, 2] float32, in pixels."""
        pair = frame, other
        if pair not in self._known:
            self._known[pair] = self._dis.calc(self._grey[frame], self._grey[other], None)  # type: ignore[call-overload]
        return self._known[pair]

    def carry(self, labels: np.ndarray, source: int, target: int) -> np.ndarray:
        """Move labels [h, w] uint8 of frame `source` to where their pixels lie in frame `target`."""
        back = self.between(target, source)
        height, width = labels.shape
        y, x = np.mgrid[:height, :width].astype(np.float32)
        return cv2.remap(
            labels, x + back[..., 0], y + back[..., 1], cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT
        )
