"""Limits of a server for its visitors. Environment variables change them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated

from pydantic import Field, ValidationError

from ar4d.errors import UserError
from ar4d.records import adapter, first_problem

PREFIX = "AR4D_LIMIT_"
CLOSING_SECONDS = 4.0
"""Time in which a server that stops closes its workers, viewers and connections."""

Count = Annotated[int, Field(gt=0)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Limits:
    """Limits of one server."""

    upload_mb: Count = 200
    """Size of one uploaded file."""
    clip_seconds: Amount = 300.0
    """Length of a video in seconds, before it is trimmed."""
    clip_megapixels: Amount = 9.0
    """Width times height of a video: 4K passes."""
    clip_frames: Count = 20_000
    """Frames of a video, before it is trimmed."""
    decode_seconds: Amount = 120.0
    """Time in which an upload must be read and cut out."""
    decode_memory_mb: Count = 6000
    """Memory of the process that reads uploads and writes exports."""
    num_frames: Count = 64
    """Frames of one run."""
    size: Count = 1024
    """Side of the square in which a clip is fitted."""
    gaussians: Count = 200_000
    """Gaussians of one run."""
    steps: Count = 200_000
    """Optimisation steps of one run, all stages together."""
    waiting: Count = 3
    """Runs of one visitor that are queued or at work at the same time."""
    runs: Count = 20
    """Runs stored for one visitor."""
    video_megapixels: Amount = 2500.0
    """Pixels of all frames of an exported video together: 40 seconds at 30 frames of 1440 × 1440."""
    sessions: Count = 128
    """Open pages and calls of the API whose state is kept, the last used ones: half a megabyte each."""
    drafts: Count = 6
    """Cut-outs stored for one visitor."""
    disk_gb: Amount = 20.0
    """Disk space of all runs together."""
    free_gb: NonNegative = 0.5
    """Disk space that must be free before a run starts."""
    shutdown_seconds: NonNegative = 10.0
    """Time from SIGTERM to the end of the process; runs get all but the last 4 s to finish their frame."""

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> Limits:
        """The limits, changed by the variables whose names begin with `AR4D_LIMIT_`.

        Args:
            environment: by default that of this process.

        Raises:
            UserError: a variable has no such limit or its value does not fit.
        """
        given = {
            name.removeprefix(PREFIX).lower(): text
            for name, text in (os.environ if environment is None else environment).items()
            if name.startswith(PREFIX)
        }
        known = [field.name for field in fields(Limits)]
        for name in given:
            if name not in known:
                choices = ", ".join(variable(field) for field in known)
                raise UserError(f"There is no limit {variable(name)}; choose from: {choices}.")
        try:
            return adapter(Limits).validate_python(given)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            problem = first_problem(error).partition(": ")[2]
            raise UserError(f"The environment variable {variable(name)} does not fit: {problem}.") from error


def variable(name: str) -> str:
    """The environment variable of a limit."""
    return f"{PREFIX}{name.upper()}"
