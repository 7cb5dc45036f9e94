"""What the clip does not see learns slowly, rides along, and keeps its colour at all times."""

from dataclasses import replace

import pytest
import torch

from ar4d.asset import load_asset
from ar4d.cameras import orbit
from ar4d.deformation import local_field
from ar4d.engines.ar4d.fitting import FallingAdam
from ar4d.engines.ar4d.hold import Hold
from ar4d.lifting import lift_events
from ar4d.presets import PAPER
from ar4d.settings import FieldSettings, HoldSettings
from ar4d.visibility import exposure
from tests.support.streams import drained
from tests.test_visibility import sheets

HELD = HoldSettings(hidden_rate=0.0, rigidity_hidden=0.1, rigidity_seen=0.001)


def test_rows_learn_by_their_freedom():
    """Adam's first step is the learning rate along the sign of the gradient, whatever its size."""
    x = torch.zeros(4, 3, requires_grad=True)
    optimizer = FallingAdam(10)
    optimizer.add([x], 0.1, 1.0, torch.tensor([0.0, 0.25, 0.5, 1.0]))
    optimizer.start()
    optimizer.step((x * torch.tensor([1.0, -5.0, 0.01])).sum(), 0)
    expected = torch.tensor([0.0, 0.025, 0.05, 0.1])[:, None] * torch.tensor([-1.0, 1.0, -1.0])
    torch.testing.assert_close(x.detach(), expected)


def test_freedom_goes_from_the_hidden_share_to_one():
    camera = orbit(0.0, size=96)
    hold = Hold.of([sheets()], camera, replace(HELD, hidden_rate=0.2))
    torch.testing.assert_close(hold.freedom, 0.2 + 0.8 * exposure(sheets(), camera))


def test_seen_in_any_frame_is_seen():
    camera = orbit(0.0, size=96)
    front = sheets()
    back = replace(front, means=front.means * torch.tensor([1.0, 1.0, -1.0]))
    hold = Hold.of([front, back], camera, HELD)
    inner = front.means[:, :2].abs().amax(1) < 0.2
    assert hold.exposed is not None
    assert (hold.exposed[inner] > 0.9).all()


def test_nothing_is_held_by_default_nor_in_the_paper():
    hold = Hold.of([sheets()], orbit(0.0, size=32), HoldSettings())
    field = local_field(FieldSettings(kind="node-table", nodes=16), sheets().means)
    assert hold.freedom is None
    assert hold.rigidity(field) is None
    assert PAPER.generate.hold == PAPER.refine.hold == HoldSettings()
    assert PAPER.initialize.hidden_rate == 1
    assert not PAPER.refine.field.colors


def test_fields_without_nodes_have_no_rigidity():
    hold = Hold.of([sheets()], orbit(0.0, size=32), HELD)
    assert hold.rigidity(local_field(FieldSettings(kind="mlp", width=8, depth=2), sheets().means)) is None
    assert hold.rigidity(local_field(FieldSettings(kind="node-table", nodes=16), sheets().means)) is not None


def lifted(clip, settings):
    _, asset = drained(lift_events(clip, settings))
    return asset


def held(settings, hold: HoldSettings, **field):
    initialize = replace(settings.initialize, expert="silhouette")
    generate = replace(settings.generate, expert="silhouette", hold=hold)
    refined = replace(settings.refine, hold=hold, field=replace(settings.refine.field, **field))
    return replace(settings, initialize=initialize, generate=generate, refine=refined)


@pytest.mark.parametrize("colors", [False, True])
def test_hidden_colours_are_those_of_the_first_frame_at_all_times(clip, settings, colors):
    asset = lifted(clip, held(settings, HELD, colors=colors))
    camera = orbit(0.0, size=clip.size)
    frames = [asset.at(k / 3) for k in range(4)]
    exposed = torch.stack([exposure(g, camera) for g in frames]).amax(0)
    changes = (frames[3].colors - frames[0].colors).abs().amax(1)
    assert (exposed < 0.05).sum() > 20
    assert changes[exposed < 0.05].max() < 0.02
    assert (changes.max() > 0.01) == colors


def test_rigidity_keeps_distances_between_hidden_neighbours(clip, settings):
    """Strain of the edges between hidden Gaussians over the clip, with and without the term."""
    strains = {}
    for weight in (0.0, 10.0):
        hold = HoldSettings(hidden_rate=0.0, rigidity_hidden=weight, rigidity_seen=weight / 1000)
        asset = lifted(clip, held(settings, hold))
        first, last = asset.at(0.0), asset.at(1.0)
        hidden = (exposure(first, orbit(0.0, size=clip.size)) < 0.1).nonzero().flatten()
        near = torch.cdist(first.means[hidden], first.means[hidden]).topk(4, largest=False).indices[:, 1:]
        lengths = [
            (g.means[hidden][near] - g.means[hidden][:, None]).norm(dim=-1).clamp_min(1e-6)
            for g in (first, last)
        ]
        strains[weight] = (lengths[1] / lengths[0]).log().abs().mean().item()
    assert strains[10.0] < 0.5 * strains[0.0]


def test_an_asset_with_colours_over_time_and_held_gaussians_is_read_as_it_was_written(
    clip, settings, tmp_path
):
    asset = lifted(clip, held(settings, replace(HELD, hidden_rate=0.3), colors=True))
    asset.save(tmp_path / "asset.safetensors")
    again = load_asset(tmp_path / "asset.safetensors")
    for t in (0.0, 0.4, 1.0):
        for name, value in asset.at(t).state().items():
            assert torch.equal(value, again.at(t).state()[name]), name
