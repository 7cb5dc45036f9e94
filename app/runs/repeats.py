"""Runs that would be made a second time."""

from __future__ import annotations

from pathlib import Path

from app.runs.drafts import CutoutRecord, source_of
from app.runs.queue import Jobs
from ar4d.errors import UserError
from ar4d.settings import EngineSettings


def find_same_run(jobs: Jobs, runs: list[Path], draft: Path, settings: EngineSettings) -> Path | None:
    """The run of the same video, cut-out and settings that is finished or under way, if any.

    Args:
        runs: folders of the runs to look through.

    Raises:
        UserError: the draft has no cut-out.
    """
    cutout, source = CutoutRecord.read(draft), _first_file(source_of(draft))
    for run in runs:
        try:
            job = jobs.get(run)
            recipe = job.run.record.recipe
            if not (job.alive or job.state == "finished"):
                continue
            alike = (recipe.settings, recipe.clip) == (settings, cutout.settings) and not cutout.sides
            if alike and _first_file(Path(recipe.source)).samefile(source):  # a run links its draft's files
                return run
        except (UserError, OSError):  # a damaged run is no reason to ask
            continue
    return None


def _first_file(source: Path) -> Path:
    return min(source.iterdir()) if source.is_dir() else source
