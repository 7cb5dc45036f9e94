"""A matte with a user's corrections."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ar4d.clip.corrections import Mark
from ar4d.clip.findings import Finding
from ar4d.clip.framing import Window
from ar4d.clip.matting.boxes import Sides, carry_boxes, cut_frames, inside, windows
from ar4d.clip.matting.correcting import apply_marks, marks_beside
from ar4d.clip.matting.flow import Flow
from ar4d.clip.matting.matte import Keyed, Matte, Salient
from ar4d.clip.matting.morphology import dilate
from ar4d.clip.matting.refinement import foreground_colors, guided_filter
from ar4d.clip.progress import OnFrame, ignore

_FRINGE = 9  # pixels: the width of a soft outline in a survey
_LOW, _HIGH = 0.3, 0.7  # of the guided mask, between which alpha rises
_CUT = "The box cuts the subject in {frames}: draw it larger there, or draw another one in that frame."
_BESIDE = "A drop click in {frames} lies beside the subject, so it changes nothing: click on what is to go."


@dataclass(frozen=True)
class FrameCorrections:
    """Corrections by the index of a survey's frame."""

    marks: Sequence[tuple[int, Mark]] = ()
    boxes: Mapping[int, tuple[float, float, float, float]] = field(default_factory=dict)
    """Sides in shares of the picture."""

    def __bool__(self) -> bool:
        return bool(self.marks or self.boxes)


def correct(
    matte: Matte,
    pictures: np.ndarray,
    corrections: FrameCorrections,
    threshold: float,
    on_frame: OnFrame = ignore,
    memory: dict[Hashable, Any] | None = None,
) -> Corrected:
    """Apply corrections to a matte.

    Args:
        pictures: [F, h, w, 3] uint8, the survey that the matte was made from.
        threshold: alpha from which on a mask's pixel is the subject's.
        memory: keeps what was worked out from one call to the next with the same matte and pictures.
    """
    memory = {} if memory is None else memory
    if "flow" not in memory:
        memory["flow"] = Flow(pictures)
    flow = memory["flow"]
    found = boxed = matte.masks > threshold
    findings: list[Finding] = []
    if corrections.boxes:
        scaled = _in_pixels(corrections.boxes, found.shape[1:])
        several = isinstance(matte, (Salient, Keyed))  # may have left out what the box is meant for
        boxes = carry_boxes(matte.everything if several else found, scaled, flow)
        if several:
            seen = "within", boxes.tobytes()
            if seen not in memory:
                memory[seen] = matte.within(windows(boxes, found.shape[1:]), on_frame)
            matte = memory[seen]
            found = matte.masks > threshold
        if cut := cut_frames(found, boxes):
            findings.append(Finding(_CUT, cut))
        boxed = np.zeros_like(found)
        for frame, box in enumerate(boxes):
            rows, columns = inside(box, found.shape[1:])
            boxed[frame, rows, columns] = found[frame, rows, columns]
    if beside := marks_beside(boxed, corrections.marks):
        findings.append(Finding(_BESIDE, beside))
    subject = apply_marks(pictures, boxed, corrections.marks, flow, memory) if corrections.marks else boxed
    return Corrected(matte, found, subject, findings)


def _in_pixels(
    boxes: Mapping[int, tuple[float, float, float, float]], shape: tuple[int, ...]
) -> dict[int, Sides]:
    height, width = shape
    return {
        frame: (left * width, top * height, right * width, bottom * height)
        for frame, (left, top, right, bottom) in boxes.items()
    }


class Corrected:
    """A matte of which parts were dropped and to which parts were added.

    Args:
        found: [F, h, w] bool, the inner matte's subject.
        subject: [F, h, w] bool, the corrected one.
    """

    def __init__(
        self, inner: Matte, found: np.ndarray, subject: np.ndarray, findings: Sequence[Finding] = ()
    ) -> None:
        self.name, self.inside, self.opacity = inner.name, inner.inside, inner.opacity
        self.findings = [*inner.findings, *findings]
        self._inner, self._subject = inner, subject
        self._dropped = np.stack([_fringe(part) for part in found & ~subject])
        self._added = np.stack([_fringe(part) for part in subject & ~found])
        self.touched = (found != subject).any(axis=(1, 2))  # [F] bool
        masks = np.where(self._dropped & ~subject, 0, inner.masks)
        self.masks = np.where(subject & ~found, 1, masks).astype(np.float32)

    def cut_out(self, frame: int, picture: np.ndarray, window: Window) -> tuple[np.ndarray, np.ndarray]:
        colors, alpha = self._inner.cut_out(frame, picture, window)
        if not self.touched[frame]:
            return colors, alpha
        subject = self._subject[frame].astype(np.float32)
        scale = window.width / subject.shape[1]
        values = picture[..., :3].astype(np.float32) / 255
        guided = guided_filter(values, window.of_coarse(subject), radius=max(2, round(3 * scale)))
        mine = np.clip((guided - _LOW) / (_HIGH - _LOW), 0, 1)
        dropped = window.of_coarse(self._dropped[frame].astype(np.float32)) > 0.5
        added = window.of_coarse(self._added[frame].astype(np.float32)) > 0.5
        alpha = np.where(dropped, np.minimum(alpha, mine), alpha)
        alpha = np.where(added, np.maximum(alpha, mine), alpha).astype(np.float32)
        changed = (dropped | added)[..., None]
        return np.where(changed, foreground_colors(values, alpha, scale), colors), alpha


def _fringe(part: np.ndarray) -> np.ndarray:
    return dilate(part, _FRINGE) if part.any() else part
