"""Videos of an asset: the camera of the clip, or a turn around the object while it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ar4d.asset import Asset4D
from ar4d.cameras import RADIUS
from ar4d.errors import UserError
from ar4d.formats import paths, timeline
from ar4d.formats.encoders import write_frames
from ar4d.formats.frames import Background, Mode, render_frames

MIN_TURN_SECONDS = 4.0  # a faster turn is hard to look at


@dataclass(frozen=True)
class VideoOptions:
    """What a video of an asset shows."""

    orbit: bool = True
    """One full turn around the object while the clip plays; otherwise a camera that stands still."""

    azimuth_deg: float = 0.0
    """Where the camera stands, or where its turn begins; 0 is the view of the clip."""

    elevation_deg: float = 0.0
    """Positive is above."""

    radius: float = RADIUS
    """Distance of the camera from the object's centre."""

    size: int = 512
    """Width and height in pixels; even for MP4."""

    fps: float | None = None
    """Frames a second of the video; the clip's own if not given. More of them are real in-between
    moments, since the asset is continuous in time."""

    speed: float = 1.0
    """1 plays as the clip did, 0.25 four times slower."""

    plays: int | None = None
    """How often the clip plays. If not given: once, or for an orbit as often as fills 4 seconds."""

    bounce: bool = False
    """Plays forwards and then backwards, which loops without a jump."""

    mode: Mode = "rgb"
    background: Background = "white"


def export_video(asset: Asset4D, out: Path, options: VideoOptions, *, suffix: str) -> list[Path]:
    """Renders the asset into the file `out`, which must end in `suffix`: .mp4 or .gif."""
    paths.single_file(out, suffix)
    fps = asset.fps if options.fps is None else options.fps
    times, azimuths_deg = schedule(asset, fps, options)
    frames = render_frames(
        asset, times, azimuths_deg, elevation_deg=options.elevation_deg, radius=options.radius,
        size=options.size, mode=options.mode, background=options.background,
    )  # fmt: skip
    return write_frames(frames, out, fps)


def schedule(asset: Asset4D, fps: float, options: VideoOptions) -> tuple[list[float], list[float]]:
    """The time and the azimuth of every frame of the video.

    One play has its first frame at t = 0 and its last at t = 1; an orbit ends one step before its
    start, so that it loops.
    """
    for name, value in (("fps", fps), ("speed", options.speed), ("number of plays", options.plays or 1)):
        if not value > 0:
            raise UserError(f"A video needs a {name} above 0, not {value:g}.")
    num_steps = max(1, round(timeline.duration(asset) * fps / options.speed))
    play = [index / num_steps for index in range(num_steps + 1)]
    if options.bounce:
        play += play[-2:0:-1]
    plays = options.plays
    if plays is None:
        plays = math.ceil(MIN_TURN_SECONDS * fps / len(play)) if options.orbit else 1
    times = play * plays
    turn_deg = 360.0 / len(times) if options.orbit else 0.0
    return times, [options.azimuth_deg + turn_deg * index for index in range(len(times))]
