"""What a run has told so far, passed on: to its viewer, and to a run that takes over its frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ar4d.runs import Run

if TYPE_CHECKING:
    from app.viewer import RunViewer


class Feeder:
    """Gives a viewer the events of a run that a worker process makes: it reads the Gaussians itself."""

    def __init__(self, run: Run, viewer: RunViewer) -> None:
        self._run, self._viewer = run, viewer

    def __call__(self, message: dict) -> None:
        from ar4d.events import FrameFinished, Progress, StageStarted, Step
        from ar4d.gaussians import Gaussians

        values = {name: value for name, value in message.items() if name not in ("event", "time")}
        match message["event"]:
            case "StageStarted":
                self._viewer.on(StageStarted(**values))
            case "Progress":
                self._viewer.on(Progress(**values))
            case "Step":
                self._viewer.on(Step(**values))
            case "FrameFinished":
                gaussians = Gaussians.load(self._run.frame_path(values["frame_index"]))
                self._viewer.on(FrameFinished(**values, gaussians=gaussians))
            case "Finished":  # from now on it reads what it is asked for, and keeps no frame in memory
                self._viewer.show_run(self._run)


def copy_history(old: Path, new: Path, first_frame: int) -> None:
    """The events of the frames that are taken over, so that their curves are not lost."""
    path = old / "events.jsonl"
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "FrameFinished" and event["frame_index"] < first_frame:
            kept.append(line)
    (new / "events.jsonl").write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
