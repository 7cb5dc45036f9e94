"""Applies a user's marks to the masks of a survey and carries them to the frames between.

A stroke keeps or drops what it paints. A click reaches further: the colours around it decide by a graph
cut what changes, and a change counts only where it is connected to the click. From there, frame after
frame, optical flow moves the outcome on, and the same cut with the same colours fits it to the next
picture. What the matting found bounds the outcome everywhere: a silhouette stays the matting's own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from skimage.filters import threshold_otsu

from ar4d.clip.corrections import Mark
from ar4d.clip.matting.components import drop_specks
from ar4d.clip.matting.flow import Flow
from ar4d.clip.matting.graph_cut import PERHAPS_REST, PERHAPS_SUBJECT, REST, SUBJECT, Colors, learn, split
from ar4d.clip.matting.morphology import connected_parts, dilate, erode

_GROWTH = 0.25  # of the picture's longer side: how far a kept place may reach around its mark
_RING = 0.04  # of the picture's longer side: what of the background a cut learns from
_SURE = 0.012  # of the picture's longer side: flow is trusted this far inside of what it moves
_CONTRARY = 2.0  # log ratio of colours from which on they overrule the flow
_SAMPLE = 0.02  # of the picture's longer side: around a mark whose colours count
_SAME = 14.0  # distance in CIELAB (8 bits a channel) that shading makes within one colour
_MOST = 0.85  # of the subject: a lone drop click is not meant to take more
_LOOSE = 0.03  # of the subject's area: a smaller part that hangs on nothing is dropped

_NOTHING, _KEPT, _DROPPED, _ADDED = 0, 1, 2, 3  # labels that the flow moves


@dataclass(frozen=True)
class _State:
    """A corrected frame, and the colours that tell the subject from what was dropped there."""

    subject: np.ndarray  # [h, w] bool
    found: np.ndarray  # [h, w] bool, before the correction
    colors: Colors | None

    @property
    def labels(self) -> np.ndarray:
        """What the flow moves on: [h, w] uint8."""
        labels = np.full(self.subject.shape, _NOTHING, np.uint8)
        labels[self.subject & self.found] = _KEPT
        labels[self.subject & ~self.found] = _ADDED
        labels[self.found & ~self.subject] = _DROPPED
        return labels


def apply_marks(
    pictures: np.ndarray,
    found: np.ndarray,
    marks: Sequence[tuple[int, Mark]],
    flow: Flow | None = None,
    memory: dict[Hashable, Any] | None = None,
) -> np.ndarray:
    """Correct masks by marks in some of the frames.

    Args:
        pictures: [F, h, w, 3] uint8.
        found: [F, h, w] bool, the subject as the matting has found it.
        marks: a frame's index and a mark in it, for each of them.
        flow: of the pictures, where it is known already.
        memory: keeps each frame's outcome from one call to the next with the same pictures, so that
            only the frames that a new mark touches are worked on.

    Returns:
        [F, h, w] bool, the corrected subject.
    """
    flow = flow or Flow(pictures)
    memory = {} if memory is None else memory
    subject = found.copy()
    for number, key in enumerate(keys := sorted({frame for frame, _ in marks})):
        mine = tuple(mark for frame, mark in marks if frame == key)
        origin = key, mine, subject[key].tobytes(), found.tobytes()
        first = 0 if number == 0 else (keys[number - 1] + key) // 2 + 1  # up to half-way to the one before
        if (state := memory.get(origin)) is None:
            state = memory[origin] = _mark_frame(pictures[key], subject[key], mine, found[key])
        subject[key] = state.subject
        for frames in (range(key + 1, len(found)), range(key - 1, first - 1, -1)):
            previous, at = state, key
            for frame in frames:
                if (known := memory.get((origin, frame))) is None:
                    known = _carried(pictures[frame], found[frame], flow, previous, at, frame)
                    memory[origin, frame] = known
                previous, at = known, frame
                subject[frame] = previous.subject
    return subject


def marks_beside(found: np.ndarray, marks: Sequence[tuple[int, Mark]]) -> tuple[int, ...]:
    """Indices of the frames in which a mark that drops something lies where no subject was found."""
    frames = {
        frame
        for frame, mark in marks
        if not mark.keep and not (_drawn([mark], found[0].shape) & found[frame]).any()
    }
    return tuple(sorted(frames))


def _mark_frame(picture: np.ndarray, subject: np.ndarray, marks: Sequence[Mark], found: np.ndarray) -> _State:
    """The state of a marked frame."""
    strokes = [mark for mark in marks if len(mark.points) > 1]
    painted, erased = (
        _drawn([m for m in strokes if m.keep is kind], subject.shape) for kind in (True, False)
    )
    subject = subject & ~erased | painted
    clicks = [mark for mark in marks if len(mark.points) == 1]
    keep = _drawn([mark for mark in clicks if mark.keep], subject.shape)
    corrected = (_clicked(picture, subject, clicks) & ~erased) | keep | painted
    corrected = _without_loose_parts(corrected, keep | painted)
    dropped = (found | subject) & ~corrected
    ring = dilate(corrected, 2 * round(_RING * max(subject.shape)) + 1) & ~corrected & ~found
    growing = (keep & ~subject).any()
    return _State(corrected, found, learn(picture, corrected, dropped | ring if growing else dropped))


def _clicked(picture: np.ndarray, subject: np.ndarray, clicks: Sequence[Mark]) -> np.ndarray:
    """The subject [h, w] bool after clicks.

    Keep clicks and drop clicks decide together, by one cut. Drop clicks alone decide one after the other;
    one that would take nearly all of the subject is meant for less: its colours are then read more and more
    narrowly, and at last it takes only what lies under it.
    """
    drops = [mark for mark in clicks if not mark.keep]
    if len(drops) < len(clicks):
        keep, drop = (_drawn([m for m in clicks if m.keep is kind], subject.shape) for kind in (True, False))
        added, taken = _cut(picture, subject, keep, drop, _SAMPLE)
        return ((subject | added) & ~taken) | keep
    none = np.zeros_like(subject)
    for mark in drops:
        wide = taken = _drawn([mark], subject.shape)
        narrow = _middle(picture, mark)
        narrow = narrow if (narrow & subject).any() else wide
        for drop, sample, strict in ((wide, _SAMPLE, False), (narrow, 0.0, False), (narrow, 0.0, True)):
            _, cut = _cut(picture, subject, none, drop, sample, strict)
            if (cut & subject).sum() <= _MOST * subject.sum():
                taken = cut
                break
        subject = subject & ~taken
    return subject


def _cut(
    picture: np.ndarray,
    subject: np.ndarray,
    keep: np.ndarray,
    drop: np.ndarray,
    sample: float,
    strict: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """What clicks [h, w] bool add to the subject, and what they take from it, by a graph cut.

    Args:
        sample, strict: how the colours around what is dropped are read, as `_alike` says.
    """
    labels = np.where(subject, PERHAPS_SUBJECT, REST).astype(np.uint8)
    growing = (keep & ~subject).any()
    if growing:
        near = dilate(keep, 2 * round(_GROWTH * max(subject.shape)) + 1) & ~subject
        alike = _alike(picture, keep & ~subject, near, drop & ~subject)
        labels[near] = np.where(alike, PERHAPS_SUBJECT, PERHAPS_REST)
    part = _parts_under(subject, drop)
    if part.any():
        alike = _alike(picture, drop & subject, part, keep & subject, sample, strict)
        labels[part] = np.where(alike, PERHAPS_REST, PERHAPS_SUBJECT)
    labels[keep], labels[drop] = SUBJECT, REST
    # Where the subject may grow, the background's edges and colours hold it back.
    cut = split(picture, labels, np.ones_like(subject) if growing else subject)
    return _parts_under(cut & ~subject, keep), _parts_under((subject & ~cut) | (drop & subject), drop) | drop


def _middle(picture: np.ndarray, mark: Mark) -> np.ndarray:
    """What lies under a click and has the colour of its middle: [h, w] bool."""
    height, width = picture.shape[:2]
    ((x, y),) = mark.points
    lab = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2LAB).astype(np.float32)
    color = lab[min(int(y * height), height - 1), min(int(x * width), width - 1)]
    return _drawn([mark], (height, width)) & (np.linalg.norm(lab - color, axis=-1) < _SAME)


def _carried(
    picture: np.ndarray, found: np.ndarray, flow: Flow, previous: _State, source: int, target: int
) -> _State:
    """The next frame's state."""
    labels = previous.labels
    changed = (labels == _DROPPED).any() or (labels == _ADDED).any()
    if not changed:
        return _State(found, found, previous.colors)
    moved = flow.carry(labels, source, target)
    side = max(found.shape)
    reach = 2 * round(_SURE * side) + 1
    added = moved == _ADDED
    open_to_cut = found | dilate(added, reach)
    mine, others = (moved == _KEPT) | added, moved == _DROPPED
    start = np.full(found.shape, REST, np.uint8)
    start[open_to_cut] = PERHAPS_SUBJECT
    start[open_to_cut & others] = PERHAPS_REST
    if not others.any():  # nothing was dropped: what the matting finds is the subject
        start[found] = SUBJECT
    evidence = previous.colors.evidence(picture) if previous.colors else np.zeros(found.shape)
    start[open_to_cut & erode(mine, reach) & (evidence > -_CONTRARY)] = SUBJECT
    start[open_to_cut & erode(others, reach) & (evidence < _CONTRARY)] = REST
    region = np.ones_like(found) if added.any() else open_to_cut
    subject = split(picture, start, region, previous.colors)
    # Other places may have the colours of what was dropped: only what hangs together with it goes.
    near_others = dilate(others, reach)
    subject |= mine & found & ~_parts_under(found & ~subject | near_others, others)
    subject = _without_loose_parts(subject, mine & found)
    return _State(subject, found, previous.colors)


def _drawn(marks: Sequence[Mark], shape: tuple[int, int]) -> np.ndarray:
    """The pixels [h, w] bool that strokes cover: at least one each."""
    height, width = shape
    canvas = np.zeros(shape, np.uint8)
    for mark in marks:
        points = [(min(int(x * width), width - 1), min(int(y * height), height - 1)) for x, y in mark.points]
        radius = max(1, round(mark.radius * max(shape)))
        for one, other in zip(points, [*points[1:], points[-1]], strict=True):
            cv2.line(canvas, one, other, 1, 2 * radius)
            cv2.circle(canvas, one, radius, 1, -1)
    return canvas > 0


def _alike(
    picture: np.ndarray,
    mark: np.ndarray,
    region: np.ndarray,
    opposite: np.ndarray,
    sample: float = 0.0,
    strict: bool = True,
) -> np.ndarray:
    """Which pixels of a region [n] bool have the colours around a mark rather than others.

    Where something is marked for the other side as well, the nearer of both colours decides; else
    Otsu's threshold on the distance from the mark's colours.

    Args:
        sample: how far around the mark its colours are taken, as a share of the picture's longer side.
        strict: only what is very like the mark.
    """
    lab = cv2.cvtColor(cv2.GaussianBlur(np.ascontiguousarray(picture), (0, 0), 1.5), cv2.COLOR_RGB2LAB)
    values = lab.astype(np.float32)
    around = dilate(mark, 2 * round(sample * max(mark.shape)) + 1) & region if sample else mark
    distance = _color_distance(values[region], values[around if around.any() else mark])
    if opposite.any():
        return distance < _color_distance(values[region], values[opposite])
    if np.percentile(distance, 98) < _SAME:
        return np.ones(len(distance), bool)
    limit = float(threshold_otsu(distance))
    return distance < (min(limit, _SAME) if strict else max(limit, _SAME))


def _color_distance(values: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Distance [n] of colours [n, 3] from the nearest of a few typical samples [m, 3]."""
    spread = np.linspace(0, len(samples) - 1, min(12, len(samples))).round().astype(int)
    order = np.argsort(samples[:, 0])  # from dark to bright
    typical = samples[order[spread]]
    return np.min([np.linalg.norm(values - one, axis=1) for one in typical], axis=0)


def _parts_under(mask: np.ndarray, mark: np.ndarray) -> np.ndarray:
    """The connected parts of a mask that a mark touches."""
    if not (mask & mark).any():
        return np.zeros(mask.shape, bool)
    labels, _ = connected_parts(mask)
    return np.isin(labels, np.unique(labels[mask & mark]))


def _without_loose_parts(subject: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """The subject without small parts that do not touch what is surely its own."""
    labels, count = connected_parts(subject)
    if count < 2:
        return subject
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    kept = areas >= _LOOSE * areas[1:].max()
    anchored = np.bincount(labels[anchor & subject], minlength=count + 1) >= 0.5 * areas
    kept |= anchored & (areas >= 0.002 * areas[1:].max())
    kept[0] = False
    return drop_specks(kept[labels][None])[0]
