"""Videos of an asset: a turn around the object while it moves, a still camera, or a path of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ar4d.asset import Asset4D
from ar4d.cameras import RADIUS
from ar4d.errors import UserError
from ar4d.formats import paths, timeline
from ar4d.formats.camera_path import CameraKey, CameraPath, camera_of
from ar4d.formats.encoders import write_frames
from ar4d.formats.frames import Background, Mode, check_size, render_views
from ar4d.formats.progress import track

MIN_TURN_SECONDS = 4.0  # a faster turn is hard to look at
FPS = 30.0
MAX_FPS = 240.0

_PATH_FILE = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="PATH.JSON",
    instance_from_str=lambda args: CameraPath.load(Path(args[0])),
    is_instance=lambda value: isinstance(value, CameraPath),
    str_from_instance=lambda _: ["PATH.JSON"],
)


@dataclass(frozen=True)
class VideoOptions:
    """What a video of an asset shows."""

    orbit: bool = True
    """Turn around the object while the clip plays; otherwise the camera stands still."""

    path: Annotated[CameraPath, _PATH_FILE] | None = None
    """The camera's own path: key frames that take the place of the turn, as a JSON file
    {"keys": [{"azimuth_deg": 0}, {"azimuth_deg": 90, "radius": 1}]}."""

    seconds: float | None = None
    """Length of the video. If not given, the clip plays once, or for a moving camera as often as fills 4
    seconds."""

    fps: float = FPS
    """Frames a second of the video, whatever the clip's own rate: the asset is continuous in time."""

    size: int = 512
    """Height in pixels; even for MP4 and WebM."""

    width: int | None = None
    """Width in pixels; the height's if not given."""

    azimuth_deg: float = 0.0
    """Where the camera stands, or where its turn begins; 0 is the view of the clip."""

    elevation_deg: float = 0.0
    """Positive is above."""

    radius: float = RADIUS
    """Distance of the camera from the object's centre."""

    direction: Literal["right", "left"] = "right"
    """Where the camera goes on its turn."""

    turns: float = 1.0
    """Turns around the object in the whole video."""

    speed: float = 1.0
    """1 plays as the clip did, 0.25 four times slower."""

    plays: int | None = None
    """How often the clip plays; together with a length in seconds, this decides the speed."""

    bounce: bool = False
    """Plays forwards and then backwards, which loops without a jump."""

    mode: Mode = "rgb"
    """rgb; depth, white is near; alpha, the coverage."""

    background: Background = "white"
    """white, black, a colour as #3366ff; transparent for WebM, MOV and GIF."""


@dataclass(frozen=True)
class ClearVideoOptions(VideoOptions):
    """What a video in a format with transparency shows."""

    background: Background = "transparent"
    """transparent, white, black or a colour as #3366ff."""


@dataclass(frozen=True)
class Schedule:
    """What each frame of a video shows."""

    times: list[float]
    """Moments of the clip in [0, 1]."""

    cameras: list[CameraKey]


def export_video(asset: Asset4D, out: Path, options: VideoOptions, *, suffix: str) -> list[Path]:
    """Renders the asset into the file `out`, which must end in `suffix`: .mp4, .webm, .mov or .gif."""
    paths.single_file(out, suffix)
    width = options.size if options.width is None else options.width
    check_size(width, options.size)
    plan = schedule(asset, options)
    cameras = (camera_of(key, width, options.size) for key in plan.cameras)
    frames = render_views(
        asset, plan.times, cameras, radius=options.radius, mode=options.mode, background=options.background
    )
    return write_frames(track(frames, len(plan.times), "Rendering"), out, options.fps)


def schedule(asset: Asset4D, options: VideoOptions) -> Schedule:
    """The time and the camera of every frame of the video.

    One play has its first frame at t = 0 and its last at t = 1; a turn ends one step before its start, so
    that it loops.

    Raises:
        UserError: a value is out of range, or the camera path cannot be followed.
    """
    _check(options)
    times = _times(asset, options)
    if options.path is not None:
        cameras = options.path.sample(len(times))
        if options.path.timed:
            times = [key.time or 0.0 for key in cameras]
        return Schedule(times, cameras)
    sign = 1 if options.direction == "right" else -1
    turn_deg = sign * 360.0 * options.turns / len(times) if options.orbit else 0.0
    azimuths = [options.azimuth_deg + turn_deg * index for index in range(len(times))]
    return Schedule(times, [CameraKey(a, options.elevation_deg, options.radius) for a in azimuths])


def _check(options: VideoOptions) -> None:
    numbers = {
        "fps": options.fps, "speed": options.speed, "number of plays": options.plays,
        "radius": options.radius, "number of turns": options.turns, "length in seconds": options.seconds,
    }  # fmt: skip
    for name, value in numbers.items():
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UserError(f"A video needs a {name} above 0, not {value:g}.")
    if options.fps > MAX_FPS:
        raise UserError(f"A video has at most {MAX_FPS:g} frames a second, not {options.fps:g}; lower fps.")
    if options.path is not None:
        options.path.check()


def _times(asset: Asset4D, options: VideoOptions) -> list[float]:
    """The moment of the clip in every frame."""
    total = None if options.seconds is None else max(1, round(options.seconds * options.fps))
    if total is not None and options.plays is not None:
        per_play = total / options.plays  # the speed follows
        num_steps = max(1, round(per_play / 2 if options.bounce else per_play - 1))
    else:
        num_steps = max(1, round(timeline.duration(asset) * options.fps / options.speed))
    play = [index / num_steps for index in range(num_steps + 1)]
    if options.bounce:
        play += play[-2:0:-1]
    if total is not None:
        return [play[index % len(play)] for index in range(total)]
    plays, moves = options.plays, options.orbit or options.path is not None
    if plays is None:
        plays = math.ceil(MIN_TURN_SECONDS * options.fps / len(play)) if moves else 1
    return play * plays
