"""Gaussians that are not there from the first frame to the last."""

import numpy as np
import pytest
import torch

from ar4d.asset import DeformedGaussians, frame_time, load_asset
from ar4d.deformation import global_field
from ar4d.gaussians import Gaussians, concatenate
from ar4d.lifetimes import RETIRED_BELOW, aligned, at_their_best, lifetimes_of, presence
from ar4d.parameters import Parameters
from ar4d.settings import FieldSettings
from tests.support import reference


def moved(gaussians: Gaussians, by: tuple[float, float, float]) -> Gaussians:
    return Gaussians(**{**gaussians.state(), "means": gaussians.means + torch.tensor(by)})


def faded(gaussians: Gaussians, opacity: float) -> Gaussians:
    return Gaussians(**{**gaussians.state(), "opacities": torch.full_like(gaussians.opacities, opacity)})


OLD, NEW = reference.blob(40, seed=1), reference.blob(3, seed=2)
STEP = (0.1, 0.0, -0.05)


def growing() -> list[Gaussians]:
    """Four frames of a moving body; three Gaussians are born in the third."""
    frames, body, born = [], OLD, NEW
    for k in range(4):
        frames.append(concatenate([body, born]) if k >= 2 else body)
        body, born = moved(body, STEP), moved(born, STEP) if k >= 2 else born
    return frames


def test_the_unborn_ride_along_with_the_body():
    frames = growing()
    result = aligned(frames)
    for k, (before, after) in enumerate(zip(frames, result, strict=True)):
        assert len(after) == 43
        assert all(torch.equal(after.state()[n][: len(before)], v) for n, v in before.state().items())
        expected = NEW.means + (k - 2) * torch.tensor(STEP)
        torch.testing.assert_close(after.means[40:], expected, atol=1e-6, rtol=0)
    assert [bool((g.opacities[40:] == 0).all()) for g in result] == [True, True, False, False]


def test_both_branches_of_a_chain_may_grow():
    body = [moved(OLD, (0.1 * k, 0, 0)) for k in range(5)]
    late, early = NEW, moved(NEW, (0.3, 0.3, 0))
    chain = aligned([*body[2:4], concatenate([body[4], late])])  # from the canonical frame 2 forwards
    backwards = [concatenate([chain[0], early]), chain[0]]  # frame 0 has born others, on top of them
    result = aligned([*backwards, *chain])
    assert {len(g) for g in result} == {46}
    there = torch.stack([g.opacities > 0 for g in result])
    assert there[:, 40:43].tolist() == [[False] * 3] * 4 + [[True] * 3]
    assert there[:, 43:].tolist() == [[True] * 3] + [[False] * 3] * 4


def test_lifetimes_are_those_of_the_frames():
    frames = aligned(growing())
    for k in (2, 3):  # two of the body fade for good
        frames[k].opacities[:2] = RETIRED_BELOW / 2
    lifetimes = lifetimes_of(frames)
    assert lifetimes is not None
    for k in range(4):
        there = presence(lifetimes, frame_time(k, 4))
        assert torch.equal(there[:2], torch.full((2,), float(k < 2)))
        assert torch.equal(there[2:40], torch.ones(38))
        assert torch.equal(there[40:], torch.full((3,), float(k >= 2)))


def test_without_births_nothing_has_a_lifetime():
    assert lifetimes_of([OLD, moved(OLD, STEP), faded(OLD, 0.001)]) is None


@pytest.mark.parametrize("t", [0.0, 0.3, 1 / 3, 0.5, 0.61, 2 / 3, 0.9, 1.0])
def test_presence_fades_linearly_between_two_frames(t):
    lifetimes = lifetimes_of(aligned(growing()))
    assert lifetimes is not None
    expected = np.interp(t * 3, [0, 1, 2, 3], [0, 0, 1, 1])
    assert presence(lifetimes, t)[41].item() == pytest.approx(expected, abs=1e-5)
    assert presence(lifetimes, t)[5] == 1


@pytest.mark.parametrize("num_frames", [2, 3, 7, 24, 300])
def test_presence_is_exact_at_frames(num_frames):
    frames = [OLD] * num_frames
    frames[-1] = concatenate([OLD, NEW])
    lifetimes = lifetimes_of(aligned(frames))
    assert lifetimes is not None
    there = torch.stack([presence(lifetimes, frame_time(k, num_frames)) for k in range(num_frames)])
    assert set(there.unique().tolist()) == {0.0, 1.0}
    assert there[:, 40].tolist() == [0.0] * (num_frames - 1) + [1.0]


def test_the_canonical_set_has_everyone_at_the_nearest_frame_that_has_them():
    frames = aligned(growing())
    lifetimes = lifetimes_of(frames)
    assert lifetimes is not None
    best = at_their_best(frames, 0, lifetimes)
    assert torch.equal(best.opacities, torch.cat([OLD.opacities, NEW.opacities]))
    assert torch.equal(best.means, frames[0].means)


def test_a_stored_asset_keeps_lifetimes(tmp_path):
    frames = aligned(growing())
    lifetimes = lifetimes_of(frames)
    assert lifetimes is not None
    parameters = Parameters.of(at_their_best(frames, 0, lifetimes), sigmoid_colors=True)
    parameters.lifetimes = lifetimes
    settings = FieldSettings(kind="node-table", nodes=8)
    field = global_field(settings, torch.stack([g.means for g in frames]))
    asset = DeformedGaussians(parameters, field.requires_grad_(False), settings, 4, 8.0)
    asset.save(tmp_path / "asset.safetensors")
    loaded = load_asset(tmp_path / "asset.safetensors")
    for t in (0.0, 0.5, 1.0):
        assert torch.equal(loaded.at(t).opacities, asset.at(t).opacities)
    assert (loaded.at(0.0).opacities[40:] == 0).all()
    assert (loaded.at(1.0).opacities[40:] > 0).all()
