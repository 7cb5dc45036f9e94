"""An `Asset4D` becomes files that other programs open.

`registry` lists every format; `export` writes one of them. `render_frames` and `write_frames` are the two
halves of a video, for those who want the pictures themselves.
"""

from __future__ import annotations

from ar4d.formats.camera_path import CameraKey, CameraPath
from ar4d.formats.encoders import write_frames
from ar4d.formats.frames import Background, Mode, render_frames, render_views
from ar4d.formats.mesh import GlbOptions, MeshOptions
from ar4d.formats.picture import PictureOptions
from ar4d.formats.player import PlayerOptions
from ar4d.formats.registry import FORMATS, Format, all_formats, export, find_format, register
from ar4d.formats.splats import FrameOptions, SplatOptions, SpzOptions
from ar4d.formats.usd import UsdOptions
from ar4d.formats.video import ClearVideoOptions, VideoOptions

__all__ = [
    "FORMATS",
    "Background",
    "CameraKey",
    "CameraPath",
    "ClearVideoOptions",
    "Format",
    "FrameOptions",
    "GlbOptions",
    "MeshOptions",
    "Mode",
    "PictureOptions",
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
    "render_views",
    "write_frames",
]
