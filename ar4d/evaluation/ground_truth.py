"""Ground truth of an object: what cameras around it really saw.

A folder with `meta.json`, in it `cameras` by name (`azimuth_deg`, `elevation_deg`, `size`, `K`
[3, 3], OpenCV `viewmat` [4, 4]) and optionally the number of `frames`; and
`views/<camera>/0000.png …`: RGBA with straight alpha, every camera at the same times. The camera at the
place of `input_camera` (at azimuth 0, elevation 0 where none is given) is the clip's own, the reference.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ar4d.asset import frame_time
from ar4d.cameras import Cameras
from ar4d.errors import UserError
from ar4d.images import on_white


@dataclass(frozen=True)
class View:
    """One camera and what it saw."""

    name: str
    azimuth_deg: float
    elevation_deg: float
    camera: Cameras  # of length 1
    rgba: Tensor  # [F, H, W, 4] in [0, 1], straight alpha

    @property
    def rgb(self) -> Tensor:  # [F, H, W, 3] on white
        return on_white(self.rgba)


@dataclass(frozen=True)
class GroundTruth:
    """The views of one object, all with the same F frames."""

    name: str
    views: tuple[View, ...]
    reference: str | None  # name of the view at the clip's own camera
    elevation_deg: float = 0.0  # of the clip's own camera

    @property
    def num_frames(self) -> int:
        return len(self.views[0].rgba)

    @property
    def times(self) -> list[float]:
        """When the frames are, in [0, 1]."""
        return [frame_time(k, self.num_frames) for k in range(self.num_frames)]

    def at(self, azimuth_deg: float) -> list[View]:
        """The views from that azimuth, at any elevation."""
        return [v for v in self.views if math.isclose((v.azimuth_deg - azimuth_deg + 180) % 360, 180)]


def read_ground_truth(folder: Path, num_frames: int | None = None) -> GroundTruth:
    """Reads an object's ground truth.

    Args:
        folder: laid out as described above.
        num_frames: how many frames to read, from the first one on; None: all.

    Raises:
        UserError: something is missing, unreadable or does not fit together.
    """
    meta = _read_meta(folder / "meta.json")
    views = tuple(_read_view(folder, name, entry) for name, entry in meta["cameras"].items())
    lengths = {v.name: len(v.rgba) for v in views}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise UserError(f"The views in {folder} differ in their number of frames ({counts}); complete them.")
    available = len(views[0].rgba)
    if meta.get("frames", available) != available:
        raise UserError(
            f"{folder / 'meta.json'} states {meta['frames']} frames, but its views have {available}; "
            "make them agree."
        )
    if num_frames is not None:
        if not 1 <= num_frames <= available:
            raise UserError(f"{folder} has {available} frames: ask for 1 to {available}, not {num_frames}.")
        views = tuple(replace(v, rgba=v.rgba[:num_frames]) for v in views)
    own = meta.get("input_camera", {})
    place = (own.get("azimuth_deg", 0) % 360, own.get("elevation_deg", 0))
    reference = [v.name for v in views if (v.azimuth_deg % 360, v.elevation_deg) == place]
    return GroundTruth(folder.name, views, reference[0] if reference else None, float(place[1]))


def read_rgba(path: Path) -> Tensor:
    """[H, W, 4] in [0, 1] of a picture that has an alpha channel.

    Raises:
        UserError: it is missing, cannot be read or has no alpha channel.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode != "RGBA":
                raise UserError(f"{path} is {picture.mode}, not RGBA; ground truth needs its alpha channel.")
            return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path} cannot be read as a picture ({error}); replace it.") from error


def _read_meta(path: Path) -> dict:
    try:
        meta = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); name a folder that holds ground truth.") from error
    if not isinstance(meta, dict) or not meta.get("cameras"):
        raise UserError(f"{path} names no cameras; add `cameras` with an entry for each folder in views/.")
    return meta


def _read_view(folder: Path, name: str, entry: dict) -> View:
    try:
        size = int(entry["size"])
        viewmat = torch.tensor(entry["viewmat"], dtype=torch.float32).reshape(1, 4, 4)
        K = torch.tensor(entry["K"], dtype=torch.float32).reshape(1, 3, 3)
        azimuth_deg, elevation_deg = float(entry["azimuth_deg"]), float(entry["elevation_deg"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"Camera {name} in {folder / 'meta.json'} is incomplete ({error!r}): it needs azimuth_deg, "
            "elevation_deg, size, K and viewmat."
        ) from error
    paths = sorted((folder / "views" / name).glob("*.png"))
    if not paths:
        raise UserError(
            f"There are no frames in {folder / 'views' / name}, which {folder / 'meta.json'} names."
        )
    frames = [read_rgba(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape[:2] != (size, size):
            raise UserError(
                f"{path} is {frame.shape[1]}×{frame.shape[0]} pixels, but its camera in meta.json is "
                f"{size}×{size}; make them agree."
            )
    rgba = torch.stack(frames)
    if rgba[..., 3].min() == 1:
        raise UserError(
            f"The frames in {folder / 'views' / name} are opaque everywhere; ground truth needs an alpha "
            "channel that is 0 beside the object."
        )
    return View(name, azimuth_deg, elevation_deg, Cameras(viewmat, K, size, size), rgba)
