"""What the page says of a run while it goes on."""

from __future__ import annotations

import pytest

from app.runs.progress import Progress
from ar4d import events
from ar4d.events import FacingEstimated, Planned, StageInfo, StageStarted, Step


def test_the_task_of_an_expert_is_shown_until_the_steps_start() -> None:
    progress = Progress(4)
    progress.on(events.Progress("Loading weights", 5_000_000, 20_000_000, "bytes"))
    assert progress.task == "Loading weights: 5 of 20 MB"
    progress.on(StageStarted("initialize", 30))
    assert progress.task == ""


def test_the_estimated_facing_is_shown() -> None:
    progress = Progress(4)
    progress.on(FacingEstimated(70.0, 0.91))
    assert progress.facing == "faces right or left"
    assert progress.log[-1][1] == "The object faces right or left (91% sure); the arrows correct it"


def test_an_interrupted_stage_shows_the_share_of_the_whole_stage() -> None:
    progress = Progress(4)
    progress.on(Planned((StageInfo("generate", "Motion", "Motion", 300),)))
    progress.on(StageStarted("generate", 200))  # resumed: one frame of three is finished
    progress.on(Step("generate", 2, 50, 100, 0.1, 20.0))
    assert progress.stages["generate"].fraction == pytest.approx((100 + 50) / 300)
    progress.on(Planned((StageInfo("generate", "Motion", "Motion", 300),)))  # interrupted once more
    progress.on(StageStarted("generate", 100))
    assert progress.stages["generate"].fraction == pytest.approx(200 / 300)
