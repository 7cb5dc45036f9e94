"""The objects of a benchmark: a folder each, with the clip in `input` and its ground truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ar4d.clip import Clip, ClipSettings, load_clip
from ar4d.clip.pictures import STILL_FPS
from ar4d.errors import UserError


def objects_of(views: Path, named: Sequence[str]) -> list[str]:
    """Names of the objects in a folder, or those of them in `named`, if there are any.

    Raises:
        UserError: the folder holds no object, or not a named one.
    """
    known = sorted(path.parent.name for path in views.glob("*/meta.json"))
    if not known:
        raise UserError(f"{views} holds no object: a folder with meta.json, input/ and views/.")
    require_known("object", named, known)
    return list(named) or known


def require_known(what: str, named: Sequence[str], known: Sequence[str]) -> None:
    """
    Raises:
        UserError: a name is not among the known ones.
    """
    unknown = [name for name in named if name not in known]
    if unknown:
        raise UserError(f'There is no {what} "{unknown[0]}"; choose from: {", ".join(known)}.')


def clip_of(folder: Path, frames: int, size: int, canonical: Literal["auto"] | int = 0) -> Clip:
    """The first `frames` pictures of a folder as a clip, resized to `size`.

    Args:
        canonical: the frame that generation starts from, or "auto".

    Raises:
        UserError: the folder is missing, holds fewer pictures, or one cannot be read.
    """
    pictures = len(list(folder.glob("*.png")))
    if pictures < frames:
        raise UserError(f"{folder} holds {pictures} pictures, but the true views have {frames}; complete it.")
    end = (frames - 0.5) / STILL_FPS  # pictures have no rate of their own
    settings = ClipSettings(framing="keep", num_frames=frames, end=end, canonical=canonical)
    return load_clip(folder, settings, size)
