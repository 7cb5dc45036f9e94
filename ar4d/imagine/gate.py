"""The gate: is this clip one subject before a still camera, all of it in every frame, and does it move?

Generated clips often are not. Every frame is cut out, a few numbers are measured and held against
limits, and the clip gets a sentence that says what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from ar4d.clip.matting import Selection, choose_matte
from ar4d.clip.screening import background_shifts

SIDE = 384  # pixels of the pictures that are looked at
MOST_FRAMES = 24  # that are looked at, evenly spaced: as many as a lift takes


@dataclass(frozen=True)
class GateLimits:
    """What a clip may show at most, or has to show at least."""

    threshold: float = 0.5
    """From which alpha on a pixel counts as the subject's."""
    border: float = 0.04
    """Share of the frames in which the subject may touch the picture's border."""
    background_shift: float = 0.01
    """Shift of the background between any two frames, in shares of the picture's longer side."""
    background_change: float = 0.12
    """Mean change of the background's colour between two frames, of 1: a cut, a flash."""
    box_jump: float = 1.2
    """Ratio of the areas of the subject's box in two neighbouring frames."""
    box_shift: float = 0.12
    """Shift of the box's middle between two frames, in shares of the picture's longer side."""
    smallest: float = 0.02
    """Share of the picture that the subject has to cover (median over frames)."""
    largest: float = 0.75
    """Share of the picture that the subject may cover."""
    company: float = 0.25
    """Size of a second object, in shares of the subject's (median over frames)."""
    motion: float = 0.004
    """Mean change of the subject's pixels between two frames, of 1, below which nothing moves."""


@dataclass(frozen=True)
class Measures:
    """What was measured of a clip, in the units of `GateLimits`."""

    border: float
    background_shift: float
    background_change: float
    box_jump: float
    box_shift: float
    coverage: float
    company: float
    motion: float


@dataclass(frozen=True)
class Verdict:
    """The gate's decision on one clip."""

    accepted: bool
    message: str
    """One sentence: what was found."""
    remedies: tuple[str, ...]
    """What to change in the prompt, one phrase for each complaint."""
    penalty: float
    """How near the clip comes to its limits; the best clip has the least."""
    measures: Measures | None
    """None where no subject was found."""


def judge(frames: np.ndarray, limits: GateLimits | None = None) -> Verdict:
    """Looks at a clip.

    Args:
        frames: [F, H, W, 3] uint8, at least two frames.
    """
    limits = limits or GateLimits()
    pictures = _small(frames)
    masks = _masks(pictures, limits)
    seen = np.asarray((masks > limits.threshold).any(axis=(1, 2)))
    if not seen.all():
        where = _count(int((~seen).sum()), len(seen))
        absent = f"no subject can be distinguished from the background in {where}"
        return Verdict(False, _sentence(absent), ("name one clear subject",), float("inf"), None)
    measures = measure(pictures, masks, limits)
    complaints = _complaints(measures, limits, len(pictures))
    if complaints:
        found, remedies = zip(*complaints, strict=True)
        return Verdict(False, _sentence("; ".join(found)), remedies, _penalty(measures, limits), measures)
    praise = (
        f"the subject stays within the picture, the background still ({measures.background_shift:.1%} shift "
        f"at most), its box changes by {measures.box_jump - 1:.0%} a frame at most"
    )
    return Verdict(True, _sentence(praise), (), _penalty(measures, limits), measures)


def measure(pictures: np.ndarray, masks: np.ndarray, limits: GateLimits) -> Measures:
    """The numbers the gate goes by.

    Args:
        pictures: [F, h, w, 3] uint8.
        masks: [F, h, w] in [0, 1]; each frame shows a subject.
    """
    subject = masks > limits.threshold
    boxes = np.array([_box(mask) for mask in subject])  # top, left, bottom, right
    area = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).astype(np.float64)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    shift = np.linalg.norm(np.diff(middle, axis=0), axis=1) / max(subject.shape[1:])
    edges = [subject[:, 0], subject[:, -1], subject[:, :, 0], subject[:, :, -1]]
    least = max(2, round(0.01 * max(subject.shape[1:])))
    touching = np.max([edge.sum(axis=1) for edge in edges], axis=0) >= least
    values = pictures.astype(np.float32) / 255
    change = np.abs(np.diff(values, axis=0)).mean(axis=-1)  # [F - 1, h, w]
    either = subject[1:] | subject[:-1]
    return Measures(
        border=float(touching.mean()),
        background_shift=_furthest_shift(pictures, masks, limits.threshold),
        background_change=float(_mean_within(change, ~either).max(initial=0)),
        box_jump=float((np.maximum(area[1:], area[:-1]) / np.minimum(area[1:], area[:-1])).max(initial=1)),
        box_shift=float(shift.max(initial=0)),
        coverage=float(np.median(subject.mean(axis=(1, 2)))),
        company=float(np.median([_company(mask) for mask in subject])),
        motion=float(_mean_within(change, either).mean()) if len(change) else 0.0,
    )


def _furthest_shift(pictures: np.ndarray, masks: np.ndarray, threshold: float) -> float:
    """Motion of the background, from frame to frame and across the clip: a slow pan adds up."""
    apart = sorted({0, len(pictures) // 2, len(pictures) - 1})
    shifts = [
        *background_shifts(pictures, masks, threshold),
        *background_shifts(pictures[apart], masks[apart], threshold),
    ]
    return float(max(shifts, default=0.0))


def _complaints(measures: Measures, limits: GateLimits, num_frames: int) -> list[tuple[str, str]]:
    """(what was found, what to do) for every limit that is broken."""
    found = []
    if measures.border > limits.border:
        touching = _count(round(measures.border * num_frames), num_frames)
        found.append((f"the subject touches the border in {touching}", 'add "seen whole, from afar"'))
    if measures.background_shift > limits.background_shift:
        moved = f"the background moves by {measures.background_shift:.1%} of the picture"
        found.append((moved, "describe motion on the spot, no travelling"))
    if measures.background_change > limits.background_change:
        flash = f"the background changes by {measures.background_change:.0%} between two frames, as at a cut"
        found.append((flash, "describe one moment, not a sequence"))
    if measures.box_jump > limits.box_jump:
        jump = f"the subject's box jumps by {measures.box_jump - 1:.0%} between two frames"
        found.append((jump, "ask for slower motion"))
    if measures.box_shift > limits.box_shift:
        leap = f"the subject leaps by {measures.box_shift:.0%} of the picture between two frames"
        found.append((leap, "ask for slower motion"))
    if measures.coverage < limits.smallest:
        tiny = f"the subject covers only {measures.coverage:.1%} of the picture"
        found.append((tiny, "ask for a larger subject"))
    if measures.coverage > limits.largest:
        huge = f"the subject covers {measures.coverage:.0%} of the picture"
        found.append((huge, 'add "seen whole, from afar"'))
    if measures.company > limits.company:
        several = f"a second object of {measures.company:.0%} of the subject's size is to be seen"
        found.append((several, 'say "a single …" and name nothing else'))
    if measures.motion < limits.motion:
        still = f"next to nothing moves ({measures.motion:.2%} change a frame)"
        found.append((still, "say what the subject does"))
    return found


def _penalty(measures: Measures, limits: GateLimits) -> float:
    """The sum of how much of each allowance is used up."""
    return (
        measures.border / limits.border
        + measures.background_shift / limits.background_shift
        + measures.background_change / limits.background_change
        + (measures.box_jump - 1) / (limits.box_jump - 1)
        + measures.box_shift / limits.box_shift
        + measures.company / limits.company
        + limits.motion / max(measures.motion, 1e-6)
    )


def _small(frames: np.ndarray) -> np.ndarray:
    """[F, h, w, 3] uint8: at most `MOST_FRAMES` of the frames, at most `SIDE` pixels large."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).round().astype(int))
    height, width = frames.shape[1:3]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.stack(
        [np.asarray(Image.fromarray(frames[i]).resize(size, Image.Resampling.BOX)) for i in chosen]
    )


def _masks(pictures: np.ndarray, limits: GateLimits) -> np.ndarray:
    opaque = np.full((*pictures.shape[:3], 1), 255, np.uint8)
    survey = np.concatenate([pictures, opaque], axis=-1)
    # Everything that stands out, so that a second object is seen.
    return choose_matte(
        survey, "auto", limits.threshold, Selection(largest_component=False), "the clip"
    ).masks


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _company(mask: np.ndarray) -> float:
    """Size of the second largest object in shares of the largest's."""
    labels, count = ndimage.label(mask)  # pyright: ignore[reportGeneralTypeIssues]
    if count < 2:
        return 0.0
    sizes = np.sort(np.bincount(labels.ravel())[1:])
    return float(sizes[-2] / sizes[-1])


def _mean_within(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """[F] means of values [F, h, w] within masks [F, h, w]; 0 where a mask is empty."""
    return (values * where).sum(axis=(1, 2)) / np.maximum(where.sum(axis=(1, 2)), 1)


def _count(some: int, of: int) -> str:
    return f"{some} of {of} frames"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def explain_refusal(verdicts: Sequence[Verdict]) -> str:
    """One sentence for clips that were all refused: what was wrong, and what to do."""
    reasons = list(dict.fromkeys(verdict.message.rstrip(".").lower() for verdict in verdicts))
    remedies = list(dict.fromkeys(remedy for verdict in verdicts for remedy in verdict.remedies))
    clips = "The clip was" if len(verdicts) == 1 else f"All {len(verdicts)} clips were"
    return (
        f"{clips} refused: {' | '.join(reasons)}; {', '.join(remedies)}, or try more seeds "
        "(--seeds), or take the best as it is (--no-gate)."
    )
