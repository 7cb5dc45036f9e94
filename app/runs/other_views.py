"""Videos of a clip from other sides, which a visitor adds to a draft in place of guessed sides."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from app.runs.storage import link, safe_name
from app.runs.uploads import require_size
from ar4d.clip import Clip, ClipSettings, read_views
from ar4d.errors import UserError
from ar4d.files import readable_errors
from ar4d.runs import Run
from ar4d.settings import EngineSettings
from ar4d.views import ViewGrid

SOURCES = "sides"
"""Folder in a draft for the videos as they came."""
GRID = "views"
"""Folder in a draft or a run for the views, cut out and framed as the clip is."""


def take(draft: Path, paths: Sequence[Path], most_bytes: float) -> None:
    """Adds videos to a draft; the next cut-out reads them.

    Args:
        paths: the uploaded files, each named by its azimuth in degrees.
        most_bytes: that they may have together.

    Raises:
        UserError: they are too large, or the disk is full.
    """
    if not paths:
        raise UserError("No file was uploaded; choose it again.")
    require_size(paths, paths[0].name, most_bytes)
    folder = draft / SOURCES
    with readable_errors(folder):
        folder.mkdir(exist_ok=True)
        for path in paths:
            shutil.copyfile(path, folder / safe_name(path.name))


def forget(draft: Path) -> None:
    """Removes a draft's videos from other sides."""
    for name in (SOURCES, GRID):
        shutil.rmtree(draft / name, ignore_errors=True)


def sources(draft: Path) -> list[Path]:
    """A draft's videos from other sides, by name."""
    return sorted((draft / SOURCES).glob("*"))


def cut_out(draft: Path, clip: Clip, settings: ClipSettings) -> list[float]:
    """Cuts a draft's videos from other sides out as its clip is.

    Returns:
        Their azimuths in degrees; none if there are no videos.

    Raises:
        UserError: one of them does not fit the clip. All are removed then, so that the clip can be used.
    """
    shutil.rmtree(draft / GRID, ignore_errors=True)
    if not sources(draft):
        return []
    try:
        grid = read_views(draft / SOURCES, clip, settings)
    except UserError as error:
        forget(draft)
        raise UserError(f"{error} The views from other sides were removed.") from error
    grid.save(draft / GRID)
    return sorted(grid.azimuths_deg[1:].tolist())


def of_draft(draft: Path, settings: EngineSettings) -> ViewGrid | None:
    """A draft's views from other sides, if there are any, for cameras at the settings' elevation."""
    if not (draft / GRID / "views.json").exists():
        return None
    grid = ViewGrid.load(draft / GRID)
    return dataclasses.replace(
        grid, elevations_deg=torch.full_like(grid.elevations_deg, settings.elevation_deg)
    )


def given_to(run: Run) -> bool:
    """Whether a visitor gave the run its views; else an expert drew them, if there are any."""
    views = getattr(run.record.recipe.settings, "views", None)
    return (run.folder / GRID / "views.json").exists() and (views is None or views.expert == "none")


def hand_on(old: Run, folder: Path) -> None:
    """Links the views that a run was given into another run's folder."""
    if given_to(old):
        link(old.folder / GRID, folder / GRID)
