"""About how large the files of an export will be, before it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ar4d.formats.video import VideoOptions


@dataclass(frozen=True)
class Content:
    """What the size of an export depends on."""

    num_gaussians: int
    num_frames: int
    """Of the clip."""
    seconds: float
    """From the first to the last frame."""


Estimate = Callable[[Content, Any], float]
"""Bytes of an export of some content with some options."""


def per_gaussian(bytes_each: float) -> Estimate:
    """For formats that hold every Gaussian in every frame; `options` may have `num_frames` and `time`."""

    def estimate(content: Content, options: Any) -> float:
        frames = getattr(options, "num_frames", None) or content.num_frames
        if getattr(options, "time", None) is not None:
            frames = 1
        return bytes_each * content.num_gaussians * frames

    return estimate


def per_pixel(bytes_each: float) -> Estimate:
    """For videos: so many bytes for a pixel of a frame, as measured on the example."""

    def estimate(content: Content, options: VideoOptions) -> float:
        seconds = options.seconds
        if seconds is None:
            seconds = content.seconds * (options.plays or 1) / options.speed
            if options.orbit and options.plays is None:
                seconds = max(seconds, 4.0)
        pixels = options.size * (options.width or options.size)
        return bytes_each * pixels * seconds * options.fps

    return estimate


def per_vertex(bytes_each: float, cells: int) -> Estimate:
    """For meshes: so many bytes for a vertex in each key of the animation, at a resolution of `cells`."""

    def estimate(content: Content, options: Any) -> float:
        resolution = options.resolution or cells
        keys = (options.num_frames or content.num_frames) if options.animated else 1
        return bytes_each * 2.0 * resolution**2 * (keys + 2)

    return estimate
