"""Limits of a server for its visitors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one server."""

    upload_mb: int = 200
    """Size of one uploaded file."""
    clip_seconds: float = 300.0
    """Length of a video in seconds, before it is trimmed."""
    clip_megapixels: float = 9.0
    """Width times height of a video: 4K passes."""
    num_frames: int = 64
    """Frames of one run."""
    size: int = 1024
    """Side of the square in which a clip is fitted."""
    gaussians: int = 200_000
    """Gaussians of one run."""
    steps: int = 200_000
    """Optimisation steps of one run, all stages together."""
    waiting: int = 3
    """Runs of one visitor that are queued or at work at the same time."""
    runs: int = 20
    """Runs stored for one visitor."""
    video_megapixels: float = 2500.0
    """Pixels of all frames of an exported video together: 40 seconds at 30 frames of 1440 × 1440."""
    drafts: int = 6
    """Cut-outs stored for one visitor."""
    disk_gb: float = 20.0
    """Disk space of all runs together."""
    free_gb: float = 0.5
    """Disk space that must be free before a run starts."""
