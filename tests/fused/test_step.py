"""The fused step against autograd: losses, gradients, whole fits, threads and bad input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ar4d.asset import frame_time
from ar4d.engines.ar4d.fitting import AutogradFit, Fit, Fitted, FusedFit
from ar4d.fused.step import OWN
from ar4d.gaussians import Gaussians
from ar4d.rendering import Rendering
from ar4d.settings import LearningRates
from tests.support import reference
from tests.support.fits import CASES, HELD, SIZES, TERMS, comparisons, prepared, scene, state, table_of


def fused(fitted: Fitted) -> FusedFit:
    assert FusedFit.suits(fitted)
    return FusedFit(fitted)


@pytest.mark.parametrize("case", CASES)
def test_gradients_and_losses_are_those_of_autograd(case: str) -> None:
    """Adam's first moment after its first step is a tenth of the gradient."""
    options = CASES[case]
    terms, frames = options.get("terms", TERMS), options.get("frames", 1)
    t = frame_time(frames - 1, frames)
    slow, fast = prepared(scene(), **options), prepared(scene(), **options)
    plain, chain = AutogradFit(slow), fused(fast)
    for fit in (plain, chain):
        fit.step(0, comparisons(terms), t)
    assert chain.loss == pytest.approx(plain.loss, rel=1e-5)
    torch.testing.assert_close(chain.view, plain.view, atol=1e-5, rtol=1e-5)
    leaves = {name: getattr(slow.parameters, name) for name in OWN}
    if slow.field is not None:
        leaves["table"] = table_of(slow.field)
    for name, leaf in leaves.items():
        assert leaf.grad is not None, name
        found = torch.from_numpy(chain.fused.flat.part(chain.fused.flat.first, name)) / 0.1
        assert reference.relative_error(found, leaf.grad.double()) < 1e-5, name


@pytest.mark.parametrize("case", CASES)
def test_whole_fits_are_those_of_autograd(case: str) -> None:
    options = CASES[case]
    terms, frames = options.get("terms", TERMS), options.get("frames", 1)
    results = []
    for make in (AutogradFit, fused):
        fitted = prepared(scene(), **options)
        fit: Fit = make(fitted)
        for u in range(8):
            fit.step(u, comparisons(terms, 20.0 * u - 50), frame_time(u % frames, frames))
        results.append((state(fitted), fit.loss))
    assert results[1][1] == pytest.approx(results[0][1], rel=1e-3)
    start = state(prepared(scene(), **options))
    for name, value in results[0][0].items():
        way = (value - start[name]).norm()
        assert (results[1][0][name] - value).norm() <= 0.01 * way, name  # Adam magnifies the smallest slopes


def test_what_does_not_learn_stays() -> None:
    rates = LearningRates(means=1e-3, colors=0.0, scales=0.0, opacities=0.0, quats=0.0)
    fitted = prepared(scene(), None, rates=rates)
    before = {name: value.clone() for name, value in state(fitted).items()}
    fit = fused(fitted)
    for u in range(3):
        fit.step(u, comparisons())
    for name, value in state(fitted).items():
        assert torch.equal(value, before[name]) == (name != "means"), name


def test_same_bits_for_any_number_of_threads() -> None:
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 5, 2):
            torch.set_num_threads(threads)
            fitted = prepared(scene(3000), hold=HELD)
            fit = fused(fitted)
            for u in range(4):
                fit.step(u, comparisons(azimuth=30.0 * u))
            results.append((state(fitted), fit.loss))
    finally:
        torch.set_num_threads(before)
    for values, loss in results[1:]:
        assert loss == results[0][1]
        assert all(torch.equal(value, results[0][0][name]) for name, value in values.items())


def test_room_for_instances_grows() -> None:
    """Gaussians as large as the picture lie in all its tiles."""
    large = scene()
    large = replace(large, scales=torch.full_like(large.scales, 0.3))
    results = []
    for room in (None, [1, 1]):
        fitted = prepared(large)
        fit = fused(fitted)
        if room:
            lane = fit.fused.lane([(size, size) for size in SIZES])
            lane.views.make_room(room)
            lane.chain = fit.fused.chain(lane.views, lane.comparing)
        for u in range(2):
            fit.step(u, comparisons())
        results.append(state(fitted))
    assert all(torch.equal(value, results[0][name]) for name, value in results[1].items())


def shifted(gaussians: Gaussians, z: float) -> Gaussians:
    return replace(gaussians, means=gaussians.means + torch.tensor([0.0, 0.0, z]))


@pytest.mark.parametrize(
    "gaussians",
    [scene(1), shifted(scene(), 5.0), shifted(scene(), 1.5), scene(2)],
    ids=["one", "behind the camera", "around the camera", "two"],
)
def test_few_and_unseen_gaussians(gaussians: Gaussians) -> None:
    slow, fast = prepared(gaussians), prepared(gaussians)
    plain, chain = AutogradFit(slow), fused(fast)
    for fit in (plain, chain):
        fit.step(0, comparisons())
    assert chain.loss == pytest.approx(plain.loss, rel=1e-5)
    for name, value in state(fast).items():
        assert value.isfinite().all(), name
        torch.testing.assert_close(value, state(slow)[name], atol=1e-4, rtol=1e-4)


def test_a_frame_that_shows_nothing_is_white_and_makes_all_transparent() -> None:
    fitted = prepared(scene())
    before = fitted.parameters.logit_opacities.mean().item()
    fit = fused(fitted)
    white = [replace(c, expected=Rendering(torch.ones_like(c.expected.rgb), *(
        torch.zeros_like(c.expected.alpha) for _ in range(2)))) for c in comparisons()]  # fmt: skip
    for u in range(20):
        fit.step(u, white)
    assert fitted.parameters.logit_opacities.mean().item() < before


@pytest.mark.parametrize("name", ["means", "quats", "log_scales", "logit_opacities", "colors"])
def test_a_parameter_that_is_no_number_spoils_no_other(name: str) -> None:
    fitted = prepared(scene())
    vars(fitted.parameters)[name][7] = torch.nan
    fit = fused(fitted)
    for u in range(3):
        fit.step(u, comparisons())
    for other, value in state(fitted).items():
        others = value if other == "table" else torch.cat([value[:7], value[8:]])
        assert others.isfinite().all(), other


def test_a_target_that_is_no_number_is_named_and_the_step_not_taken() -> None:
    fitted = prepared(scene())
    fit = fused(fitted)
    before = {name: value.clone() for name, value in state(fitted).items()}
    spoiled = [
        replace(c, expected=replace(c.expected, rgb=c.expected.rgb * torch.nan)) for c in comparisons()
    ]
    fit.step(0, spoiled)
    assert set(fit.spoiled) >= {"means", "colors", "table"}
    assert all(value.isfinite().all() for value in state(fitted).values())
    assert torch.equal(state(fitted)["colors"], before["colors"])
    fit.step(1, comparisons())
    assert fit.spoiled == {}
    assert not torch.equal(state(fitted)["colors"], before["colors"])
