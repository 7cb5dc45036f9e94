"""A web page that plays the asset: one HTML file, opened from disk, without a network."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ar4d.asset import Asset4D, frame_time
from ar4d.clip import Clip
from ar4d.errors import UserError
from ar4d.formats import paths, timeline
from ar4d.formats.progress import track
from ar4d.gaussians import Gaussians
from ar4d.player import PAPER
from ar4d.player.page import PageText, standalone_page
from ar4d.player.pictures import poster, small_frames, webp
from ar4d.player.recording import Recording, encode
from ar4d.player.state import DEPTH_COLORS, extent

JUDGED = 6  # halves between key frames at which line and spline are compared


@dataclass(frozen=True)
class PlayerOptions:
    """What the page holds."""

    num_frames: int | None = None
    """Key frames, evenly spaced in time; the clip's own number if not given. The page interpolates between
    them. More follow fast motion more closely and make the page larger in proportion."""

    elevation_deg: float = 0.0
    """Of the camera of the clip, where the page starts; positive is above."""

    title: str = ""
    """Shown in the corner and as the title of the window."""

    input: Path | None = None
    """Folder of the clip's pictures, as a run holds it, which are shown beside the object."""

    theme: Literal["auto", "light", "dark"] = "auto"
    """Light or dark; auto follows the visitor's system."""


def export_player(asset: Asset4D, out: Path, options: PlayerOptions) -> list[Path]:
    """Writes the page's own player with a recording of the asset.

    Raises:
        UserError: as `export`, or `input` holds no clip.
    """
    paths.single_file(out, ".html")
    first = timeline.evaluate(asset, 0.0)
    inputs = small_frames(Clip.load(options.input).frames) if options.input else []
    picture = webp(poster(first, options.elevation_deg))
    text = PageText(
        title=options.title or "4D asset",
        home=PAPER,
        poster=f"data:image/webp;base64,{base64.b64encode(picture).decode()}",
        embed=True,
        theme="" if options.theme == "auto" else options.theme,
    )
    state = _state(asset, first, len(inputs), options.elevation_deg)
    page = standalone_page(text, record(asset, options.num_frames), state, inputs)
    return [paths.write(out, page.encode())]


def record(asset: Asset4D, num_frames: int | None = None) -> Recording:
    """Key frames of an asset, with the interpolation that comes nearer to it between them.

    Args:
        num_frames: as `PlayerOptions.num_frames`.

    Raises:
        UserError: as `timeline.evaluate`, or the number of Gaussians changes.
    """
    times = timeline.evenly_spaced(asset, num_frames)
    key_frames = [timeline.evaluate(asset, t) for t in track(times, len(times), "Recording")]
    counts = {len(frame) for frame in key_frames}
    if len(counts) > 1:
        raise UserError(
            f"The asset holds {min(counts):,} to {max(counts):,} Gaussians, depending on the time, but the "
            "player moves the same ones throughout; export it as PLY or SPZ."
        )
    return encode(key_frames, smooth=_is_smooth(asset, key_frames))


def _is_smooth(asset: Asset4D, key_frames: list[Gaussians]) -> bool:
    """Whether the means follow a spline rather than a chain of lines, judged halfway between key frames."""
    errors = {"line": 0.0, "spline": 0.0}
    inner = range(1, len(key_frames) - 2)
    for k in inner[:: max(len(inner) // JUDGED, 1)]:
        before, a, b, after = (frame.means for frame in key_frames[k - 1 : k + 3])
        halfway = timeline.evaluate(asset, frame_time(2 * k + 1, 2 * len(key_frames) - 1)).means
        line = (a + b) / 2
        spline = line + (a + b - before - after) / 16
        errors["line"] += float((halfway - line).norm(dim=-1).mean())
        errors["spline"] += float((halfway - spline).norm(dim=-1).mean())
    return errors["spline"] < errors["line"]


def _state(asset: Asset4D, first: Gaussians, inputs: int, elevation_deg: float) -> dict[str, Any]:
    """What the page's viewer is told of a run by its server (app/viewer/run_viewer.py)."""
    return {
        "numFrames": asset.num_frames,
        "fps": asset.fps,
        "inputs": inputs,
        "firstDone": 0,
        "framesDone": asset.num_frames,
        "newest": asset.num_frames - 1,
        "finished": True,
        "stages": [{"name": "asset", "title": "Asset", "shortTitle": "Asset", "limit": asset.num_frames - 1}],
        "revision": 0,
        "progress": None,
        "imagined": None,
        "psnr": [],
        "notice": "",
        "elevation": elevation_deg,
        "extent": extent(first),
        "depthColors": DEPTH_COLORS,
        "live": False,
        "recorded": False,
        "maxPixels": 0,
    }
