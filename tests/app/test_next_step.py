"""What the page says and offers next: buttons, the time left, both stages' numbers, the motion's warning."""

from __future__ import annotations

import dataclasses
import itertools

import gradio as gr
import pytest

from app.page import html
from app.page.quality import both_stages
from app.page.settings_form import EngineForms, change
from app.page.steps.cutout import in_page_words, too_fast, with_links
from app.page.steps.generate import Buttons
from app.runs.drafts import CutoutRecord
from app.runs.progress import Progress
from ar4d.clip import ClipSettings
from ar4d.engines.registry import engines
from ar4d.events import Finished, FrameFinished, Planned, StageInfo, StageStarted, Step
from ar4d.presets import known

RECORD = CutoutRecord(
    settings=ClipSettings(),
    size=64,
    num_frames=6,
    numbers=[1, 2, 3, 4, 5, 6],
    num_chosen=6,
    fastest=0.1,
    frames_needed=6,
    facing=None,
    fps=10.0,
    length=2.0,
    source_frames=60,
    width=96,
    height=64,
    crop=(0.0, 0.0, 64.0),
    matting="alpha",
    warnings=[],
    whole_tile=(96, 64),
    strip_tile=(64, 43),
    strip_count=16,
)


@pytest.mark.parametrize(
    ("state", "new_clip", "start", "primary"),
    [
        (None, False, "Generate", "start"),
        ("running", False, "", "cancel"),
        ("queued", True, "Queue this clip as well", "cancel"),
        ("finished", False, "Generate again", "result"),
        ("finished", True, "Generate", "start"),
        ("stopped", False, "Start from the beginning", "resume"),
        ("failed", False, "Start from the beginning", "resume"),
    ],
)
def test_one_button_is_primary_and_it_is_what_comes_next(
    state: str | None, new_clip: bool, start: str, primary: str
) -> None:
    buttons = Buttons.for_state(state, new_clip)  # type: ignore[arg-type]
    assert (buttons.start, buttons.primary) == (start, primary)
    updates = buttons.updates(True)
    shown = [b for b in updates if b.visible]
    assert [b.variant for b in shown].count("primary") == 1


def progress_at(steps: list[tuple[float, int]]) -> Progress:
    progress = Progress(2)
    progress.on(Planned((StageInfo("generate", "Motion", "Motion", 100),), time=0.0))
    progress.on(StageStarted("generate", 100, time=0.0))
    for time, step in steps:
        progress.on(Step("generate", 1, step, 100, 0.1, 30.0, time=time))
    return progress


def test_the_time_left_follows_without_jumps() -> None:
    progress = progress_at([(0.0, 1), (1.0, 11)])  # ten steps a second: 8.9 s are left
    said = [progress.smooth_seconds_left({}, 1.0)]
    assert said[0] == pytest.approx(8.9, abs=0.01)
    for now in range(2, 8):  # then one step a second
        progress.on(Step("generate", 1, 11 + now, 100, 0.1, 30.0, time=float(now)))
        said.append(progress.smooth_seconds_left({}, float(now)))
    raw = progress.seconds_left({}, 7.0)
    assert raw is not None
    assert raw > 40
    for before, after in itertools.pairwise(said):
        assert before is not None
        assert after is not None
        assert after < 1.5 * before  # half as much again in a second would be a jump
    for now in range(8, 90):
        progress.on(Step("generate", 1, 18 + (now - 7), 100, 0.1, 30.0, time=float(now)))
        last = progress.smooth_seconds_left({}, float(now))
    assert last == pytest.approx(progress.seconds_left({}, 89.0), abs=2)


def test_a_length_of_time_is_a_range() -> None:
    assert html.between(4) == "10 s"
    assert html.between(50) == "40 to 65 s"
    assert html.between(300) == "4 to 7 min"
    assert html.between(3 * 3600) == "2.4 to 3.9 h"


def finished(generated: float, refined: float) -> Progress:
    progress = Progress(2)
    for k in range(2):
        progress.on(FrameFinished("generate", k, None, generated, 0.9, 1.0))
    progress.on(Finished(None, (refined, refined), (0.9, 0.9)))
    return progress


def test_both_stages_stand_side_by_side_the_better_one_first() -> None:
    shown = both_stages(finished(34.9, 30.5))
    assert shown.index("34.90 dB") < shown.index("30.50 dB")
    assert "4.4 dB worse than what the stage before it had" in shown
    shown = both_stages(finished(29.9, 32.0))
    assert shown.index("32.00 dB") < shown.index("29.90 dB")
    assert "worse" not in shown
    assert "worse" not in both_stages(finished(30.4, 30.0))
    assert both_stages(finished(30.0, 30.0)) == ""
    assert both_stages(Progress(2)) == ""


def test_too_few_frames_for_the_motion_are_said_with_the_number_that_would_do() -> None:
    assert too_fast(RECORD) == []
    fast = dataclasses.replace(RECORD, fastest=0.4, frames_needed=14)
    (sentence,) = too_fast(fast)
    assert sentence.startswith("The subject moves by up to 40 % of its size from one frame to the next")
    assert "take about 14 frames" in sentence
    (sentence,) = too_fast(dataclasses.replace(fast, source_frames=6))
    assert "the source has no more frames" in sentence
    assert too_fast(dataclasses.replace(fast, num_frames=1)) == []


def test_warnings_speak_of_the_page_and_lead_to_frames() -> None:
    said = in_page_words("A flash in frame 5 (0.40 s): use --start and --end to leave these frames out.")
    assert "--" not in said
    assert '<button type="button" data-frame="5">frame 5</button> (0.40 s)' in with_links(said)


def test_every_engine_has_a_form_with_all_its_settings() -> None:
    with gr.Blocks():
        forms = EngineForms()
        for group in forms.own.groups():
            forms.own.rest(group)
        forms.add_others()
    for preset in known().values():
        settings = preset.settings
        values = [
            component.value if update == gr.skip() else update
            for component, update in zip(forms.components, forms.updates(settings), strict=True)
        ]
        assert forms.read(preset.name, values) == settings
    assert set(forms.columns) == set(engines()) - {"ar4d"}
    assert change(known()["sv4d2"].settings, {"gaussians": 100}).gaussians == 100
