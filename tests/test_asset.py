import pytest
import torch

from ar4d.asset import DeformedGaussians, FrameSequence, frame_time, load_asset
from ar4d.deformation import global_field
from ar4d.errors import UserError
from ar4d.parameters import Parameters
from ar4d.settings import FieldKind, FieldSettings
from assets.keep_example_run import halve
from tests.test_gaussians import random_gaussians


def deformed(kind: FieldKind = "node-table", num_frames: int = 5) -> DeformedGaussians:
    torch.manual_seed(0)
    gaussians = random_gaussians(80)
    settings = FieldSettings(kind=kind, nodes=12, width=16)
    field = global_field(settings, gaussians.means.expand(num_frames, -1, -1))
    for p in field.parameters():
        torch.nn.init.normal_(p, std=0.05)
    return DeformedGaussians(Parameters.of(gaussians, True), field, settings, num_frames, 12.0)


def sequence() -> FrameSequence:
    first = random_gaussians(30)
    return FrameSequence(tuple(first.map(lambda x, k=k: x + 0.01 * k) for k in range(4)), 10.0)


@pytest.mark.parametrize("make", [deformed, lambda: deformed("mlp"), lambda: deformed("node-mlp"), sequence])
def test_saved_asset_is_the_same_at_any_time(make, tmp_path):
    asset = make()
    asset.save(tmp_path / "a.safetensors")
    again = load_asset(tmp_path / "a.safetensors")
    assert (again.num_frames, again.fps) == (asset.num_frames, asset.fps)
    for t in (0.0, 0.37, 1.0):
        for a, b in zip(asset.at(t).state().values(), again.at(t).state().values(), strict=True):
            assert torch.equal(a, b)


def test_an_asset_in_half_precision_is_almost_the_same(tmp_path):
    asset = deformed()
    asset.save(tmp_path / "whole.safetensors")
    halve(tmp_path / "whole.safetensors", tmp_path / "small.safetensors")
    again = load_asset(tmp_path / "small.safetensors")
    for a, b in zip(asset.at(0.37).state().values(), again.at(0.37).state().values(), strict=True):
        assert b.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("make", [deformed, lambda: deformed("mlp"), sequence])
def test_time_is_continuous(make):
    asset = make()
    for t in (0.1, 0.25, 0.5, 0.75, 0.9):
        step = (asset.at(t + 1e-5).means - asset.at(t).means).abs().max()
        assert step < 1e-3


def test_sequence_passes_through_its_frames():
    asset = sequence()
    for k, frame in enumerate(asset.frames):
        assert torch.equal(asset.at(frame_time(k, 4)).means, frame.means)
    between = asset.at(0.5).means
    torch.testing.assert_close(between, (asset.frames[1].means + asset.frames[2].means) / 2)


def test_times_outside_are_clamped():
    asset = deformed()
    assert torch.equal(asset.at(-1.0).means, asset.at(0.0).means)
    assert torch.equal(asset.at(2.0).means, asset.at(1.0).means)
    assert frame_time(0, 1) == 0.0


def test_broken_file_is_a_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(UserError, match="not a finished 4D asset"):
        load_asset(path)
    random_gaussians(3).save(path)  # a safetensors file, but no asset
    with pytest.raises(UserError, match="not a finished 4D asset"):
        load_asset(path)
