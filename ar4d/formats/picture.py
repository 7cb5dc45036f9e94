"""A still picture of an asset: one moment, seen from one side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ar4d.asset import Asset4D
from ar4d.cameras import FOV_Y_DEG, RADIUS
from ar4d.errors import UserError
from ar4d.formats import paths
from ar4d.formats.camera_path import MAX_FOV_DEG, MIN_FOV_DEG, CameraKey, camera_of
from ar4d.formats.encoders import encode_png
from ar4d.formats.frames import Background, Mode, check_size, render_views


@dataclass(frozen=True)
class PictureOptions:
    """What a picture of an asset shows."""

    time: float = 0.0
    """The moment in [0, 1] of the clip."""

    azimuth_deg: float = 0.0
    """Where the camera stands; 0 is the view of the clip."""

    elevation_deg: float = 0.0
    """Positive is above."""

    radius: float = RADIUS
    """Distance of the camera from the point that it looks at, world units."""

    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The point that the camera looks at."""

    fov_y_deg: float = FOV_Y_DEG
    """Vertical field of view, degrees."""

    size: int = 1024
    """Height in pixels."""

    width: int | None = None
    """Width in pixels; the height's if not given."""

    mode: Mode = "rgb"
    """rgb; depth, white is near; alpha, the coverage."""

    background: Background = "transparent"
    """transparent, white, black or a colour as #3366ff."""


def export_picture(asset: Asset4D, out: Path, options: PictureOptions) -> list[Path]:
    """Renders one PNG picture into the file `out`."""
    paths.single_file(out, ".png")
    width = options.size if options.width is None else options.width
    check_size(width, options.size)
    if not options.radius > 0 or not MIN_FOV_DEG <= options.fov_y_deg <= MAX_FOV_DEG:
        raise UserError(
            f"A camera needs a radius above 0 and a field of view from {MIN_FOV_DEG:g} to {MAX_FOV_DEG:g} "
            f"degrees, not {options.radius:g} and {options.fov_y_deg:g}."
        )
    view = CameraKey(
        options.azimuth_deg, options.elevation_deg, options.radius, options.target, options.fov_y_deg
    )
    (image,) = render_views(
        asset, [options.time], [camera_of(view, width, options.size)],
        radius=options.radius, mode=options.mode, background=options.background,
    )  # fmt: skip
    return [paths.write(out, encode_png(image))]
