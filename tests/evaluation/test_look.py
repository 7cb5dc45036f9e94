"""`look` on small moving things: it knows specks, fur, motion that is hidden in colours, and its limits."""

import json
import math

import numpy as np
import pytest
import torch

from ar4d.asset import FrameSequence
from ar4d.cameras import orbit
from ar4d.clip import Clip
from ar4d.clip.framing import whole_crop
from ar4d.evaluation.look import Look, look
from ar4d.gaussians import Gaussians, concatenate
from ar4d.rendering import render
from tests.support.moving import SpinningBall

SIZE, FRAMES = 64, 3


@pytest.fixture(scope="module")
def frames() -> list[Gaussians]:
    ball = SpinningBall(num_frames=FRAMES, count=2000)
    return [ball.at(k / (FRAMES - 1)) for k in range(FRAMES)]


@pytest.fixture(scope="module")
def clip(frames) -> Clip:
    """The ball's own views from the front."""
    views = [render(g, orbit(0.0, size=SIZE), background=None) for g in frames]
    straight = torch.cat([v.rgb / v.alpha[..., None].clamp_min(1e-6) for v in views])
    rgba = torch.cat([straight, torch.cat([v.alpha for v in views])[..., None]], -1)
    pixels = (rgba.clamp(0, 1) * 255).round().byte().numpy()
    return Clip(pixels, 2.0, whole_crop(SIZE, SIZE, "ball"), "ball", "alpha", ())


def sequence(frames: list[Gaussians], **changes) -> FrameSequence:
    return FrameSequence(tuple(Gaussians(**{**g.state(), **changes}) for g in frames), 2.0)


def test_a_ball_looks_alike_from_all_sides(frames, clip):
    seen = look(sequence(frames), clip, frames)
    assert seen.reference_psnr > 40
    assert seen.generated_psnr == pytest.approx(seen.reference_psnr)
    assert seen.geometry_psnr == pytest.approx(seen.reference_psnr)
    assert seen.refinement_gain == pytest.approx(0)
    assert seen.fraying == pytest.approx(1, abs=0.1)
    assert seen.specks is not None
    assert 0.5 < seen.specks < 2
    assert seen.color_change is None or seen.color_change == 0  # a ball that turns has no hidden side


def test_specks_and_stray_gaussians_show(frames, clip):
    clean = look(sequence(frames), clip)
    assert clean.specks is not None
    assert clean.fraying is not None
    noise = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0))
    assert (look(sequence(frames, colors=noise), clip).specks or 0) > 1.5 * clean.specks
    scattered = frames[0].means * (1 + 0.6 * noise[:, :1] * (noise[:, 1:2] < 0.1))
    assert (look(sequence(frames, means=scattered), clip).fraying or 0) > clean.fraying + 0.1


def test_colours_that_hide_errors_of_motion_are_told_apart(frames, clip):
    """Stage 2 that stands still and paints: its own PSNR is that of its colours, not of its geometry."""
    asset = sequence([frames[0]] * FRAMES)
    painted = [Gaussians(**{**frames[0].state(), "colors": 0.5 * g.colors}) for g in frames]
    seen = look(asset, clip, painted)
    assert seen.generated_psnr is not None
    assert seen.geometry_psnr == pytest.approx(seen.reference_psnr, abs=1e-3)
    assert seen.generated_psnr != pytest.approx(seen.reference_psnr, abs=0.5)
    assert seen.refinement_gain == pytest.approx(seen.reference_psnr - seen.generated_psnr)


def test_change_of_hidden_colours_is_measured_where_the_clip_sees_nothing(frames, clip):
    """Everything becomes darker by 0.1 a frame."""
    still = frames[0]
    darker = [Gaussians(**{**still.state(), "colors": still.colors - 0.1 * k}) for k in range(FRAMES)]
    asset = FrameSequence(tuple(darker), 2.0)
    assert look(asset, clip).color_change == pytest.approx(0.1, abs=1e-5)


def test_other_numbers_of_gaussians_or_frames_are_left_out(frames, clip):
    cleaned = sequence([g.select(torch.arange(len(g)) % 2 == 0) for g in frames])
    seen = look(cleaned, clip, frames)
    assert seen.generated_psnr is not None
    assert seen.geometry_psnr is None
    assert look(sequence(frames), clip, frames[:1]).generated_psnr is None
    assert look(sequence(frames), clip).refinement_gain is None


def test_frames_before_a_birth_are_shown_in_the_colours_of_their_own_gaussians(frames, clip):
    grown = sequence([concatenate([g, g.select(torch.arange(5))]) for g in frames])
    same = look(sequence(frames), clip, frames)
    assert look(grown, clip, frames).geometry_psnr == same.geometry_psnr


def test_an_empty_clip_gives_no_ratios_and_no_nan(frames):
    nothing = np.zeros((FRAMES, SIZE, SIZE, 4), np.uint8)
    empty = Clip(nothing, 2.0, whole_crop(SIZE, SIZE, "none"), "none", "alpha", ())
    seen = look(sequence(frames), empty)
    assert seen.specks is None
    assert seen.fraying is None
    assert all(v is None or math.isfinite(v) for v in json.loads(seen.to_json()).values())


def test_table_has_a_line_for_each_number(frames, clip):
    lines = look(sequence(frames), clip).table().splitlines()
    assert [line.split()[0] for line in lines] == list(Look.__dataclass_fields__)
    assert "–" in lines[1]
