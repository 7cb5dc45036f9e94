"""The options of a format that a run itself decides, unless somebody asks for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ar4d.formats.registry import Format
from ar4d.runs import Run


def options_of_run(format: Format, run: Run) -> dict[str, Any]:
    """The elevation of the clip's camera, the folder of its pictures and a title, if the format has them."""
    known = {
        "elevation_deg": run.record.recipe.settings.elevation_deg,
        "input": run.folder / "input",
        "title": Path(run.record.recipe.source).stem,
    }
    return {name: value for name, value in known.items() if name in format.option_names}
