"""The losses of a step, by hand."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from ar4d.engines.sv4d2.losses import StepLoss, load_lpips, picture_loss
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.settings import LossSettings
from ar4d.errors import UserError
from ar4d.evaluation.lpips import ALEX, VGG, weight_shapes
from ar4d.rendering import Rendering, render
from ar4d.settings import ReferenceRig
from tests.support.two_sided import RIG, pictures, two_sided, with_rig
from tests.support.visual_hull import TrueViews

OPTIONS = LossSettings(picture=2.0, mask=3.0)


def rendering(value: float, alpha: float) -> Rendering:
    return Rendering(torch.full((2, 4, 4, 3), value), torch.zeros(2, 4, 4), torch.full((2, 4, 4), alpha))


def test_the_weights_act_squared():
    W = torch.tensor([1.0, 0.5])[:, None, None].expand(2, 4, 4)
    made = picture_loss(
        rendering(0.5, 0.75), torch.full((2, 4, 4, 3), 0.1), torch.full((2, 4, 4), 0.25), W, OPTIONS
    )
    # 2 · (W · 0.4)² + 3 · 0.5²
    torch.testing.assert_close(made, torch.tensor([2 * 0.16 + 0.75, 2 * 0.04 + 0.75]))


def step_loss(
    options: LossSettings, weigh: bool = True, trust: float = 1.0, rig: ReferenceRig = RIG
) -> StepLoss:
    frames = [two_sided(), two_sided(front=(0.05, 0, 0))]
    grid = TrueViews(frames, rig=rig).grid()
    grid.trust[1:] = trust
    seen = Pictures.of(pictures(frames, rig=rig), grid, rig.size, rig.elevation_deg)
    return StepLoss(seen, options, weigh)


def test_the_truth_costs_next_to_nothing_and_another_frame_does_not():
    loss = step_loss(LossSettings(clip=0.0))
    right, wrong = two_sided(), two_sided(front=(0.05, 0, 0))
    assert loss.at(right, 0, [0, 1, 2], 0).item() < 0.02
    assert loss.at(wrong, 0, [0, 1, 2], 0).item() > 2 * loss.at(right, 0, [0, 1, 2], 0).item()


@pytest.mark.parametrize(("generated", "trust"), [(0.5, 1.0), (1.0, 0.5)])
def test_generated_views_count_by_their_weight_and_trust(generated, trust):
    seen = two_sided(back=(0.1, 0, 0))
    whole = step_loss(LossSettings(generated=1.0), weigh=False)
    clip = whole.at(seen, 0, [], 0)
    views = whole.at(seen, 0, [0, 1], 0) - clip
    scaled = step_loss(LossSettings(generated=generated), weigh=False, trust=trust)
    torch.testing.assert_close(scaled.at(seen, 0, [0, 1], 0), clip + 0.5 * views)


def test_visibility_weighs_only_where_it_is_wanted_and_never_the_clip():
    seen = two_sided(back=(0.1, 0, 0))
    for options, weigh in ((LossSettings(), False), (LossSettings(visibility=False), True)):
        assert step_loss(options, weigh).at(seen, 0, [0], 0) > step_loss(LossSettings()).at(seen, 0, [0], 0)
    assert step_loss(LossSettings()).at(seen, 0, [], 0) == step_loss(LossSettings(), False).at(seen, 0, [], 0)


def test_weights_are_kept_for_a_while_and_then_made_again():
    loss = step_loss(replace(LossSettings(), visibility_every=10))
    there, moved = two_sided(), two_sided(front=(0.15, 0, 0.1), back=(0.15, 0, 0))
    loss.at(there, 0, [0], 0)
    first = loss.made[0][1]
    loss.at(moved, 0, [0], 9)
    assert loss.made[0][1] is first
    loss.at(moved, 0, [0], 10)
    assert loss.made[0][0] == 10
    assert not torch.equal(loss.made[0][1], first)


def test_lpips_is_one_more_term_for_the_generated_views(tmp_path, monkeypatch):
    random = torch.Generator().manual_seed(0)
    shapes = weight_shapes(ALEX)
    state = {name: 0.05 * torch.rand(shape, generator=random) for name, shape in shapes.items()}
    save_file(state, tmp_path / "lpips.safetensors")
    monkeypatch.setenv(ALEX.variable, str(tmp_path / "lpips.safetensors"))
    options = LossSettings(lpips=0.2, lpips_net="alex", visibility=False)
    metric = load_lpips(options, 32)
    assert metric is not None
    plain = step_loss(replace(options, lpips=0.0), rig=with_rig(size=32))
    with_metric = replace(plain, options=options, lpips=metric)
    seen = two_sided(front=(0.05, 0, 0))
    colors = seen.colors.clone().requires_grad_()
    more = with_metric.at(replace(seen, colors=colors), 0, [0, 1], 0)
    rendered = render(seen, plain.pictures.view_cameras([0, 1])).rgb
    distances = metric(rendered, plain.pictures.view_rgb[[0, 1], 0])
    expected = plain.at(seen, 0, [0, 1], 0) + options.generated * 0.2 * distances.sum()
    torch.testing.assert_close(more, expected)
    (slope,) = torch.autograd.grad(more, colors)
    assert bool(slope.isfinite().all())
    assert plain.at(seen, 0, [], 0) == with_metric.at(seen, 0, [], 0)


def test_lpips_without_its_weights_is_a_sentence(monkeypatch):
    monkeypatch.delenv(VGG.variable, raising=False)
    assert load_lpips(LossSettings(), 16) is None
    with pytest.raises(UserError, match=f"set {VGG.variable} to it, or leave out --loss.lpips"):
        load_lpips(LossSettings(lpips=0.2), 256)
    with pytest.raises(UserError, match="at least 32 pixels, and --view-size is 16"):
        load_lpips(LossSettings(lpips=0.2), 16)
