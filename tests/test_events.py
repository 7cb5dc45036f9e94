"""Events as JSON lines: whole round trips, lines of earlier versions, and lines that are no events."""

import dataclasses
import json
import math
from typing import get_args

import pytest
import torch

from ar4d.asset import FrameSequence
from ar4d.events import (
    CanonicalChosen,
    ClipJudged,
    Event,
    ExpertChosen,
    FacingEstimated,
    Finished,
    FrameFinished,
    FrameImagined,
    Planned,
    Progress,
    Refined,
    StageFinished,
    StageInfo,
    StageStarted,
    Step,
    TokensPredicted,
    ViewsDrawn,
    ViewsImagined,
    Warned,
    drain,
    from_json,
    to_json,
)
from ar4d.gaussians import Gaussians

GAUSSIANS = Gaussians(torch.zeros(1, 3), torch.eye(4)[:1], torch.ones(1, 3), torch.ones(1), torch.ones(1, 3))
EVENTS: tuple[Event, ...] = (
    Planned((StageInfo("initialize", "First frame", "Start", 300), StageInfo("α", "“Ω”", "", 0))),
    ExpertChosen("image_to_gaussians", "embedded", "the best that runs here"),
    Progress("downloading a\nb", 0, 2**40, "bytes"),
    ClipJudged(7, False, "seed 7 shows two subjects"),
    CanonicalChosen(3, "Frame 3 (counted from 0) is sharper."),
    FacingEstimated(-90.0, 1 / 3),
    StageStarted("generate", 0),
    Step("refine", None, 1, 10, 1e-12, math.nan),
    Step("generate", 3, 10, 10, math.inf, -0.0),
    FrameImagined("initialize", 3, None),
    FrameFinished("generate", 3, None, 31.5, 0.98, 2.0),
    Refined("refine", 120, None),
    StageFinished("refine", 0.125),
    Finished(None, (30.1, 31.2), (0.9, 0.8)),
    Finished(None, (), ()),
    ViewsDrawn((90.0, -75.0), 3, 4, None),
    ViewsImagined(None),
    TokensPredicted(3, None),
    Warned(""),
)


def same(a: object, b: object) -> bool:
    """Equality of events in which a NaN equals itself; the time counts too."""
    return type(a) is type(b) and repr(dataclasses.astuple(a)) == repr(dataclasses.astuple(b))  # type: ignore[call-overload]


def test_every_kind_of_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_survives_json(event: Event) -> None:
    line = to_json(event)
    assert "\n" not in line
    assert same(from_json(line), event)


def test_gaussians_and_assets_stay_in_memory() -> None:
    frame = FrameFinished("generate", 3, GAUSSIANS, 31.5, 0.98, 2.0)
    assert from_json(to_json(frame)) == dataclasses.replace(frame, gaussians=None)
    finished = Finished(FrameSequence((GAUSSIANS,), 8.0), (30.0,), (0.9,))
    assert from_json(to_json(finished)) == dataclasses.replace(finished, asset=None)


def test_a_psnr_that_was_not_measured_stays_nan() -> None:
    step = from_json(to_json(Step("refine", None, 1, 10, 0.5, math.nan)))
    assert isinstance(step, Step)
    assert math.isnan(step.psnr)


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            '{"event": "FacingSeen", "time": 3.25, "azimuth_deg": -45.0, "chance": 0.75}',
            FacingEstimated(-45.0, 0.75, time=3.25),
        ),
        (
            '{"event": "Progress", "time": 1.5, "task": "sampling", "done": 1, "total": 0, "unit": "bytes"}',
            Progress("sampling", 1, 0, "bytes", time=1.5),
        ),
        (
            '{"event": "Step", "time": 2.0, "stage": "initialize", "frame_index": 0, "step": 5, '
            '"num_steps": 300, "loss": 0.25, "psnr": 17.5}',
            Step("initialize", 0, 5, 300, 0.25, 17.5, time=2.0),
        ),
        (
            '{"event": "FrameFinished", "time": 2.0, "stage": "generate", "frame_index": 1, "psnr": 30.0, '
            '"ssim": 0.5, "seconds": 4.0}',
            FrameFinished("generate", 1, None, 30.0, 0.5, 4.0, time=2.0),
        ),
        (
            '{"event": "Finished", "time": 9.0, "psnr": [30.0, 31.0], "ssim": [0.5, 0.75]}',
            Finished(None, (30.0, 31.0), (0.5, 0.75), time=9.0),
        ),
    ],
)
def test_lines_of_earlier_versions_are_read(line: str, event: Event) -> None:
    assert same(from_json(line), event)


@pytest.mark.parametrize(
    "line",
    [
        "",
        '{"event": "Step", "sta',
        "[1, 2]",
        "3",
        "{}",
        '{"event": "Imagined"}',
        '{"event": ["Step"]}',
        '{"event": "Warned"}',
        '{"event": "Warned", "message": 3}',
        '{"event": "StageStarted", "stage": "refine", "num_steps": "many"}',
    ],
)
def test_a_line_that_is_no_event_is_a_value_error(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_json(line)


def test_a_plan_knows_its_stages() -> None:
    info = StageInfo("refine", "Refinement", "Refine", 30)
    plan = from_json(to_json(Planned((info,))))
    assert isinstance(plan, Planned)
    assert plan["refine"] == info
    with pytest.raises(KeyError):
        plan["generate"]


def test_the_time_is_kept_but_does_not_tell_events_apart() -> None:
    early, late = Warned("a", time=1.0), Warned("a", time=2.0)
    assert early == late
    assert json.loads(to_json(late))["time"] == 2.0
    assert from_json(to_json(late)).time == 2.0


def test_drain_passes_events_on_and_returns_the_result() -> None:
    def stream():
        yield 1
        yield 2
        return "whole"

    seen: list[int] = []
    assert drain(stream(), seen.append) == "whole"
    assert seen == [1, 2]
    assert drain(stream()) == "whole"
