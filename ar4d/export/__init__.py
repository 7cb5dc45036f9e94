"""An `Asset4D` becomes files that other programs open.

`formats` lists every format; `export` writes one of them. `render_frames` and `write_frames` are the two
halves of a video, for those who want the pictures themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ar4d.asset import Asset4D
from ar4d.export.encoders import write_frames
from ar4d.export.formats import FORMATS, Choice, Format, all_formats, export, find_format, register
from ar4d.export.frames import Background, Mode, render_frames
from ar4d.export.mesh import GlbOptions, MeshOptions
from ar4d.export.player import PlayerOptions
from ar4d.export.splats import FrameOptions, SplatOptions, SpzOptions
from ar4d.export.usd import UsdOptions
from ar4d.export.video import VideoOptions

__all__ = [
    "FORMATS",
    "Background",
    "Choice",
    "Format",
    "FrameOptions",
    "GlbOptions",
    "MeshOptions",
    "Mode",
    "PlayerOptions",
    "SplatOptions",
    "SpzOptions",
    "UsdOptions",
    "VideoOptions",
    "all_formats",
    "export",
    "find_format",
    "register",
    "render_frames",
    "write_frames",
]


class _CallablePackage(ModuleType):
    """This package is also the function `ar4d.export`: importing it puts it in the place of that name."""

    def __call__(self, asset: Asset4D, name: str, out: Path | str, options: Any = None) -> list[Path]:
        return export(asset, name, out, options)


sys.modules[__name__].__class__ = _CallablePackage
