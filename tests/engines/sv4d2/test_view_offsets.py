"""Offsets of each view (4Real-Video, Eq. 11)."""

from dataclasses import replace

import pytest
import torch

from ar4d.deformation import NodeField, global_field
from ar4d.engines.sv4d2.losses import StepLoss
from ar4d.engines.sv4d2.optimize import Fit
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.settings import LossSettings, SV4D2Settings
from ar4d.engines.sv4d2.view_offsets import ViewOffsets
from ar4d.gaussians import Gaussians
from ar4d.settings import FieldSettings
from tests.support.two_sided import RIG, pictures, two_sided
from tests.support.visual_hull import TrueViews

FIELD = FieldSettings(kind="node-table", nodes=8)


def offsets_of(gaussians: Gaussians, num_views: int) -> ViewOffsets:
    field = global_field(FIELD, gaussians.means.expand(2, -1, -1))
    assert isinstance(field, NodeField)
    return ViewOffsets(field, num_views)


OPTIONS = LossSettings(clip=0.0, generated=1.0)


def seen(options: LossSettings = OPTIONS) -> tuple[Gaussians, StepLoss]:
    """Gaussians, and pictures of which generated view 1 shows them a little to the side."""
    frames = [two_sided(), two_sided()]
    grid = TrueViews(frames).grid()
    shifted = TrueViews([replace(g, means=g.means + torch.tensor([0.08, 0.0, 0.0])) for g in frames]).grid()
    grid.rgba[2] = shifted.rgba[2]
    return two_sided(), StepLoss(
        Pictures.of(pictures(frames), grid, RIG.size, RIG.elevation_deg), options, False
    )


def test_a_views_offsets_are_blended_and_added():
    """Against a loop in float64."""
    gaussians = two_sided()
    offsets = offsets_of(gaussians, 3)
    torch.nn.init.normal_(offsets.table, generator=torch.Generator().manual_seed(0))
    found = offsets.shifted(gaussians, 1).means - gaussians.means
    table, weights = offsets.table.detach().double(), offsets.weights.double()
    for n in range(0, len(gaussians.means), 7):
        pairs = zip(weights[n], offsets.indices[n], strict=True)
        expected = torch.stack([w * table[1, i] for w, i in pairs]).sum(0)
        torch.testing.assert_close(found[n].detach().double(), expected, atol=1e-5, rtol=1e-4)
    energy = offsets.energy([0, 2]).detach()
    assert float(energy) == pytest.approx(float(table[[0, 2]].square().sum(-1).mean()), rel=1e-5)


def test_a_view_that_disagrees_is_explained_by_its_own_offsets():
    gaussians, loss = seen()
    without = loss.at(gaussians, 0, [0, 1, 2], 0).item()
    loss.offsets = offsets = offsets_of(gaussians, 3)
    assert loss.at(gaussians, 0, [0, 1, 2], 0).item() == pytest.approx(without, rel=1e-4)  # zero at first
    loss.at(gaussians, 0, [0, 1, 2], 0).backward()
    gradient = offsets.table.grad
    assert gradient is not None
    assert gradient[1].abs().sum() > 3 * gradient[[0, 2]].abs().sum() / 2
    with torch.no_grad():
        offsets.table[1, :, 0] = 0.08
    free = loss.at(gaussians, 0, [0, 1, 2], 0).item()
    assert free < 0.5 * without
    loss.options = replace(loss.options, view_offsets=100.0)
    assert loss.at(gaussians, 0, [0, 1, 2], 0).item() == pytest.approx(free + 99 * 0.08**2 / 3, rel=1e-3)


def test_the_fit_learns_them_and_drops_them():
    gaussians, loss = seen()
    base = SV4D2Settings()
    settings = replace(
        base,
        dynamic=replace(base.dynamic, iterations=4, field=FIELD, frames_per_step=1, view_offsets=True),
        static=replace(base.static, enabled=False),
    )
    fit = Fit.of(gaussians, loss.pictures, settings, 2)
    list(fit.dynamic())
    assert fit.offsets is not None
    assert fit.offsets.table.detach().abs().max() > 0
    assert fit.field is not None
    torch.testing.assert_close(fit.gaussians(1).means, fit.parameters.activated(fit.field, 1.0).means)
    plain = Fit.of(
        gaussians, loss.pictures, replace(settings, dynamic=replace(settings.dynamic, view_offsets=False)), 2
    )
    list(plain.dynamic())
    assert plain.offsets is None
