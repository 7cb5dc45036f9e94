import pytest
import torch

from ar4d.cameras import orbit
from ar4d.errors import UserError
from ar4d.experts.silhouette import Silhouette
from ar4d.experts.translucent import Translucent, as_opaque
from ar4d.rendering import render
from tests.support.footage import disk


def glass(alpha: float, size: int = 64) -> torch.Tensor:
    """[S, S, 4] a red disk of one transparency."""
    rgba = torch.from_numpy(disk(32, 32, 22, size=(size, size))).float() / 255
    rgba[..., 3] *= alpha
    return rgba


@pytest.mark.parametrize("opacity", [0.3, 0.6])
def test_a_see_through_subject_is_lifted_with_its_transparency(opacity):
    rgba = glass(opacity)
    gaussians = Translucent(Silhouette(), opacity).lift(rgba, 2000)
    view = render(gaussians, orbit(0.0, 0.0, size=64))
    inside = torch.from_numpy(disk(32, 32, 17, size=(64, 64)))[..., 3] == 255
    assert view.alpha[0][inside].mean() == pytest.approx(opacity, abs=0.04)


def test_four_views_are_reconstructed_with_their_transparency():
    views = glass(0.4).expand(4, -1, -1, -1)
    gaussians = Translucent(Silhouette(pseudo_budget=2000), 0.4).reconstruct(views)
    view = render(gaussians, orbit(0.0, 0.0, size=64))
    assert view.alpha[0, 32, 32] == pytest.approx(0.4, abs=0.06)


def test_without_it_the_expert_sees_nothing():
    with pytest.raises(UserError, match="shows no object"):
        Silhouette().lift(glass(0.4), 2000)


def test_alpha_is_divided_and_colours_stay():
    opaque = as_opaque(torch.tensor([[0.2, 0.4, 0.6, 0.2], [0.1, 0.1, 0.1, 0.5]]), 0.4)
    torch.testing.assert_close(opaque, torch.tensor([[0.2, 0.4, 0.6, 0.5], [0.1, 0.1, 0.1, 1.0]]))
