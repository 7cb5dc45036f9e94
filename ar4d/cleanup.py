"""Splats that do not belong to the subject, chosen by hand and left out in all frames at once.

A `Cleanup` is a list of edits, each of which names Gaussians to delete: those inside an outline drawn in a
picture of the asset, or those that stay faint in every frame. It holds no Gaussians itself, so the original
asset stays as it is, the last edit can be undone, and the same edits can be repeated from a file.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor

from ar4d.asset import Asset4D, DeformedGaussians, FrameSequence, frame_time
from ar4d.cameras import FOV_Y_DEG, Cameras, intrinsics
from ar4d.deformation import NodeField
from ar4d.errors import UserError
from ar4d.gaussians import Gaussians
from ar4d.parameters import Parameters
from ar4d.records import adapter, first_problem

MAX_CORNERS = 2000
Fraction = Annotated[float, Field(ge=-1, le=2)]


@dataclass(frozen=True)
class Outline:
    """The Gaussians whose centres lie inside a polygon in a picture of the asset, at whatever depth."""

    polygon: tuple[tuple[Fraction, Fraction], ...]
    """Corners as fractions of the picture's width and height, from its upper left corner."""

    viewmat: Annotated[tuple[float, ...], Field(min_length=16, max_length=16)]
    """World to camera, row by row, OpenCV's axes."""

    fov_y_deg: Annotated[float, Field(gt=1, lt=170)] = FOV_Y_DEG
    """Vertical field of view."""

    aspect: Annotated[float, Field(gt=0.05, lt=20)] = 1.0
    """Width of the picture over its height."""

    time: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The moment that the picture shows."""

    outside: bool = False
    """Takes the Gaussians outside the polygon instead."""

    kind: Literal["outline"] = "outline"


@dataclass(frozen=True)
class Faint:
    """The Gaussians whose opacity stays below a threshold in every frame of the clip."""

    opacity: Annotated[float, Field(gt=0, le=1)]

    kind: Literal["faint"] = "faint"


Edit = Annotated[Outline | Faint, Field(discriminator="kind")]


@dataclass(frozen=True)
class Cleanup:
    """Edits in the order in which they were made; each refers to the Gaussians of the original asset."""

    edits: tuple[Edit, ...] = ()

    def with_edit(self, edit: Outline | Faint) -> Cleanup:
        """The same edits and one more."""
        return Cleanup((*self.edits, edit))

    def undone(self) -> Cleanup:
        """The edits without the last one.

        Raises:
            UserError: there is none.
        """
        if not self.edits:
            raise UserError("There is no clean-up to undo; the result is as it was made.")
        return Cleanup(self.edits[:-1])

    def to_json(self) -> str:
        """A JSON text that `from_json` reads."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def from_json(text: str, name: str = "The clean-up") -> Cleanup:
        """The clean-up of a JSON text.

        Args:
            name: what a message calls it.

        Raises:
            UserError: the text is no clean-up.
        """
        try:
            return adapter(Cleanup).validate_json(text)
        except ValidationError as error:
            raise UserError(f"{name} cannot be read: {first_problem(error)}.") from error

    @staticmethod
    def load(path: Path) -> Cleanup:
        """The clean-up in a JSON file.

        Raises:
            UserError: the file is missing or holds something else.
        """
        try:
            return Cleanup.from_json(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise UserError(f"The clean-up {path} cannot be read ({error.strerror}).") from error


def parse_edit(values: Any) -> Outline | Faint:
    """One edit from the values of a JSON object, which may come from a stranger.

    Raises:
        UserError: the values are no edit.
    """
    try:
        return adapter(Edit).validate_python(values)
    except ValidationError as error:
        raise UserError(f"This selection cannot be read: {first_problem(error)}.") from error


def selected(asset: Asset4D, edit: Outline | Faint) -> Tensor:
    """Which Gaussians an edit names: [N] bool on the CPU.

    Raises:
        UserError: the outline has fewer than three corners or too many.
    """
    if isinstance(edit, Faint):
        count = asset.num_frames
        opacities = [asset.at(frame_time(k, count)).opacities for k in range(count)]
        return (torch.stack(opacities).amax(0) < edit.opacity).cpu()
    if not 3 <= len(edit.polygon) <= MAX_CORNERS:
        raise UserError(
            f"A selection needs an outline of 3 to {MAX_CORNERS} corners, not {len(edit.polygon)}; "
            "draw it again."
        )
    points = _projected(asset.at(edit.time), edit)
    inside = torch.from_numpy(_inside(points, np.array(edit.polygon, float)))
    return ~inside if edit.outside else inside


def kept(asset: Asset4D, cleanup: Cleanup) -> Tensor:
    """Which Gaussians of the original asset a clean-up leaves: [N] bool on the CPU.

    Raises:
        UserError: it would leave none.
    """
    gone = torch.zeros(len(asset.at(0.0)), dtype=torch.bool)
    for edit in cleanup.edits:
        gone |= selected(asset, edit)
    if bool(gone.all()):
        raise UserError(
            f"This would delete all {len(gone):,} splats and leave nothing to show; select fewer of them."
        )
    return ~gone


def clean(asset: Asset4D, cleanup: Cleanup) -> Asset4D:
    """The asset without the Gaussians that a clean-up deletes, in all frames; `asset` stays as it is.

    Raises:
        UserError: nothing would be left, or the asset is of a kind that cannot be cut.
    """
    return select(asset, kept(asset, cleanup))


def select(asset: Asset4D, keep: Tensor) -> Asset4D:
    """The asset with the Gaussians where the mask `keep` [N] is true, in all frames.

    Raises:
        UserError: the asset is of a kind that cannot be cut.
    """
    if isinstance(asset, FrameSequence):
        return FrameSequence(
            tuple(frame.select(keep.to(frame.means.device)) for frame in asset.frames), asset.fps
        )
    if isinstance(asset, DeformedGaussians):
        return _cut(asset, keep.to(asset.canonical.means.device))
    raise UserError(f"Splats of this kind of result ({type(asset).__name__}) cannot be deleted.")


def _cut(asset: DeformedGaussians, keep: Tensor) -> DeformedGaussians:
    canonical = asset.canonical
    parameters = Parameters(
        **{name: value[keep] for name, value in canonical.state().items()},
        sigmoid_colors=canonical.sigmoid_colors,
    )
    field = asset.field.select(keep) if isinstance(asset.field, NodeField) else asset.field
    return DeformedGaussians(parameters, field, asset.field_settings, asset.num_frames, asset.fps)


def _projected(gaussians: Gaussians, outline: Outline) -> np.ndarray:
    """[N, 2] places of the centres as fractions of the picture; NaN behind the camera."""
    viewmat = np.array(outline.viewmat, float).reshape(4, 4)
    means = gaussians.means.detach().cpu().double().numpy()
    x, y, z = (means @ viewmat[:3, :3].T + viewmat[:3, 3]).T
    z = np.where(z > 1e-6, z, np.nan)
    tangent = math.tan(math.radians(outline.fov_y_deg) / 2)
    return np.stack([0.5 + 0.5 * x / (z * tangent * outline.aspect), 0.5 + 0.5 * y / (z * tangent)], axis=1)


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """[N] whether each of [N, 2] points lies in a polygon [C, 2], by the even-odd rule."""
    inside = np.zeros(len(points), bool)
    x, y = points.T
    for (ax, ay), (bx, by) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if ay == by:
            continue
        crosses = (ay > y) != (by > y)
        inside ^= crosses & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return inside


def camera_of(outline: Outline, height: int) -> Cameras:
    """The camera that took an outline's picture, for a picture of `height` pixels."""
    width = max(1, round(height * outline.aspect))
    viewmat = torch.tensor(outline.viewmat, dtype=torch.float32).view(1, 4, 4)
    return Cameras(viewmat, intrinsics(height, outline.fov_y_deg, width)[None], width, height)
