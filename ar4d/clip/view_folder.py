"""Views of a clip from other sides that were made elsewhere: a folder of videos becomes a `ViewGrid`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ar4d.clip.clip import Clip, ClipSettings
from ar4d.clip.corrections import Corrections
from ar4d.clip.framing import Crop, enclosing_crop, resample, window_of
from ar4d.clip.loading import MAX_SIZE, load_clip
from ar4d.errors import UserError
from ar4d.images import to_float
from ar4d.views import SAME_AZIMUTH_DEG, ViewGrid

TRUST = 0.5
"""Trust in a view that was made elsewhere, relative to the clip."""
RECORD = "views.json"
_AZIMUTH = re.compile(r"([-+]?\d+(?:\.\d+)?)(?:deg|°)?$", re.IGNORECASE)


def read_views(folder: Path, clip: Clip, settings: ClipSettings, elevation_deg: float = 0.0) -> ViewGrid:
    """Views of a clip from a folder, cut out and framed as the clip is.

    The folder holds one video (or folder of pictures) per view, of the clip's own size and length. Its
    azimuth is the number at the end of its name, in degrees and positive to the camera's right
    (`090.mp4`, `view_-75.mp4`), or stands in `views.json`: {"left.mp4": -90, "back.mp4": 180}. A folder
    that `ViewGrid.save` wrote is read as it is.

    Args:
        clip: the clip that the views belong to.
        settings: with which the clip was read; its background and its part of the time are used again.
        elevation_deg: of all cameras.

    Raises:
        UserError: a view is missing, cannot be read, has another size or length, or no azimuth.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; --views takes one with a video for each azimuth.")
    saved = _record(folder)
    if isinstance(saved.get("azimuths_deg"), list):
        grid = ViewGrid.load(folder)
        _require_frames(folder.name, grid.num_frames, clip)
        return grid
    paths = _azimuths(folder, saved)
    rows = [clip.frames, *(_view(path, clip, settings) for path in paths.values())]
    count, trust = len(rows), torch.full((len(rows), clip.num_frames), TRUST)
    trust[0] = 1.0
    return ViewGrid(
        torch.from_numpy(to_float(np.stack(rows))),
        torch.tensor([0.0, *paths]),
        torch.full((count,), elevation_deg),
        trust,
    )


def _record(folder: Path) -> dict:
    path = folder / RECORD
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
    if not isinstance(record, dict):
        raise UserError(f'{path} is not an object of names and azimuths, such as {{"left.mp4": -90}}.')
    return record


def _azimuths(folder: Path, record: dict) -> dict[float, Path]:
    """The views by azimuth, without those of the clip itself.

    Raises:
        UserError: there are none, two have one azimuth, or a name has none.
    """
    named = sorted(path for path in folder.iterdir() if path.name != RECORD and not path.name.startswith("."))
    if record:
        missing = [name for name in record if not (folder / name).exists()]
        if missing:
            raise UserError(f"{folder / RECORD} names {missing[0]}, which is not there.")
        named = [folder / name for name in record]
    views: dict[float, Path] = {}
    for path in named:
        azimuth = _azimuth(path, record)
        if abs(azimuth) <= SAME_AZIMUTH_DEG:
            continue  # the clip's own view
        if azimuth in views:
            raise UserError(f"{views[azimuth].name} and {path.name} have one azimuth, {azimuth:g}°.")
        views[azimuth] = path
    if not views:
        raise UserError(f"{folder} holds no view from another side; name each by its azimuth, as 090.mp4.")
    return views


def _azimuth(path: Path, record: dict) -> float:
    """Degrees in (-180, 180]."""
    found = _AZIMUTH.search(path.stem)
    value = record.get(path.name, found and found.group(1))
    try:
        degrees = float(value)  # type: ignore[arg-type] (None is refused below)
    except (TypeError, ValueError):
        degrees = math.nan
    if not math.isfinite(degrees):
        raise UserError(
            f"{path} has no azimuth: let its name end with it in degrees, as 090{path.suffix}, or write it "
            f"into {RECORD}."
        )
    return 180 - (180 - degrees) % 360


def _view(path: Path, clip: Clip, settings: ClipSettings) -> np.ndarray:
    """[F, S, S, 4] uint8, in the clip's own square."""
    crop = clip.crop
    around = enclosing_crop(crop.source_width, crop.source_height)
    size = min(MAX_SIZE, math.ceil(clip.size * around.side / crop.side))
    whole = load_clip(path, replace(settings, framing="whole", subject=None, corrections=Corrections()), size)
    width, height = whole.crop.source_width, whole.crop.source_height
    if (width, height) != (crop.source_width, crop.source_height):
        raise UserError(
            f"{path.name} is {width}×{height} pixels large and the clip {crop.source_width}×"
            f"{crop.source_height}: make the views at the clip's size."
        )
    _require_frames(path.name, whole.num_frames, clip)
    scale = size / around.side
    square = Crop((crop.x - around.x) * scale, (crop.y - around.y) * scale, crop.side * scale, size, size)
    window = window_of(square, size, size)
    frames = to_float(whole.frames)
    return np.stack(
        [resample(window.of(f[..., :3]), window.of(f[..., 3]), window, square, clip.size) for f in frames]
    )


def _require_frames(name: str, num_frames: int, clip: Clip) -> None:
    if num_frames != clip.num_frames:
        raise UserError(
            f"{name} shows {num_frames} frames and the clip {clip.num_frames}: "
            "make the views of the same part of the same clip."
        )
