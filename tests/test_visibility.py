"""Blending weights and exposure against the renderer and a case worked out by hand."""

import pytest
import torch

from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians
from ar4d.rendering import render
from ar4d.visibility import blending_weights, exposure


def sheets(distance: float = 0.4) -> Gaussians:
    """Two opaque sheets of 400 Gaussians, one behind the other, seen from the front."""
    x, y = torch.meshgrid(*[torch.linspace(-0.3, 0.3, 20)] * 2, indexing="xy")
    sheet = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)
    means = torch.cat([sheet + torch.tensor([0, 0, z]) for z in (distance / 2, -distance / 2)])
    count = len(means)
    return Gaussians(
        means,
        torch.tensor([1.0, 0, 0, 0]).expand(count, 4),
        torch.tensor([0.03, 0.03, 0.005]).expand(count, 3),
        torch.full((count,), 0.95),
        torch.rand(count, 3, generator=torch.Generator().manual_seed(0)),
    )


def test_weights_add_up_to_the_alpha_that_is_seen():
    gaussians, camera = sheets(), orbit(0.0, size=96)
    weights = blending_weights(gaussians, camera)
    assert weights.sum().item() == pytest.approx(render(gaussians, camera).alpha.sum().item(), rel=1e-4)


def test_the_weight_of_one_gaussian_is_what_its_colour_adds():
    gaussians, camera = sheets(), orbit(20.0, size=96)
    brighter = gaussians.colors.clone()
    brighter[7] += 1
    changed = Gaussians(**{**gaussians.state(), "colors": brighter})
    difference = (render(changed, camera).rgb - render(gaussians, camera).rgb)[..., 0].sum()
    assert blending_weights(gaussians, camera)[7].item() == pytest.approx(difference.item(), rel=1e-3)


def test_the_front_is_exposed_and_the_back_is_hidden():
    exposed = exposure(sheets(), orbit(0.0, size=96))
    inner = sheets().means[:, :2].abs().amax(1) < 0.2
    assert (exposed[:400][inner[:400]] > 0.9).all()
    assert (exposed[400:][inner[400:]] < 0.1).all()


@pytest.mark.parametrize("size", [64, 192])
def test_exposure_does_not_depend_on_the_size_of_the_picture(size):
    small, large = exposure(sheets(), orbit(0.0, size=size)), exposure(sheets(), orbit(0.0, size=128))
    assert (small - large).abs().mean() < 0.03


def test_nothing_seen_is_all_hidden():
    away = sheets()
    exposed = exposure(Gaussians(**{**away.state(), "means": away.means + 50.0}), orbit(0.0, size=32))
    assert (exposed == 0).all()
