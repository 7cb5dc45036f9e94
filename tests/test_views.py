"""A clip seen from several azimuths."""

import json

import pytest
import torch

from ar4d.errors import UserError
from ar4d.views import ViewGrid


def grid(views=3, frames=2, size=8, azimuths=(0.0, 90.0, -90.0)):
    generator = torch.Generator().manual_seed(1)
    rgba = (torch.rand(views, frames, size, size, 4, generator=generator) * 255).round() / 255
    return ViewGrid(rgba, torch.tensor(azimuths), torch.zeros(views), torch.ones(views, frames))


def test_a_view_is_found_by_its_azimuth_modulo_360():
    views = grid()
    assert (views.row(0), views.row(90), views.row(270), views.row(-90)) == (0, 1, 2, 2)
    assert views.row(180) is None


def test_resizing_averages_light_not_colours():
    """A red pixel beside a transparent green one is red, half as opaque."""
    rgba = torch.zeros(1, 1, 2, 2, 4)
    rgba[0, 0, :, 0] = torch.tensor([1.0, 0, 0, 1])
    rgba[0, 0, :, 1] = torch.tensor([0.0, 1, 0, 0])
    views = ViewGrid(rgba, torch.zeros(1), torch.zeros(1), torch.ones(1, 1))
    torch.testing.assert_close(views.at(0, 0, 1), torch.tensor([[[1.0, 0, 0, 0.5]]]))
    assert views.at(0, 0, 4).shape == (4, 4, 4)


def test_what_was_saved_is_read_again(tmp_path):
    views = grid()
    views.save(tmp_path)
    again = ViewGrid.load(tmp_path)
    torch.testing.assert_close(again.rgba, views.rgba, atol=1e-6, rtol=0)
    assert torch.equal(again.azimuths_deg, views.azimuths_deg)
    assert torch.equal(again.trust, views.trust)


def test_a_missing_picture_and_a_damaged_record_are_named(tmp_path):
    grid().save(tmp_path)
    (tmp_path / "01" / "0001.png").unlink()
    with pytest.raises(UserError, match=r"0001\.png cannot be read"):
        ViewGrid.load(tmp_path)
    (tmp_path / "views.json").write_text(json.dumps({"azimuths_deg": [0]}))
    with pytest.raises(UserError, match=r"views\.json is not a record of views"):
        ViewGrid.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda: grid(azimuths=(10.0, 90.0, 180.0)), "at azimuth 0, not 10"),
        (lambda: grid(azimuths=(0.0, 90.0)), r"azimuths_deg of a view grid of 3 views"),
        (lambda: ViewGrid(torch.zeros(1, 2, 8, 4), *[torch.zeros(1)] * 3), r"is \[V, F, S, S, 4\], not"),
    ],
)
def test_grids_that_do_not_fit_together_are_refused(change, part):
    with pytest.raises(UserError, match=part):
        change()
