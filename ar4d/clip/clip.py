"""A clip: the subject of a video as RGBA frames in the reference camera."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from ar4d.clip.framing import Crop, enclosing_crop, resample, union_crop, whole_crop, window_of
from ar4d.clip.matting import Background, Matte, Salient, choose_matte
from ar4d.clip.pictures import STILL_FPS
from ar4d.clip.screening import (
    border_warning,
    camera_warning,
    jump_warning,
    name_frames,
    size_warning,
    with_subject,
)
from ar4d.clip.sources import Source, choose_frames, open_source
from ar4d.errors import UserError
from ar4d.files import atomic, write_text

MAX_SIZE = 2048  # pixels of a clip's side

_SURVEY_SIDE = 512  # pixels of the small pictures in which the subject is found
_SHARPNESS = 2.0  # source pixels per pixel of the clip that are looked at, at most


@dataclass(frozen=True)
class ClipSettings:
    start: float | None = None
    """Where the clip begins in the source, in seconds (default: at its first frame)."""
    end: float | None = None
    """Where it ends, in seconds (default: at its last frame)."""
    num_frames: int = 24
    """How many frames to take, evenly spaced in time, the first and the last included."""
    framing: Literal["union", "keep", "whole"] = "union"
    """union: one square around everything the subject covers; keep: the clip is framed already; whole: the
    whole picture, with transparent bars where it is not square."""
    background: Background = "auto"
    """What to take for the background: auto tries alpha, then one plain colour, then matting by a network;
    none leaves the frames as they are."""
    threshold: float = 0.5
    """From which alpha on a pixel counts as the subject's, between 0 and 1."""
    largest_component: bool = True
    """Drop whatever does not hang together with the subject (never applied to a clip's own alpha)."""
    fps: float | None = None
    """Frames per second of the source, in place of what the file says (a folder of images: 10)."""

    def of_scene(self) -> ClipSettings:
        """The same for a scene, of which nothing is cut away."""
        framing = "whole" if self.framing == "union" else self.framing
        return dataclasses.replace(self, framing=framing, background="none")


@dataclass(frozen=True, eq=False)
class Clip:
    """RGBA frames of one subject, all in the same square."""

    frames: np.ndarray  # [F, S, S, 4] uint8, straight alpha, colour 0 where alpha is 0
    fps: float  # of these frames
    crop: Crop
    source: str  # name of the file or folder
    matting: str  # how the subject was cut out: "alpha", "plain background", "u2netp" or "none"
    warnings: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        return self.frames.shape[0]

    @property
    def size(self) -> int:
        """S, the side of the square in pixels."""
        return self.frames.shape[1]

    def rgb_on_white(self) -> Tensor:
        """[F, S, S, 3] float32 in [0, 1]."""
        alpha = self.alpha()[..., None]
        return torch.from_numpy(self.frames[..., :3].astype(np.float32) / 255) * alpha + (1 - alpha)

    def alpha(self) -> Tensor:
        """[F, S, S] float32 in [0, 1]."""
        return torch.from_numpy(self.frames[..., 3].astype(np.float32) / 255)

    def save(self, folder: Path) -> None:
        """Writes 0000.png, 0001.png, ... and, last of all, clip.json. A clip that was there is replaced."""
        (folder / "clip.json").unlink(missing_ok=True)
        for index, frame in enumerate(self.frames):
            with atomic(folder / f"{index:04d}.png") as unfinished:
                Image.fromarray(frame).save(unfinished, format="PNG")
        for leftover in folder.glob("[0-9][0-9][0-9][0-9].png"):
            if int(leftover.stem) >= self.num_frames:
                leftover.unlink()
        facts = {
            "num_frames": self.num_frames,
            "size": self.size,
            "fps": self.fps,
            "crop": dataclasses.asdict(self.crop),
            "source": self.source,
            "matting": self.matting,
            "warnings": list(self.warnings),
        }
        write_text(folder / "clip.json", json.dumps(facts, indent=2, ensure_ascii=False))

    @staticmethod
    def load(folder: Path) -> Clip:
        """Reads what `save` wrote.

        Raises:
            UserError: the folder holds no clip, or one that is damaged.
        """
        if not (folder / "clip.json").is_file():
            raise UserError(f"{folder} holds no finished clip: there is no clip.json in it.")
        try:
            facts = json.loads((folder / "clip.json").read_text(encoding="utf-8"))
            frames = np.empty((facts["num_frames"], facts["size"], facts["size"], 4), np.uint8)
            for index in range(len(frames)):
                with Image.open(folder / f"{index:04d}.png") as image:
                    frames[index] = np.asarray(image)
            crop = Crop(**facts["crop"])
            warnings = tuple(facts["warnings"])
            return Clip(frames, facts["fps"], crop, facts["source"], facts["matting"], warnings)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"The clip in {folder} is damaged ({error}): make it again.") from error


def load_clip(path: Path, settings: ClipSettings, size: int) -> Clip:
    """Cuts the subject out of a video and puts it into the reference camera's square.

    The source is read twice: a survey of small pictures tells the subject from the background and where
    the square lies; then that part alone is read at the sharpness that the clip needs.

    Args:
        path: a video, GIF, WebP, APNG, image or a folder of images.
        size: S, side of the frames in pixels.

    Raises:
        UserError: the source or a setting cannot be used; the sentence says why.
    """
    _check(settings, size)
    source = open_source(path, settings.fps)
    wanted = choose_frames(source, settings.start, settings.end, settings.num_frames)
    indices, survey = _survey(source, wanted)
    matte = choose_matte(
        survey, settings.background, settings.threshold, settings.largest_component, source.name
    )
    shown = _shown(matte.masks, settings, source)
    crop = _crop(settings, matte.masks[shown], source)
    frames = _cut_out(source, indices, shown, matte, crop, size)
    times = source.times[[indices[i] for i in shown]]
    return Clip(
        frames=frames,
        fps=(len(times) - 1) / float(times[-1] - times[0]) if len(times) > 1 else settings.fps or STILL_FPS,
        crop=crop,
        source=source.name,
        matting=matte.name,
        warnings=(
            *_source_warnings(source, wanted, indices, shown),
            *_subject_warnings(source, indices, shown, survey, matte, settings),
            *size_warning(crop, size),
        ),
    )


def _crop(settings: ClipSettings, masks: np.ndarray, source: Source) -> Crop:
    if settings.framing == "keep":
        return whole_crop(source.width, source.height, source.name)
    if settings.framing == "whole":
        return enclosing_crop(source.width, source.height)
    return union_crop(masks, settings.threshold, source.width, source.height)


def _check(settings: ClipSettings, size: int) -> None:
    if not 1 <= size <= MAX_SIZE:
        raise UserError(f"The clip's size must lie between 1 and {MAX_SIZE} pixels, not {size}.")
    if not (math.isfinite(settings.threshold) and 0 < settings.threshold < 1):
        raise UserError(f"The threshold must lie between 0 and 1, not {settings.threshold}.")


def _survey(source: Source, wanted: Sequence[int]) -> tuple[list[int], np.ndarray]:
    """Small pictures [F, h, w, 4] of the wanted frames, and the indices of those that can be read."""
    scale = min(1.0, _SURVEY_SIDE / max(source.width, source.height))
    found = list(source.read(wanted, scale))
    if not found:
        raise UserError(
            f"None of the chosen frames of {source.name} can be decoded: the file may be damaged."
        )
    return [index for index, _ in found], np.stack([picture for _, picture in found])


def _shown(masks: np.ndarray, settings: ClipSettings, source: Source) -> np.ndarray:
    """Indices of the frames in which there is a subject."""
    shown = np.flatnonzero(with_subject(masks, settings.threshold))
    if not len(shown):
        raise UserError(
            f"No subject was found in {source.name}: try another background setting or a lower threshold."
        )
    return shown


def _cut_out(
    source: Source, indices: Sequence[int], shown: np.ndarray, matte: Matte, crop: Crop, size: int
) -> np.ndarray:
    """The finished frames [F, S, S, 4] uint8, one source picture at a time."""
    chosen = {indices[i]: int(i) for i in shown}
    frames = []
    for index, picture in source.read(list(chosen), min(1.0, _SHARPNESS * size / crop.side)):
        window = window_of(crop, picture.shape[1], picture.shape[0])
        colors, alpha = matte.cut_out(chosen[index], window.of(picture), window)
        frames.append(resample(colors, alpha, window, crop, size))
    if len(frames) != len(chosen):
        raise UserError(f"{source.name} changed while it was read: try again.")
    return np.stack(frames)


def _source_warnings(
    source: Source, wanted: Sequence[int], indices: Sequence[int], shown: np.ndarray
) -> list[str]:
    """Frames that are damaged or empty, and what reading the source brought to light."""
    warnings = list(source.warnings)
    lost = [source.label(index) for index in wanted if index not in set(indices)]
    if lost:
        warnings.append(f"{source.name} is damaged: it is used without {name_frames(lost)}.")
    empty = [source.label(index) for i, index in enumerate(indices) if i not in set(shown)]
    if empty:
        warnings.append(
            f"No subject is to be seen in {name_frames(empty)}: the clip goes on without, so the motion may "
            "jump there; better choose start and end around it."
        )
    return warnings


def _subject_warnings(
    source: Source,
    indices: Sequence[int],
    shown: np.ndarray,
    survey: np.ndarray,
    matte: Matte,
    settings: ClipSettings,
) -> list[str]:
    """What the survey shows of the subject that may spoil the result."""
    if settings.background == "none":
        return []
    masks, labels = matte.masks[shown], [source.label(indices[i]) for i in shown]
    warnings = border_warning(masks, settings.threshold, labels)
    warnings += jump_warning(masks, settings.threshold, labels)
    if isinstance(matte, Salient):  # a plain background has no texture that could show motion
        warnings += camera_warning(survey[shown, ..., :3], masks, settings.threshold, labels)
    return warnings


def cutout_preview(clip: Clip) -> np.ndarray:
    """A contact sheet [h, w, 3] uint8: the frames over a checkerboard, the mask's outline in red."""
    size, columns = clip.size, math.ceil(math.sqrt(clip.num_frames))
    square = max(4, size // 32)
    rows_odd, columns_odd = np.indices((size, size)) // square % 2
    checks = np.where(rows_odd == columns_odd, 200, 140).astype(np.float32)[..., None]
    sheet = np.full((math.ceil(clip.num_frames / columns) * size, columns * size, 3), 255, np.uint8)
    for index, frame in enumerate(clip.frames):
        alpha = frame[..., 3:].astype(np.float32) / 255
        tile = frame[..., :3] * alpha + checks * (1 - alpha)
        inside = frame[..., 3] >= 128
        tile[inside & ~np.asarray(ndimage.binary_erosion(inside, border_value=1), bool)] = (230, 30, 30)
        row, column = divmod(index, columns)
        sheet[row * size : (row + 1) * size, column * size : (column + 1) * size] = tile.round()
    return sheet
