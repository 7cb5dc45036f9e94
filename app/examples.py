"""The examples: clips to try, and finished results of some of them to look at without running anything."""

from __future__ import annotations

import threading
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ar4d.runs import Run

if TYPE_CHECKING:
    from app.server import Viewers

ASSETS = Path(__file__).parents[1] / "assets"
CLIPS = ASSETS / "examples"
RUNS = ASSETS / "example_runs"
FIRST = {"dinosaur": ASSETS / "example_run"}
"""The run that new visitors see, under its clip's name."""
FILMED = ("car", "mug")
NOTICE = "An example made by this program"


class ExampleRuns:
    """The viewers of finished examples: each is opened at the first request, and all visitors share it."""

    def __init__(self, viewers: Viewers) -> None:
        self._viewers = viewers
        self._paths: dict[str, str] = {}
        self._lock = threading.Lock()

    def viewer_path(self, name: str) -> str | None:
        """Path of an example's viewer below the server's root; None if there is no such result."""
        with self._lock:
            path = self._paths.get(name, "")
            if path and self._viewers.get(path.strip("/").split("/")[1]) is not None:
                return path
            folder = finished().get(name)
            if folder is None:
                return None
            self._paths[name] = self._opened(folder)
            return self._paths[name]

    def _opened(self, folder: Path) -> str:
        from app.viewer import RunViewer

        run = Run.open(folder)
        viewer = RunViewer(None, run.record.recipe.settings.elevation_deg, record=True)
        viewer.show_run(run)
        viewer.notice(NOTICE)
        return self._viewers.add(viewer)


def finished() -> dict[str, Path]:
    """The folders of the finished examples by the names of their clips."""
    folders = {**FIRST, **{path.parent.name: path.parent for path in sorted(RUNS.glob("*/run.json"))}}
    return {name: folder for name, folder in folders.items() if (folder / "run.json").exists()}


def cards() -> str:
    """The examples as HTML: a button that takes the clip, and one for its result where there is one."""
    results = finished()
    paths = sorted(
        CLIPS.glob("*.mp4"), key=lambda path: (path.stem in FILMED, path.stem not in results, path.stem)
    )
    return f'<div class="cards">{"".join(_card(path, path.stem in results) for path in paths)}</div>'


def _card(path: Path, has_result: bool) -> str:
    name = escape(path.stem)
    kind = "filmed on a table" if path.stem in FILMED else "on white"
    show = (
        f'<button type="button" class="show" data-show="{name}" aria-label="See the result: {name}">'
        "See the result</button>"
    )
    return (
        f'<div class="example"><button type="button" data-name="{name}" title="Take this clip">'
        f'<video src="examples/{name}.mp4" poster="examples/{name}.webp" preload="none" '
        'muted loop playsinline tabindex="-1"></video>'
        f"<span>{name.capitalize()}<small>{kind}</small></span></button>{show if has_result else ''}</div>"
    )
