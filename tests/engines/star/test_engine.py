"""The engine star from end to end, with small untrained networks, whose predictions are real and no good."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ar4d.asset import load_asset
from ar4d.clip import ClipSettings
from ar4d.engines.star.settings import StarSettings
from ar4d.errors import UserError
from ar4d.events import Finished, FrameFinished, Planned, Step, TokensPredicted, Warned
from ar4d.experts.star import weights
from ar4d.experts.star.codec import Codec
from ar4d.experts.star.config import CODECS, STARS
from ar4d.experts.star.history import context_of
from ar4d.experts.star.transformer import Star
from ar4d.experts.star.weights import Networks, save_networks
from ar4d.lifting import check, lift, lift_events
from ar4d.presets import STAR_REFINED
from ar4d.runs import Recipe, Run
from ar4d.settings import RefineSettings
from tests.support.two_sided import clip_of, two_sided, with_rig

RIG = with_rig(size=32, pseudo_size=32, elevation_deg=0.0)
CLIP = clip_of([two_sided(front=(0.03 * k, 0, 0), back=(-0.03 * k, 0, 0)) for k in range(4)], RIG)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> StarSettings:
    torch.manual_seed(0)
    codec, star = Codec(CODECS["test"]), Star(CODECS["test"], STARS["test"])
    torch.nn.init.normal_(star.out.weight, std=0.5)
    torch.nn.init.normal_(codec.decoder.stop.offset.weight, std=0.05)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_networks(path, Networks(codec, star))
    return StarSettings(size=32, gaussians=600, device="cpu", weights=str(path))


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory) -> Run:
    """A finished run."""
    run = new_run(tmp_path_factory.mktemp("runs") / "whole", settings)
    list(run.work())
    return run


def new_run(folder, settings, clip=CLIP) -> Run:
    return Run.create(folder, Recipe("toy", ClipSettings(), settings), clip)


def test_frames_come_in_order_and_are_the_same_gaussians(settings, whole):
    events = list(whole.events())
    kinds = [e.frame_index for e in events if isinstance(e, FrameFinished)]
    assert kinds == [0, 1, 2, 3]
    tokens = [k for k, e in enumerate(events) if isinstance(e, TokensPredicted)]
    frames = [k for k, e in enumerate(events) if isinstance(e, FrameFinished)]
    assert all(a < b for a, b in zip(tokens, frames, strict=True))  # one after the other, not all at the end
    assert frames[0] < tokens[1]
    asset = load_asset(whole.asset_path)
    assert len({len(asset.at(k / 3)) for k in range(4)}) == 1
    for k, frame in enumerate(whole.frames()):
        assert torch.equal(asset.at(k / 3).means, frame.means)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_resumed_run_ends_with_the_same_bits(settings, whole, tmp_path, kept):
    run = new_run(tmp_path / "run", settings)
    if kept:
        stream = run.work()
        for event in stream:
            if isinstance(event, FrameFinished) and event.frame_index == kept - 1:
                break
        stream.close()
        assert run.status == "stopped"
    else:
        (run.folder / "tokens").mkdir()
    assert run.num_finished == kept
    resumed = [e.frame_index for e in run.work() if isinstance(e, FrameFinished)]
    assert resumed == list(range(kept, 4))
    for a, b in zip(run.frames(), whole.frames(), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a.state().values(), b.state().values(), strict=True))


def test_tokens_that_a_run_lacks_are_predicted_again(settings, whole, tmp_path):
    run = new_run(tmp_path / "run", settings)
    stream = run.work()
    for event in stream:
        if isinstance(event, FrameFinished) and event.frame_index == 2:
            break
    stream.close()
    (run.folder / "tokens" / "0001.npy").unlink()
    list(run.work())
    assert torch.equal(run.frames()[3].means, whole.frames()[3].means)


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        (np.full((3, 4, 2), 9999, np.uint16), "tokens of frame 1 are out of range"),
        (np.zeros((3, 5, 2), np.uint16), "tokens are of other networks"),
        (np.zeros((3, 4, 2), np.float32), r"0000\.npy does not hold a frame's tokens"),
        (None, r"0000\.npy does not hold a frame's tokens"),
    ],
)
def test_damaged_tokens_cost_no_finished_frame(settings, tmp_path, codes, sentence):
    run = new_run(tmp_path / "run", settings)
    stream = run.work()
    for event in stream:
        if isinstance(event, FrameFinished):
            break
    stream.close()
    path = run.folder / "tokens" / "0000.npy"
    if codes is None:
        path.write_bytes(path.read_bytes()[:40])
    else:
        np.save(path, codes)
    with pytest.raises(UserError, match=sentence):
        list(run.work())
    assert run.num_finished == 1
    path.unlink()
    list(run.work())
    assert run.status == "finished"


def test_a_single_frame_becomes_an_asset(settings):
    one = replace(CLIP, frames=CLIP.frames[:1])
    asset = lift(one, replace(settings, refine=RefineSettings(enabled=True)))
    assert asset.num_frames == 1


def test_an_empty_frame_is_empty_in_the_asset_and_named(settings):
    frames = CLIP.frames.copy()
    frames[2] = 0
    events = list(lift_events(replace(CLIP, frames=frames), settings))
    assert [e.message for e in events if isinstance(e, Warned)] == [
        "Frame 3 of the clip is empty, and so it is in the asset."
    ]
    made = [e.gaussians for e in events if isinstance(e, FrameFinished) and e.gaussians is not None]
    assert float(made[2].opacities.max()) < 0.01
    assert float(made[3].opacities.max()) > 0.5


def test_an_empty_first_frame_is_refused(settings):
    frames = CLIP.frames.copy()
    frames[0] = 0
    with pytest.raises(UserError, match="first frame shows no object"):
        lift(replace(CLIP, frames=frames), settings)


def test_the_refinement_follows_the_prediction(settings):
    refined = replace(settings, refine=replace(STAR_REFINED.refine, iterations=3, warm_start=2))
    events = list(lift_events(CLIP, refined))
    assert isinstance(events[0], Planned)
    assert [stage.name for stage in events[0].stages] == ["predict", "refine"]
    assert any(isinstance(e, Step) and e.stage == "refine" for e in events)
    assert isinstance(events[-1], Finished)


def test_an_expert_of_another_package_takes_the_place_of_star(settings):
    frames = [two_sided(front=(0.03 * k, 0, 0)) for k in range(4)]

    class Played:
        name = "played"

        def animate(self, clip, budget, elevation_deg, seed):
            return frames

    asset = lift(CLIP, replace(settings, weights=""), experts={"clip_to_gaussians": Played()})
    assert torch.equal(asset.at(1.0).means, frames[3].means)


def test_a_raised_camera_tilts_what_a_level_one_would_see(settings):
    raised = [
        e for e in lift_events(CLIP, replace(settings, elevation_deg=30.0)) if isinstance(e, FrameFinished)
    ]
    level = [e for e in lift_events(CLIP, settings) if isinstance(e, FrameFinished)]
    assert abs(raised[0].psnr - level[0].psnr) < 0.5


def test_without_weights_it_says_what_is_missing(settings, monkeypatch, tmp_path):
    monkeypatch.delenv("AR4D_STAR_WEIGHTS", raising=False)
    check(replace(settings, weights=""))  # the program's own
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / "gone.safetensors")
    with pytest.raises(UserError, match="start the program from a whole copy"):
        check(replace(settings, weights=""))
    monkeypatch.setenv("AR4D_STAR_WEIGHTS", settings.weights)
    check(replace(settings, weights=""))
    with pytest.raises(UserError, match="There is no weights file"):
        check(replace(settings, weights=settings.weights + ".gone"))


def test_a_scene_is_refused(settings):
    with pytest.raises(UserError, match="makes objects"):
        check(replace(settings, kind="scene"))


def test_a_frame_of_a_long_clip_costs_what_one_of_a_short_clip_costs():
    codec, star = CODECS["test"], STARS["test"]
    clip = torch.zeros(1, 300, codec.tokens, codec.codebooks, dtype=torch.long)
    groups = torch.zeros(1, 300, 3 * codec.tokens, codec.codebooks, dtype=torch.long)
    lengths = {context_of(clip, groups, k, codec, star).codes.shape[1] for k in range(10, 299)}
    assert len(lengths) == 1


def test_the_first_frame_waits_for_no_more_of_the_clip_than_it_looks_at(settings, monkeypatch):
    encoded, encode = [], Codec.encode

    def counted(self, pictures, *rest):
        encoded.append(len(pictures))
        return encode(self, pictures, *rest)

    monkeypatch.setattr(Codec, "encode", counted)
    clip = clip_of([two_sided(front=(0.01 * k, 0, 0)) for k in range(12)], RIG)
    stream = lift_events(clip, settings)
    for event in stream:
        if isinstance(event, FrameFinished):
            break
    stream.close()
    assert 1 <= sum(encoded) <= 1 + STARS["test"].ahead
