"""What the fits share: learning rates that fall, and views that are rendered once."""

import pytest
import torch

from ar4d.cameras import orbit
from ar4d.engines.ar4d import fitting
from ar4d.engines.ar4d.fitting import FallingAdam, FrameViews, ViewCache, random_stream
from ar4d.rendering import render
from tests.support.two_sided import two_sided


def test_learning_rates_fall_exponentially_to_their_share():
    slow, fast = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = FallingAdam(10)
    optimizer.add([slow], 1.0, 0.01)
    optimizer.add([fast], 0.5, 1.0)
    optimizer.start()
    rates = []
    for u in (0, 5, 9):
        optimizer.step((slow + fast).sum(), u)
        rates.append([group["lr"] for group in optimizer.adam.param_groups])
    assert rates[0] == [1.0, 0.5]
    assert rates[1] == pytest.approx([0.1, 0.5])
    assert rates[2] == pytest.approx([0.01**0.9, 0.5])
    assert slow.item() < -1  # Adam's first step is the learning rate, downhill


def test_a_view_is_rendered_once_and_from_its_azimuth(monkeypatch):
    rendered = []

    def counted(gaussians, cameras):
        rendered.append(cameras)
        return render(gaussians, cameras)

    monkeypatch.setattr(fitting, "renderer_of", lambda num_gaussians, size, device: counted)
    cache = ViewCache(two_sided(), 20.0, 12)
    first = cache.at(-30)
    assert cache.at(-30) is first
    assert cache.at(30) is not first
    expected = [orbit(azimuth, 20.0, size=12) for azimuth in (-30.0, 30.0)]
    assert [torch.equal(a.viewmats, b.viewmats) for a, b in zip(rendered, expected, strict=True)] == [
        True
    ] * 2
    assert first.rgb.shape == (1, 12, 12, 3)


def test_views_of_frames_are_kept_while_there_is_room():
    views = FrameViews([two_sided(), two_sided()], 20.0)
    expected = render(two_sided(), orbit(-30.0, 20.0, size=12))
    assert torch.equal(views.at(1, -30, 12).rgb, expected.rgb)
    assert views.at(1, -30, 12) is not views.at(1, -30, 12)  # in the memory of a CPU none is kept
    views._room = 2 * 12 * 12 * 5 * 4  # bytes of two views
    kept = [views.at(k, -30, 12) for k in (0, 1, 0)]
    assert kept[0] is kept[2]
    assert kept[0] is not kept[1]
    assert views.at(0, 30, 12) is not views.at(0, 30, 12)
    assert views.at(1, -30, 12) is kept[1]


def test_each_place_of_a_run_has_its_own_random_numbers():
    draws = [random_stream(*place).integers(2**31) for place in ((0, 2, 1), (0, 2, 1), (0, 2, 2), (1, 2, 1))]
    assert draws[0] == draws[1]
    assert len(set(draws)) == 3
