import numpy as np
import pytest
import torch

from ar4d.cameras import orbit
from ar4d.errors import UserError
from ar4d.experts.silhouette import Silhouette, half_thickness
from ar4d.rendering import render
from tests.conftest import ball_frames


def picture(size: int = 128) -> torch.Tensor:
    return torch.from_numpy(ball_frames(1, size)[0]).float() / 255


def test_thickness_of_a_disc_is_a_flattened_ball():
    ys, xs = np.mgrid[:101, :101] - 50
    radius = 40.0
    half = half_thickness(np.hypot(xs, ys) <= radius, curvature=4.0)
    squared = np.maximum(radius**2 - xs**2 - ys**2, 0)
    assert abs(half**2 - squared).max() < 0.05 * radius**2  # the grid's outline is a pixel wide
    assert half[50, 50] == pytest.approx(radius, rel=0.03)


def test_thickness_of_a_strip():
    mask = np.zeros((400, 41), bool)
    mask[:, 10:31] = True  # 21 wide, far from its ends
    assert half_thickness(mask, 2.0)[200, 20] == pytest.approx(22 / 2, rel=0.02)


def test_shows_the_picture_from_the_reference_camera():
    rgba = picture()
    view = render(Silhouette().lift(rgba, 4000), orbit(0.0, size=128))
    target = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
    assert -10 * (view.rgb[0] - target).square().mean().log10() > 22
    covered, wanted = view.alpha[0] > 0.5, rgba[..., 3] > 0.5
    assert (covered & wanted).sum() / (covered | wanted).sum() > 0.93


@pytest.mark.parametrize("azimuth", [90.0, 180.0, -90.0])
def test_is_closed_from_every_side(azimuth):
    """No gap between front and back: inside its outline, the body is opaque."""
    alpha = render(Silhouette().lift(picture(), 4000), orbit(azimuth, size=128)).alpha[0].numpy()
    columns = np.flatnonzero((alpha > 0.5).any(0))
    rows = alpha[(alpha > 0.5).sum(1) > 4]  # the rim's first rows are thin
    inside = [row[np.flatnonzero(row > 0.5)[0] : np.flatnonzero(row > 0.5)[-1] + 1] for row in rows]
    assert min(x.min() for x in inside) > 0.5
    assert columns[-1] - columns[0] > 25  # it has a thickness


@pytest.mark.parametrize("budget", [1000, 4000])
def test_keeps_to_the_budget(budget):
    assert len(Silhouette().lift(picture(256), budget)) == pytest.approx(budget, rel=0.15)


@pytest.mark.parametrize("elevation", [30.0, -20.0])
def test_a_raised_camera_sees_the_same_picture(elevation):
    rgba = picture(64)
    expert = Silhouette()
    level = render(expert.lift(rgba, 1500), orbit(0.0, size=64)).rgb
    raised = render(expert.lift(rgba, 1500, elevation), orbit(0.0, elevation, size=64)).rgb
    assert (level - raised).abs().max() < 0.02
    assert (level - raised).abs().mean() < 2e-4


def test_four_views_are_read_by_the_first():
    views = picture(64).expand(4, -1, -1, -1).clone()
    a = Silhouette().reconstruct(views)
    views[1:] = 0
    assert torch.equal(Silhouette().reconstruct(views).means, a.means)


def test_an_empty_picture_is_a_sentence():
    with pytest.raises(UserError, match="shows no object"):
        Silhouette().lift(torch.zeros(32, 32, 4), 1000)
