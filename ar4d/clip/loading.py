"""From a source to a clip: the frames are chosen, the subject is found, framed and cut out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ar4d.clip.alpha import is_premultiplied
from ar4d.clip.canonical import choose_canonical
from ar4d.clip.clip import Clip, ClipSettings
from ar4d.clip.exposure import Exposure, measure_exposure
from ar4d.clip.findings import name_frames
from ar4d.clip.framing import Crop, enclosing_crop, resample, union_crop, whole_crop, window_of
from ar4d.clip.matting import Matte, Selection, choose_matte
from ar4d.clip.matting.corrected import FrameCorrections, correct
from ar4d.clip.pictures import STILL_FPS
from ar4d.clip.progress import OnFrame, ignore
from ar4d.clip.screening import (
    border_warning,
    brightness_warning,
    camera_warning,
    jump_warning,
    size_warning,
    with_subject,
)
from ar4d.clip.sources import Source, choose_frames, hold_frames, open_source
from ar4d.errors import UserError
from ar4d.images import to_float, to_uint8, unpremultiply
from ar4d.threads import parallel_map

MAX_SIZE = 2048  # pixels of a clip's side

_SURVEY_SIDE = 512  # pixels of the small pictures in which the subject is found
_SHARPNESS = 2.0  # source pixels per pixel of the clip that are looked at, at most


@dataclass(frozen=True)
class Survey:
    """Small pictures of the frames that are used, and how the source's pictures have to be corrected."""

    indices: list[int]  # of the frames in the source
    numbers: list[int]  # of the frames among the chosen ones, from 1
    labels: list[str]
    pictures: np.ndarray  # [F, h, w, 4] uint8, corrected
    exposure: Exposure
    premultiplied: bool
    warnings: list[str]

    def correct(self, frame: int, picture: np.ndarray) -> np.ndarray:
        """A picture [h, w, 4] uint8 of a frame with straight colours and the exposure of the others."""
        straight = to_uint8(unpremultiply(to_float(picture))) if self.premultiplied else picture
        return self.exposure.level(frame, straight)


@dataclass(frozen=True)
class Prepared:
    """A source of which the subject is known, before any correction; reading on from here is quick."""

    source: Source
    wanted: list[int]  # indices of the chosen frames in the source
    survey: Survey
    matte: Matte
    memory: dict[Hashable, Any] = field(default_factory=dict)
    """What `finish` has worked out, so that a further correction costs only the frames that it touches."""


@dataclass(frozen=True)
class Loaded:
    """A clip, and which of the chosen frames it consists of."""

    clip: Clip
    numbers: tuple[int, ...]  # of each frame of the clip among the chosen ones, from 1
    num_chosen: int


def load_clip(path: str | Path, settings: ClipSettings, size: int) -> Clip:
    """Cut the subject out of a video and put it into the reference camera's square.

    The source is read twice: a survey of small pictures separates the subject from the background and finds
    the square; then that part alone is read at the sharpness that the clip needs.

    Args:
        path: a video, an animated GIF, WebP, AVIF or PNG, an image, or a folder of images.
        settings: which frames to take, and how to find the subject.
        size: S, side of the frames in pixels.

    Raises:
        UserError: the source or a setting cannot be used; the sentence says why.
    """
    _check(settings, size)
    return finish(prepare(Path(path), settings), settings, size).clip


def prepare(path: Path, settings: ClipSettings, on_frame: OnFrame = ignore) -> Prepared:
    """Find the subject in a source, without the settings' corrections.

    Args:
        path: see `load_clip`.
        on_frame: is called as the frames are worked on.

    Raises:
        UserError: the source or a setting cannot be used; the sentence says why.
    """
    source = open_source(path, settings.fps)
    wanted = choose_frames(source, settings.start, settings.end, settings.num_frames)
    settings.corrections.check(len(wanted))
    survey = _survey(source, wanted, settings)
    selection = Selection(settings.largest_component, settings.subject)
    matte = choose_matte(
        survey.pictures, settings.background, settings.threshold, selection, source.name, on_frame
    )
    return Prepared(source, wanted, survey, matte)


def finish(prepared: Prepared, settings: ClipSettings, size: int, on_frame: OnFrame = ignore) -> Loaded:
    """Correct what was found and cut it out.

    Args:
        prepared: from the same settings, of which framing, corrections and size alone may differ.
        size: S, side of the frames in pixels.
        on_frame: is called as the frames are worked on.

    Raises:
        UserError: the corrections do not fit, or leave nothing of the subject.
    """
    _check(settings, size)
    source, survey = prepared.source, prepared.survey
    matte, ignored = _corrected(prepared, settings, on_frame)
    threshold = settings.threshold * matte.opacity
    shown = _shown(matte.masks, threshold, source)
    crop = _crop(settings, matte.masks[shown], threshold, source)
    frames = _cut_out(prepared, shown, matte, crop, size, on_frame)
    warnings = [*source.warnings, *survey.warnings, *ignored, *_empty_warning(survey, shown)]
    warnings += _subject_warnings(survey, shown, matte, prepared.matte.masks, threshold, settings)
    times = source.times[[survey.indices[i] for i in shown]]
    numbers = [survey.numbers[i] for i in shown]
    if len(times) == len(prepared.wanted):  # a gap that a lost frame leaves is no frame that stays longer
        held = hold_frames(times, settings.num_frames)
        frames, numbers = frames[held], [numbers[i] for i in held]
        if len(held) > len(times):
            warnings.append(
                f"The pictures of {source.name} stay for unequal times: some are repeated, so that the "
                "motion keeps its pace."
            )
    duration = float(times[-1] - times[0])
    clip = Clip(
        frames=frames,
        fps=(len(frames) - 1) / duration if duration > 0 else settings.fps or STILL_FPS,
        crop=crop,
        source=source.name,
        matting=matte.name,
        warnings=tuple(dict.fromkeys([*warnings, *size_warning(crop, size)])),  # a source may repeat its own
    )
    if settings.canonical != 0:
        canonical, reason = choose_canonical(clip, settings.canonical)
        clip = dataclasses.replace(clip, canonical=canonical, canonical_reason=reason)
    return Loaded(clip, tuple(numbers), len(prepared.wanted))


def _corrected(prepared: Prepared, settings: ClipSettings, on_frame: OnFrame) -> tuple[Matte, list[str]]:
    """The matte with the settings' corrections, and what to say of those that concern no frame in use."""
    corrections, survey = settings.corrections, prepared.survey
    if not corrections:
        return prepared.matte, []
    if settings.background == "none":
        raise UserError(
            "The corrections need a cut-out, and the background is kept: choose another background setting."
        )
    corrections.check(len(prepared.wanted))
    frames = {number: frame for frame, number in enumerate(survey.numbers)}
    used = FrameCorrections(
        [(frames[mark.frame], mark) for mark in corrections.marks if mark.frame in frames],
        {frames[box.frame]: box.sides for box in corrections.boxes if box.frame in frames},
    )
    unused = [f"frame {number}" for number in corrections.frames if number not in frames]
    said = (
        [f"The corrections in {name_frames(unused)} were left out: that frame is not used."] if unused else []
    )
    if not used:
        return prepared.matte, said
    pictures = survey.pictures[..., :3]
    threshold = settings.threshold * prepared.matte.opacity
    return correct(prepared.matte, pictures, used, threshold, on_frame, prepared.memory), said


def _check(settings: ClipSettings, size: int) -> None:
    if not 1 <= size <= MAX_SIZE:
        raise UserError(f"The clip's size must lie between 1 and {MAX_SIZE} pixels, not {size}.")
    if not (math.isfinite(settings.threshold) and 0 < settings.threshold < 1):
        raise UserError(f"The threshold must lie between 0 and 1, not {settings.threshold}.")
    point = settings.subject
    if point is not None and not (len(point) == 2 and all(0 <= value <= 1 for value in point)):
        raise UserError(
            f"The subject's place must be two shares of the picture's width and height between 0 and 1, not "
            f"{' '.join(str(value) for value in point)}."
        )


def _survey(source: Source, wanted: Sequence[int], settings: ClipSettings) -> Survey:
    """Look at small pictures of the wanted frames, and leave out what cannot be used."""
    scale = min(1.0, _SURVEY_SIDE / max(source.width, source.height))
    found = list(source.read(wanted, scale))
    if not found:
        raise UserError(
            f"None of the chosen frames of {source.name} can be decoded: the file may be damaged."
        )
    indices, warnings = [index for index, _ in found], []
    numbers = {index: number for number, index in enumerate(wanted, 1)}

    def label(index: int) -> str:
        return f"frame {numbers[index]} ({source.place(index)})"

    lost = [label(index) for index in wanted if index not in set(indices)]
    if lost:
        warnings.append(f"{source.name} is damaged: it is used without {name_frames(lost)}.")
    pictures = np.stack([picture for _, picture in found])
    premultiplied = settings.background != "none" and is_premultiplied(pictures)
    if premultiplied:
        pictures = to_uint8(unpremultiply(to_float(pictures)))
        warnings.append(
            f"The colours of {source.name} are premultiplied with its alpha: they were divided by it, or the "
            "outline would be dark."
        )
    as_it_is = settings.background == "none"
    exposure = Exposure.steady(len(pictures)) if as_it_is else measure_exposure(pictures)
    labels = [label(index) for index in indices]
    warnings += [finding.sentence(labels) for finding in exposure.findings]
    kept = np.flatnonzero(exposure.usable)
    exposure = exposure.of(kept)
    return Survey(
        indices=[indices[i] for i in kept],
        numbers=[numbers[indices[i]] for i in kept],
        labels=[labels[i] for i in kept],
        pictures=np.stack([exposure.level(frame, pictures[i]) for frame, i in enumerate(kept)]),
        exposure=exposure,
        premultiplied=premultiplied,
        warnings=warnings,
    )


def _shown(masks: np.ndarray, threshold: float, source: Source) -> np.ndarray:
    """Indices of the frames in which there is a subject."""
    shown = np.flatnonzero(with_subject(masks, threshold))
    if not len(shown):
        raise UserError(
            f"No subject was found in {source.name}: try another background setting or a lower threshold."
        )
    return shown


def _crop(settings: ClipSettings, masks: np.ndarray, threshold: float, source: Source) -> Crop:
    if settings.framing == "keep":
        return whole_crop(source.width, source.height, source.name)
    if settings.framing == "whole":
        return enclosing_crop(source.width, source.height)
    return union_crop(masks, threshold, source.width, source.height)


def _cut_out(
    prepared: Prepared, shown: np.ndarray, matte: Matte, crop: Crop, size: int, on_frame: OnFrame
) -> np.ndarray:
    """The finished frames [F, S, S, 4] uint8, one source picture at a time."""
    source, survey, known = prepared.source, prepared.survey, prepared.memory
    chosen = {survey.indices[i]: int(i) for i in shown}
    states = {
        index: ("frame", frame, crop, size, matte.masks[frame].tobytes()) for index, frame in chosen.items()
    }
    kept = {index: known[state] for index, state in states.items() if state in known}
    missing = [index for index in chosen if index not in kept]

    def cut_out(read: tuple[int, np.ndarray]) -> tuple[int, np.ndarray]:
        index, picture = read
        window = window_of(crop, picture.shape[1], picture.shape[0])
        frame = chosen[index]
        colors, alpha = matte.cut_out(frame, survey.correct(frame, window.of(picture)), window)
        return index, resample(colors, alpha, window, crop, size)

    read = source.read(missing, min(1.0, _SHARPNESS * size / crop.side))
    for index, finished in parallel_map(cut_out, read):
        kept[index] = finished
        on_frame("Cutting out", len(kept), len(chosen), finished)
    if len(kept) != len(chosen):
        raise UserError(f"{source.name} changed while it was read: try again.")
    for state in [state for state in known if isinstance(state, tuple) and state[0] == "frame"]:
        del known[state]  # those of another crop or correction
    known.update({states[index]: frame for index, frame in kept.items()})
    return np.stack([kept[index] for index in chosen])


def _empty_warning(survey: Survey, shown: np.ndarray) -> list[str]:
    """Frames that show no subject."""
    empty = [label for i, label in enumerate(survey.labels) if i not in set(shown)]
    if not empty:
        return []
    return [
        f"No subject was found in {name_frames(empty)}: the clip goes on without, so the motion may jump "
        "there; choose start and end around it if it does."
    ]


def _subject_warnings(
    survey: Survey,
    shown: np.ndarray,
    matte: Matte,
    found: np.ndarray,
    threshold: float,
    settings: ClipSettings,
) -> list[str]:
    """What the survey shows of the subject that may spoil the result.

    Args:
        found: [F, h, w], the masks before any correction.
    """
    if settings.background == "none":
        return []
    warnings = [finding.sentence(survey.labels) for finding in matte.findings]
    masks, labels = matte.masks[shown], [survey.labels[i] for i in shown]
    pictures = survey.pictures[shown, ..., :3]
    warnings += border_warning(masks[:, matte.inside[0], matte.inside[1]], threshold, labels)
    warnings += jump_warning(masks, threshold, labels)
    warnings += brightness_warning(pictures, masks, threshold, labels)
    if matte.name == "u2netp":  # a plain background has no texture that could show motion
        moving = np.maximum(masks, found[shown])  # what was dropped may move as well
        warnings += camera_warning(pictures, moving, threshold, labels)
    return warnings
