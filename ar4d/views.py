"""A clip seen from several azimuths: what clip-to-views experts make and multi-view engines fit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ar4d.errors import UserError
from ar4d.files import atomic, write_text
from ar4d.images import premultiply, to_uint8, unpremultiply

SAME_AZIMUTH_DEG = 0.5
BEGUN = "begun.json"


@dataclass(frozen=True, eq=False)
class ViewGrid:
    """V views of F frames. Row 0 is the clip itself.

    Raises:
        UserError: the shapes do not fit together, or row 0 is not at azimuth 0.
    """

    rgba: Tensor
    """[V, F, S, S, 4] in [0, 1], straight alpha."""
    azimuths_deg: Tensor
    """[V], the first is 0; positive is to the camera's right (see `cameras`)."""
    elevations_deg: Tensor
    """[V], positive is above."""
    trust: Tensor
    """[V, F] in [0, 1]: 1 for the clip, elsewhere what the source says of its own views."""

    def __post_init__(self) -> None:
        if self.rgba.ndim != 5 or self.rgba.shape[-1] != 4 or self.rgba.shape[2] != self.rgba.shape[3]:
            raise UserError(f"A view grid is [V, F, S, S, 4], not {list(self.rgba.shape)}.")
        views, frames = self.rgba.shape[:2]
        for name, tensor, shape in (
            ("azimuths_deg", self.azimuths_deg, (views,)),
            ("elevations_deg", self.elevations_deg, (views,)),
            ("trust", self.trust, (views, frames)),
        ):
            if tuple(tensor.shape) != shape:
                raise UserError(
                    f"{name} of a view grid of {views} views and {frames} frames is {list(shape)}, "
                    f"not {list(tensor.shape)}."
                )
        if abs(float(self.azimuths_deg[0])) > SAME_AZIMUTH_DEG:
            raise UserError(
                "The first row of a view grid is the clip itself, at azimuth 0, "
                f"not {float(self.azimuths_deg[0]):g}."
            )

    @property
    def num_views(self) -> int:
        return self.rgba.shape[0]

    @property
    def num_frames(self) -> int:
        return self.rgba.shape[1]

    @property
    def size(self) -> int:
        """Width and height in pixels."""
        return self.rgba.shape[2]

    def row(self, azimuth_deg: float) -> int | None:
        """The index of the view at an azimuth (modulo 360), or None if the grid has none there."""
        distance = ((self.azimuths_deg - azimuth_deg + 180) % 360 - 180).abs()
        nearest = int(distance.argmin())
        return nearest if float(distance[nearest]) <= SAME_AZIMUTH_DEG else None

    def at(self, view: int, frame: int, size: int) -> Tensor:
        """[size, size, 4] straight alpha; resized as premultiplied light where `size` differs."""
        picture = self.rgba[view, frame]
        if size == self.size:
            return picture
        light = premultiply(picture).permute(2, 0, 1)[None]
        if size < self.size:
            light = F.interpolate(light, size=(size, size), mode="area")
        else:
            light = F.interpolate(light, size=(size, size), mode="bilinear", align_corners=False)
        return unpremultiply(light[0].permute(1, 2, 0))

    def to(self, device: torch.device | str) -> ViewGrid:
        return ViewGrid(
            self.rgba.to(device),
            self.azimuths_deg.to(device),
            self.elevations_deg.to(device),
            self.trust.to(device),
        )

    def save(self, folder: Path) -> None:
        """Writes `views.json` and one lossless picture per view and frame, `VV/FFFF.png`."""
        pictures = to_uint8(self.rgba)
        for view, frames in enumerate(pictures):
            for frame, picture in enumerate(frames):
                with atomic(_picture_path(folder, view, frame)) as path:
                    Image.fromarray(picture).save(path, format="PNG")
        record = {
            "azimuths_deg": self.azimuths_deg.tolist(),
            "elevations_deg": self.elevations_deg.tolist(),
            "trust": self.trust.tolist(),
            "num_frames": self.num_frames,
        }
        write_text(folder / "views.json", json.dumps(record, indent=1))
        (folder / BEGUN).unlink(missing_ok=True)

    @staticmethod
    def load(folder: Path) -> ViewGrid:
        """Reads what `save` wrote.

        Raises:
            UserError: the record or a picture is missing, unreadable or does not fit.
        """
        try:
            record = json.loads((folder / "views.json").read_text(encoding="utf-8"))
            views, frames = len(record["azimuths_deg"]), int(record["num_frames"])
            azimuths, elevations, trust = (
                torch.tensor(record[key], dtype=torch.float32)
                for key in ("azimuths_deg", "elevations_deg", "trust")
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{folder / 'views.json'} is not a record of views ({error}).") from error
        pictures = [[_read_picture(_picture_path(folder, v, f)) for f in range(frames)] for v in range(views)]
        if len({picture.shape for row in pictures for picture in row}) > 1:
            raise UserError(f"The pictures in {folder} differ in size; make the views again.")
        rgba = torch.from_numpy(np.array(pictures)).float() / 255
        return ViewGrid(rgba, azimuths, elevations, trust)


def save_begun(folder: Path, azimuths_deg: tuple[float, ...], start: int, rgba: Tensor) -> None:
    """Writes views of some frames while others are still to come; `ViewGrid.save` ends it.

    Args:
        azimuths_deg: of the V views, without the clip's own.
        start: the first of the frames.
        rgba: [V, frames, S, S, 4].
    """
    for view, frames in enumerate(to_uint8(rgba), start=1):
        for frame, picture in enumerate(frames, start=start):
            with atomic(_picture_path(folder, view, frame)) as path:
                Image.fromarray(picture).save(path, format="PNG")
    record = {"azimuths_deg": list(azimuths_deg), "num_frames": start + rgba.shape[1]}
    write_text(folder / BEGUN, json.dumps(record))


def load_begun(folder: Path) -> tuple[tuple[float, ...], Tensor] | None:
    """What `save_begun` wrote: azimuths, and views [V, K, S, S, 4] of the first K frames; None: nothing.

    Raises:
        UserError: the record or a picture is unreadable.
    """
    path = folder / BEGUN
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        azimuths = tuple(float(azimuth) for azimuth in record["azimuths_deg"])
        count = int(record["num_frames"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a record of views ({error}); delete it.") from error
    rows = [
        [_read_picture(_picture_path(folder, view, frame)) for frame in range(count)]
        for view in range(1, len(azimuths) + 1)
    ]
    return azimuths, torch.from_numpy(np.array(rows)).float() / 255


def _picture_path(folder: Path, view: int, frame: int) -> Path:
    return folder / f"{view:02d}" / f"{frame:04d}.png"


def _read_picture(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGBA"))
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path} cannot be read ({error}); make the views again.") from error
