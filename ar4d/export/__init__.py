"""An `Asset4D` becomes files that other programs open.

One file a family: `splats` (PLY, compressed PLY, SPZ), `video` (MP4, GIF), `player` (HTML), `mesh`
(GLB). `render_frames` and `write_frames` are the two halves of a video, for whoever wants images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from ar4d.asset import Asset4D
from ar4d.errors import UserError
from ar4d.export.encoders import write_frames
from ar4d.export.frames import Background, Mode, render_frames
from ar4d.export.mesh import MeshOptions, export_mesh
from ar4d.export.player import PlayerOptions, export_player
from ar4d.export.splats import SplatOptions, export_splats
from ar4d.export.video import VideoOptions, export_video

Format = Literal["ply", "compressed-ply", "spz", "mp4", "gif", "html", "glb"]
FORMATS: tuple[Format, ...] = get_args(Format)
Options = SplatOptions | VideoOptions | PlayerOptions | MeshOptions

_FAMILIES: dict[Format, type[Options]] = {
    "ply": SplatOptions,
    "compressed-ply": SplatOptions,
    "spz": SplatOptions,
    "mp4": VideoOptions,
    "gif": VideoOptions,
    "html": PlayerOptions,
    "glb": MeshOptions,
}

__all__ = [
    "FORMATS",
    "Background",
    "Format",
    "MeshOptions",
    "Mode",
    "Options",
    "PlayerOptions",
    "SplatOptions",
    "VideoOptions",
    "export",
    "options_of",
    "render_frames",
    "write_frames",
]


def options_of(format: str) -> type[Options]:
    """The option type of a format: its family's.

    Raises:
        UserError: there is no such format.
    """
    if format not in FORMATS:
        raise UserError(f'There is no format "{format}"; choose one of: {", ".join(FORMATS)}.')
    return _FAMILIES[format]


def export(asset: Asset4D, format: Format, out: Path, options: Options | None = None) -> list[Path]:
    """Writes `asset` in one of `FORMATS`; each file appears whole or not at all.

    Args:
        out: a file with the format's ending; for the splat formats a folder, which gets one file a
            frame, unless `SplatOptions.time` asks for a single one.
        options: of the type that `options_of` names; its defaults if not given.

    Returns:
        Every file that was written.

    Raises:
        UserError: no such format, a wrong ending, a folder that cannot be written to, a full disk,
            an option out of range, or Gaussians that are not finite.
    """
    family = options_of(format)
    options = family() if options is None else options
    match format, options:
        case "ply" | "compressed-ply" | "spz", SplatOptions():
            return export_splats(asset, format, out, options)
        case "mp4" | "gif", VideoOptions():
            return export_video(asset, format, out, options)
        case "html", PlayerOptions():
            return export_player(asset, out, options)
        case "glb", MeshOptions():
            return export_mesh(asset, out, options)
    raise TypeError(f"{format} takes {family.__name__}, not {type(options).__name__}")
