"""A clip: the subject of a video as RGBA frames in the reference camera."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from PIL import Image
from scipy import ndimage
from torch import Tensor

from ar4d.clip.corrections import Corrections
from ar4d.clip.framing import Crop
from ar4d.clip.matting import Background, subject_opacity
from ar4d.clip.streamed import StreamedFrames
from ar4d.errors import UserError
from ar4d.files import atomic, write_text
from ar4d.images import on_white, to_float


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
    """From which alpha on a pixel counts as the subject's, between 0 and 1; of a see-through subject, in
    shares of its own opacity."""
    largest_component: bool = True
    """Drop whatever does not hang together with the subject (never applied to a clip's own alpha)."""
    subject: tuple[float, float] | None = None
    """Where the subject is in the first frame, as shares of the picture's width (from the left) and height
    (from the top), to choose it among several things."""
    fps: float | None = None
    """Frames per second of the source, in place of what the file says (a folder of images: 10)."""
    canonical: Literal["auto"] | int = 0
    """Index, counted from 0, of the clip's frame that stage 1 lifts and from which the others are generated
    forwards and backwards; auto takes the sharpest, most complete, least occluded, best lit frame."""
    corrections: Annotated[Corrections, tyro.conf.Suppress] = dataclasses.field(
        default=Corrections(), metadata={"options": ("--keep", "--drop", "--box")}
    )
    """Places to keep or to drop and boxes, each in one frame; optical flow carries them through the clip. On
    the command line: --keep FRAME:X,Y, --drop FRAME:X,Y and --box FRAME:LEFT,TOP,RIGHT,BOTTOM."""

    def of_scene(self) -> ClipSettings:
        """The same for a scene, of which nothing is cut away."""
        framing = "whole" if self.framing == "union" else self.framing
        return dataclasses.replace(self, framing=framing, background="none", corrections=Corrections())


@dataclass(frozen=True, eq=False)
class Clip:
    """RGBA frames of one subject, all in the same square."""

    frames: np.ndarray  # [F, S, S, 4] uint8, straight alpha, colour 0 where alpha is 0
    fps: float  # of these frames
    crop: Crop
    source: str  # name of the file or folder
    matting: str  # how the subject was cut out: "alpha", "plain background", "u2netp" or "none"
    warnings: tuple[str, ...]
    canonical: int = 0  # index of the frame that stage 1 lifts
    canonical_reason: str = ""  # one sentence; empty where the first frame was taken without a choice

    @property
    def order(self) -> tuple[int, ...]:
        """The frames' indices in the order of their generation: see `generation_order`."""
        return generation_order(self.num_frames, self.canonical)

    @property
    def num_frames(self) -> int:
        return self.frames.shape[0]

    @property
    def size(self) -> int:
        """S, the side of the square in pixels."""
        return self.frames.shape[1]

    def rgb_on_white(self) -> Tensor:
        """[F, S, S, 3] float32 in [0, 1]."""
        return torch.from_numpy(on_white(to_float(self.frames)))

    def streamed_rgba(self, device: torch.device) -> StreamedFrames:
        """Frames [S, S, 4] float32 in [0, 1], straight alpha; the last one is kept, for they come in turn."""
        return StreamedFrames(self.frames, to_float, device, kept_bytes=0)

    def streamed_on_white(self, device: torch.device) -> StreamedFrames:
        """Frames [S, S, 3] of `rgb_on_white`."""
        return StreamedFrames(self.frames, lambda frame: on_white(to_float(frame)), device)

    def alpha(self) -> Tensor:
        """[F, S, S] float32 in [0, 1]."""
        return torch.from_numpy(to_float(self.frames[..., 3]))

    @property
    def opacity(self) -> float:
        """How opaque the subject is, in (0, 1]: less than 1 for glass, smoke or a jellyfish."""
        return subject_opacity(self.frames[..., 3])

    def save(self, folder: Path) -> None:
        """Write 0000.png, 0001.png, ... and, last of all, clip.json. A clip that was there is replaced."""
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
            "canonical": self.canonical,
            "canonical_reason": self.canonical_reason,
        }
        write_text(folder / "clip.json", json.dumps(facts, indent=2, ensure_ascii=False))

    @staticmethod
    def load(folder: Path) -> Clip:
        """Read what `save` wrote.

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
            canonical, reason = facts.get("canonical", 0), facts.get("canonical_reason", "")
            generation_order(len(frames), canonical)
            return Clip(
                frames, facts["fps"], crop, facts["source"], facts["matting"], warnings, canonical, reason
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"The clip in {folder} is damaged ({error}): make it again.") from error


def generation_order(num_frames: int, canonical: int) -> tuple[int, ...]:
    """The order in which frames are generated: the canonical one, those after it, those before it.

    Every frame but the canonical one follows its neighbour on the canonical frame's side.

    Args:
        num_frames: F, length of the clip.
        canonical: index of the canonical frame.

    Raises:
        ValueError: there is no frame of that index.
    """
    if not 0 <= canonical < num_frames:
        raise ValueError(f"frame {canonical} of {num_frames} cannot be the canonical one")
    return (*range(canonical, num_frames), *range(canonical - 1, -1, -1))


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
