"""What one server grants its visitors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    upload_mb: int = 200
    """Of one file."""
    clip_seconds: float = 300.0
    """Length of a video, before it is trimmed."""
    clip_megapixels: float = 9.0
    """Width times height of a video: 4K passes."""
    num_frames: int = 64
    """Frames of one run."""
    size: int = 1024
    """Side of the square in which a clip is fitted."""
    gaussians: int = 200_000
    steps: int = 200_000
    """Optimisation steps of one run, all stages together."""
    waiting: int = 3
    """Runs of one visitor that wait or work at a time."""
    runs: int = 20
    """Runs of one visitor that are kept."""
    drafts: int = 6
    """Cut-outs of one visitor that are kept."""
    disk_gb: float = 20.0
    """All runs together."""
    free_gb: float = 0.5
    """What must be free on the disk before a run starts."""
