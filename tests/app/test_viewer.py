from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from app.viewer import RunViewer
from app.viewer.live import Mode, View, draw
from app.viewer.stages import SingleFlightCache, Stages
from ar4d.asset import FrameSequence
from ar4d.cameras import FOV_Y_DEG, orbit
from ar4d.clip import ClipSettings
from ar4d.errors import UserError
from ar4d.events import Finished, FrameFinished, FrameImagined, StageStarted, Step
from ar4d.gaussians import Gaussians, interpolate
from ar4d.player.packing import pack
from ar4d.player.state import DEPTH_COLORS
from ar4d.presets import CPU
from ar4d.rendering import render
from ar4d.runs import Recipe, Run
from tests.conftest import make_clip
from tests.support.browser import PLAN, Swimming, fish, fish_clip


def view(azimuth=0.0, *, width=48, height=48, mode: Mode = "rgb", background=(1.0, 1.0, 1.0)) -> View:
    viewmat = orbit(azimuth, 10.0, size=height).viewmats[0]
    return View(tuple(viewmat.flatten().tolist()), FOV_Y_DEG, width, height, mode, background)


@pytest.fixture
def viewer():
    viewer = RunViewer(fish_clip(4, 32))
    yield viewer
    viewer.close()


NAMES = tuple(stage.name for stage in PLAN.stages)


def feed(viewer: RunViewer, frames: int = 4, count: int = 100, finish: bool = True) -> None:
    viewer.on(PLAN)
    for k in range(frames):
        stage = "generate" if k else "initialize"
        viewer.on(FrameFinished(stage, k, fish(k / 3, count), 20.0 + k, 0.9, 1.0))
    if finish:
        viewer.on(Finished(Swimming(4, 8.0, count), (20.0,) * 4, (0.9,) * 4))


@pytest.mark.parametrize(
    ("refined", "best"), [((25.0,) * 4, "refine"), ((18.0,) * 4, "generate"), ((21.5,) * 4, "refine")]
)
def test_the_stage_that_is_closest_to_the_clip_is_the_best(viewer, refined, best):
    feed(viewer, finish=False)
    assert viewer.state()["best"] is None
    viewer.on(Finished(Swimming(4, 8.0, 100), refined, (0.9,) * 4))
    assert viewer.state()["best"] == best  # what was generated has 21.5 dB on average


def test_a_stage_that_lacks_frames_is_not_the_best(viewer):
    feed(viewer, frames=3, finish=False)
    viewer.on(FrameFinished("refine", 3, fish(1.0, 100), 40.0, 0.9, 1.0))
    viewer.on(Finished(Swimming(4, 8.0, 100), (10.0,) * 4, (0.9,) * 4))
    assert viewer.state()["best"] == "refine"


def test_a_preview_never_replaces_a_finished_frame(viewer):
    viewer.on(PLAN)
    viewer.on(FrameFinished("initialize", 0, fish(0.0, 100), 20.0, 0.9, 1.0))
    viewer.on(FrameImagined("initialize", 0, fish(0.5, 100)))
    assert viewer.state()["imagined"] is None
    assert torch.equal(viewer._stages.at("initialize", 0.0).means, fish(0.0, 100).means)


# --- stages ----------------------------------------------------------------------------------


def test_stages_answer_for_any_position(tmp_path):
    stages = Stages(names=NAMES)
    with pytest.raises(UserError, match='"initialize" has no result yet'):
        stages.at("initialize", 0.0)
    frames = [fish(k / 3, 10) for k in range(3)]
    frames[1].save(tmp_path / "1")
    stages.set_frame(0, frames[0], "initialize")
    stages.set_frame(2, frames[2], "generate")
    assert stages.finished == range(1)  # frame 1 is missing
    assert [stages.limits(name) for name in NAMES] == [(0, 0), (0, 0), None]
    stages.set_frame(1, tmp_path / "1", "generate")
    assert stages.finished == range(3)
    assert [stages.limits(name) for name in NAMES] == [(0, 0), (0, 2), None]
    torch.testing.assert_close(stages.at("initialize", 2.0).means, frames[0].means)
    torch.testing.assert_close(stages.at("generate", 1.0).means, frames[1].means)
    between = interpolate(frames[1], frames[2], 0.25)
    torch.testing.assert_close(stages.at("generate", 1.25).means, between.means)
    torch.testing.assert_close(stages.at("generate", 9.0).means, frames[2].means)
    with pytest.raises(UserError, match='"refine" has no result yet'):
        stages.at("refine", 0.0)
    stages.set_asset(Swimming(num_frames=3))
    assert [stages.limits(name) for name in NAMES] == [(0, 0), (0, 2), (0, 2)]
    torch.testing.assert_close(stages.at("refine", 0.5).means, fish(0.25).means)


def test_frames_before_the_canonical_one_are_shown_as_they_come():
    stages = Stages(names=NAMES, canonical=2)
    frames = [fish(k / 3, 10) for k in range(4)]
    stages.set_frame(2, frames[2], "initialize")
    assert (stages.finished, stages.limits("initialize")) == (range(2, 3), (2, 2))
    first = stages.first()
    assert first is not None
    torch.testing.assert_close(first.means, frames[2].means)
    torch.testing.assert_close(stages.at("initialize", 0.0).means, frames[2].means)  # none before it yet
    stages.set_frame(3, frames[3], "generate")
    stages.set_frame(1, frames[1], "generate")
    assert (stages.finished, stages.limits("generate")) == (range(1, 4), (1, 3))
    torch.testing.assert_close(stages.at("generate", 0.0).means, frames[1].means)
    stages.set_frame(0, frames[0], "generate")
    assert (stages.finished, stages.limits("generate")) == (range(4), (0, 3))


def test_a_frame_that_is_made_again_counts_as_another_revision():
    stages = Stages(names=NAMES)
    stages.set_frame(0, fish(0.0, 10), "initialize")
    stages.set_frame(1, fish(0.5, 10), "generate")
    assert stages.revision == 0
    before = stages.at("generate", 0.5)
    stages.set_frame(1, fish(1.0, 10), "generate")
    assert stages.revision == 1
    assert not torch.equal(stages.at("generate", 0.5).means, before.means)


def test_the_last_stage_of_any_engine_shows_the_asset():
    stages = Stages(names=["views", "reconstruct"])
    assert stages.first() is None
    stages.set_asset(Swimming(num_frames=3))
    assert [stages.limits(name) for name in ("views", "reconstruct")] == [None, (0, 2)]
    torch.testing.assert_close(stages.at("reconstruct", 1.0).means, fish(0.5).means)
    with pytest.raises(UserError, match='"imagine" has no result yet'):
        stages.at("imagine", 0.0)


def test_a_missing_frame_file_is_named_in_the_message(tmp_path):
    stages = Stages(names=NAMES)
    stages.set_frame(0, tmp_path / "gone.safetensors", "initialize")
    with pytest.raises(UserError, match=r"gone\.safetensors"):
        stages.at("initialize", 0.0)


# --- pictures --------------------------------------------------------------------------------


def test_draws_what_the_rasteriser_renders():
    g = fish(0.2, 300)
    expected = render(g, orbit(30.0, 10.0, size=48), (0.2, 0.4, 0.6)).rgb[0]
    image = draw(g, view(30.0, background=(0.2, 0.4, 0.6)), extent=0.5)
    assert (image.float() / 255 - expected).abs().max() <= 0.5 / 255 + 1e-5


def test_draws_alpha_on_black():
    g = fish(0.2, 300)
    alpha = render(g, orbit(0.0, 10.0, size=48)).alpha[0]
    image = draw(g, view(mode="alpha"), extent=0.5)
    assert (image.float() / 255 - alpha[..., None]).abs().max() <= 0.5 / 255 + 1e-5


@pytest.mark.parametrize(
    ("z", "color"), [(0.5, DEPTH_COLORS[-1]), (0.0, DEPTH_COLORS[4]), (-0.5, DEPTH_COLORS[0])]
)
def test_draws_depth_in_the_colours_from_far_to_near(z, color):
    wall = Gaussians(
        torch.tensor([[0.0, 0.0, z]]),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.tensor([[3.0, 3.0, 1e-3]]),
        torch.tensor([0.999]),
        torch.zeros(1, 3),
    )
    camera = orbit(0.0, size=9).viewmats[0].flatten().tolist()
    image = draw(wall, View(tuple(camera), FOV_Y_DEG, 9, 9, "depth", (0.0, 0.0, 0.0)), extent=0.5)
    assert (image[4, 4].float() - torch.tensor(color)).abs().max() <= 3


def test_a_wide_view_keeps_the_vertical_field_of_view():
    g = fish(0.0, 300)
    square, wide = draw(g, view(), extent=0.5), draw(g, view(width=80), extent=0.5)
    assert (wide[:, 16:64].int() - square.int()).abs().max() <= 1


def test_a_picture_of_two_stages_has_both_halves(viewer):
    feed(viewer)
    jpeg = viewer.picture(["initialize", "refine"], 1.5, view(), "row", 95)
    image = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
    assert image.shape == (48, 96, 3)
    for half, g in ((image[:, :48], fish(0.0, 100)), (image[:, 48:], fish(0.5, 100))):
        assert np.abs(half - draw(g, view(), 0.5).int().numpy()).mean() < 3  # JPEG's own error
    column = viewer.picture(["initialize", "refine"], 1.5, view(), "column", 95)
    assert Image.open(io.BytesIO(column)).size == (48, 96)


def test_refuses_a_picture_that_is_too_large(viewer):
    feed(viewer)
    with pytest.raises(UserError, match="too large"):
        viewer.picture(["initialize"], 0.0, view(width=8192, height=8192), "row", 80)


# --- a run -----------------------------------------------------------------------------------


def test_follows_a_run_by_its_events(viewer):
    seen = []
    unsubscribe = viewer.subscribe(lambda: seen.append(viewer.state()))
    assert viewer.state()["framesDone"] == 0
    viewer.on(StageStarted("initialize", 100))
    viewer.on(Step("initialize", 0, 50, 100, 0.1, 20.0))
    viewer.on(Step("initialize", 0, 100, 100, 0.1, 20.0))
    assert seen[-1]["progress"] == {"stage": "initialize", "frame": 0, "fraction": 1.0}
    feed(viewer, finish=False)
    assert [state["framesDone"] for state in seen[-4:]] == [1, 2, 3, 4]
    assert seen[-1]["psnr"] == [20.0, 21.0, 22.0, 23.0]
    assert seen[-1]["progress"] is None
    assert not seen[-1]["finished"]
    assert seen[-1]["stages"][1] == {
        "name": "generate",
        "title": "Motion",
        "shortTitle": "Motion",
        "limit": 3,
    }
    assert seen[-1]["stages"][2]["limit"] is None
    feed(viewer, frames=0)
    assert seen[-1]["finished"]
    assert seen[-1]["numFrames"] == 4
    assert seen[-1]["fps"] == 8.0
    number = len(seen)
    unsubscribe()
    viewer.notice("over")
    assert len(seen) == number
    assert viewer.state()["notice"] == "over"


def test_reports_progress_a_few_times_a_second_only(viewer):
    seen = []
    viewer.subscribe(lambda: seen.append(1))
    for step in range(1, 200):
        viewer.on(Step("generate", 1, step, 200, 0.1, 20.0))
    assert 1 <= len(seen) < 10
    viewer.on(Step("generate", 1, 200, 200, 0.1, 20.0))  # the last one always
    assert viewer.state()["progress"]["fraction"] == 1.0


def test_serves_splats_and_makes_each_once(viewer):
    feed(viewer)
    first = viewer.splats("refine", 1.5)
    assert first == pack(fish(0.5, 100))
    assert viewer.splats("refine", 1.5) is first
    assert viewer.splats("generate", 2.0) == pack(fish(2 / 3, 100))
    assert viewer.counts == {"asked": 3, "packed": 2}
    viewer.rest()
    assert viewer.splats("refine", 1.5) == first
    assert viewer.counts["packed"] == 3


def test_a_viewer_that_opens_late_shows_the_preview_of_the_runs_folder(tmp_path, viewer):
    run = Run.create(tmp_path / "run", Recipe("clip.mp4", ClipSettings(), CPU), make_clip(3, 32))
    imagined, fitted = fish(0.5, 30), fish(0.0, 30)
    imagined.save(run.imagined_path)
    viewer.show_run(run)
    assert viewer.state()["imagined"] == 0
    assert viewer.splats("initialize", 0.0) == pack(imagined)
    fitted.save(run.frame_path(0))
    viewer.on(FrameFinished("initialize", 0, None, 25.0, 0.9, 1.0))
    assert viewer.state()["imagined"] is None
    assert viewer.splats("initialize", 0.0) == pack(fitted)


def test_shows_a_runs_folder(tmp_path, viewer):
    clip = make_clip(3, 32)
    run = Run.create(tmp_path / "run", Recipe("clip.mp4", ClipSettings(), CPU), clip)
    frames = [fish(k / 2, 30) for k in range(3)]
    (tmp_path / "run/frames").mkdir()
    for k in range(2):
        frames[k].save(run.frame_path(k))
    viewer.show_run(Run.open(tmp_path / "run"))
    state = viewer.state()
    assert (state["numFrames"], state["framesDone"], state["finished"]) == (3, 2, False)
    assert viewer.splats("generate", 1.0) == pack(frames[1])
    frames[2].save(run.frame_path(2))
    viewer.on(FrameFinished("generate", 2, frames[2], 25.0, 0.9, 1.0))
    assert viewer.splats("generate", 2.0) == pack(frames[2])
    assert not [frame for frame in viewer._stages._frames.values() if isinstance(frame, Gaussians)]
    FrameSequence(tuple(frames), clip.fps).save(run.folder / "refined.safetensors")
    viewer.show_run(run)
    assert viewer.state()["finished"]
    assert viewer.state()["revision"] > state["revision"]
    assert viewer.splats("refine", 2.0) == pack(frames[2])
    assert Image.open(io.BytesIO(viewer.input_frame(2))).size == (32, 32)
    with pytest.raises(UserError, match="no frame 3"):
        viewer.input_frame(3)


def test_closing_twice_does_nothing():
    viewer = RunViewer(None)
    viewer.close()
    viewer.close()
    assert viewer.closed


def test_what_many_ask_for_at_a_time_is_made_once():
    made, gate = [], threading.Event()
    recent: SingleFlightCache[bytes] = SingleFlightCache(10, len)

    def make() -> bytes:
        gate.wait(10)
        made.append(1)
        return bytes(4)

    with ThreadPoolExecutor(8) as visitors:
        answers = [visitors.submit(recent.get, "a", make) for _ in range(8)]
        gate.set()
        assert {answer.result() for answer in answers} == {bytes(4)}
    assert len(made) == 1
    recent.get("b", lambda: bytes(6))  # together they just fit
    recent.get("a", make)
    assert len(made) == 1
    recent.get("c", lambda: bytes(3))  # takes the place of what was not asked for the longest
    recent.get("a", make)
    assert len(made) == 1
    assert recent.get("b", lambda: bytes(20)) == bytes(20)  # too large, and kept all the same
    recent.get("a", make)
    assert len(made) == 2
