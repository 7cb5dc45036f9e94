import math

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

from ar4d.deformation import (
    DeformationMLP,
    GaussianField,
    NodeField,
    blend_weights,
    farthest_points,
    global_field,
    local_field,
    positional_encoding,
    spline,
)
from ar4d.gaussians import rotation_matrices
from ar4d.parameters import Parameters
from ar4d.settings import FieldKind, FieldSettings
from tests.test_gaussians import random_gaussians

KINDS: list[FieldKind] = ["mlp", "node-mlp", "node-table"]


def small(kind: FieldKind) -> FieldSettings:
    return FieldSettings(kind=kind, width=32, nodes=20)


def test_encoding_is_equation_4():
    x = torch.randn(5, 3, dtype=torch.float64)
    code = positional_encoding(x, 10).reshape(5, 10, 6).numpy()
    for level in range(10):
        np.testing.assert_allclose(code[:, level, :3], np.sin(2**level * x.numpy()))
        np.testing.assert_allclose(code[:, level, 3:], np.cos(2**level * x.numpy()))


def test_encoding_by_hand():
    """γ(π/2, 0) with L = 2: sines and cosines of (π/2, 0), then of (π, 0); no factor π, no x itself."""
    code = positional_encoding(torch.tensor([[math.pi / 2, 0.0]], dtype=torch.float64), 2)
    expected = torch.tensor([[1.0, 0, 0, 1, 0, 0, -1, 1]], dtype=torch.float64)
    torch.testing.assert_close(code, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("timed", [False, True])
def test_a_gaussians_offsets_are_the_network_of_its_encoded_place_and_time(timed):
    """Eq. 3: means + F_θ(γ(μ)); Eq. 9: means + F_θ(γ(μ), γ(t))."""
    gaussians, settings = random_gaussians(30), FieldSettings(width=16, frequencies=4, time_frequencies=3)
    field = global_field(settings, gaussians.means[None]) if timed else local_field(settings, gaussians.means)
    assert isinstance(field, GaussianField)
    torch.nn.init.normal_(field.net.out.weight, std=0.1)
    torch.nn.init.normal_(field.net.out.bias, std=0.1)
    code = positional_encoding(gaussians.means, 4)
    if timed:
        code = torch.cat([code, positional_encoding(torch.tensor([0.7]), 3).expand(30, -1)], -1)
    offsets = field.net(code)
    means, quats, rest = field(gaussians.means, gaussians.quats, 0.7)
    assert offsets[:, :3].abs().max() > 0.01
    torch.testing.assert_close(means, gaussians.means + offsets[:, :3])
    torch.testing.assert_close(rest, offsets[:, 3:])
    assert torch.equal(quats, gaussians.quats)


def test_no_gradient_takes_the_way_through_the_encoding():
    """∂(μ + δμ)/∂μ is the identity, however steep the network is: γ sees means without a history."""
    means = random_gaussians(20).means.requires_grad_()
    field = local_field(FieldSettings(width=16), means)
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    moved, _, offsets = field(means, torch.zeros(20, 4))
    assert torch.equal(torch.autograd.grad(moved.sum(), means, retain_graph=True)[0], torch.ones(20, 3))
    assert not torch.allclose(moved, means)
    assert torch.autograd.grad(offsets.sum(), means, allow_unused=True)[0] is None


def test_a_global_fields_nodes_follow_the_time():
    """A table has one keyframe per frame: keyframe k is what the nodes do at t = k / (F - 1)."""
    gaussians = random_gaussians(40)
    field = global_field(FieldSettings(kind="node-table", nodes=5), gaussians.means.expand(3, -1, -1))
    assert isinstance(field, NodeField)
    with torch.no_grad():
        field.table[1, :, 0] = 0.2
        field.table[2, :, 1] = -0.4
        field.table[1, :, 6:] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    for t, shift in ((0.0, [0, 0, 0]), (0.5, [0.2, 0, 0]), (1.0, [0, -0.4, 0])):
        means, _, offsets = field(gaussians.means, gaussians.quats, t)
        torch.testing.assert_close(means - gaussians.means, torch.tensor([shift]).float().expand(40, 3))
        extra = [0.1, 0.2, 0.3, 0.4] if t == 0.5 else [0.0] * 4
        torch.testing.assert_close(offsets, torch.tensor([extra]).expand(40, 4))


def test_paper_field_has_the_papers_size():
    net = DeformationMLP(60, 7, width=256, depth=8)
    weights = sum(p.numel() for name, p in net.named_parameters() if "weight" in name)
    assert weights == 60 * 256 + 7 * 256 * 256 + 60 * 256 + 256 * 7  # one skip of the input


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("timed", [False, True])
def test_first_step_changes_nothing(kind, timed):
    gaussians = random_gaussians(200)
    parameters = Parameters.of(gaussians, sigmoid_colors=True)
    field = (
        global_field(small(kind), gaussians.means.expand(5, -1, -1))
        if timed
        else local_field(small(kind), gaussians.means)
    )
    before, after = parameters.activated(), parameters.activated(field, 0.3)
    for name, value in before.state().items():
        torch.testing.assert_close(after.state()[name], value, atol=2e-6, rtol=0, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_of_a_field_learns(kind):
    gaussians = random_gaussians(200)
    field = local_field(small(kind), gaussians.means)
    torch.manual_seed(0)
    for p in field.parameters():  # away from zero, where only the last layer has a gradient
        torch.nn.init.normal_(p, std=0.1)
    means, quats, offsets = field(gaussians.means, gaussians.quats)
    (means.square().sum() + offsets.square().sum() + quats[:, 0].sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in field.parameters())


def test_node_field_moves_and_turns_rigidly():
    """All nodes with one rotation about one point and one shift: a rigid motion of everything."""
    gaussians = random_gaussians(100)
    field = NodeField(small("node-table"), gaussians.means[None], timed=False)
    quat = torch.tensor([1.0, 0.2, -0.3, 0.1])
    rotation = rotation_matrices(quat)
    shift = torch.tensor([0.1, 0.2, -0.1])
    with torch.no_grad():
        field.table[0, :, 3:6] = quat[1:]
        field.table[0, :, :3] = field.nodes @ rotation.T - field.nodes + shift
    means, quats, _ = field(gaussians.means, gaussians.quats)
    torch.testing.assert_close(means, gaussians.means @ rotation.T + shift, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(rotation_matrices(quats), rotation @ rotation_matrices(gaussians.quats))


def test_timed_mlp_knows_the_time():
    gaussians = random_gaussians(50)
    kinds: list[FieldKind] = ["mlp", "node-mlp"]
    for kind in kinds:
        field = global_field(small(kind), gaussians.means.expand(5, -1, -1))
        for parameter in field.parameters():  # away from zero, where the last layer starts
            torch.nn.init.normal_(parameter, std=0.3)
        early, late = (field(gaussians.means, gaussians.quats, t)[0] for t in (0.2, 0.21))
        assert (early - late).abs().max() > 1e-4


def test_farthest_points_cover_the_set():
    points = torch.rand(500, 3)
    chosen = points[farthest_points(points, 60)]
    spacing = torch.cdist(chosen, chosen) + torch.eye(60) * 9
    assert torch.cdist(points, chosen).min(1).values.max() <= spacing.min() + 1e-6
    assert len(farthest_points(points[:3], 60)) == 3


def test_blend_weights_are_the_nearest_and_sum_to_one():
    points = torch.rand(300, 3)
    nodes = points[:40]
    indices, weights = blend_weights(points[None], nodes[None], 4)
    nearest = ((points[:, None] - nodes[None]) ** 2).sum(-1).argsort(1)[:, :4]
    assert torch.equal(indices.sort(1).values.long(), nearest.sort(1).values)
    torch.testing.assert_close(weights.sum(1), torch.ones(300))
    assert weights[0].argmax() == (indices[0] == 0).nonzero()[0, 0]  # a node follows itself most


def test_nodes_that_leave_have_no_say():
    """Two strips lie side by side in the first frame and apart in the second."""
    along = torch.linspace(0, 1, 40)
    strips = [torch.stack([along, torch.full((40,), y), torch.zeros(40)], -1) for y in (0.0, 0.02)]
    together = torch.cat(strips)
    apart = torch.cat([strips[0], strips[1] + torch.tensor([0.0, 1.0, 0.0])])
    chosen = torch.arange(0, 80, 4)
    paths = torch.stack([together, apart])
    indices, weights = blend_weights(paths, paths[:, chosen], 4)
    own = (chosen[indices.long()] >= 40) == (torch.arange(80) >= 40)[:, None]
    assert (weights * own).sum(1).min() > 0.999
    _, once = blend_weights(paths[:1], paths[:1, chosen], 4)
    assert not torch.equal(once, weights)


def test_spline_is_hermite_and_continuous():
    keys = torch.randn(6, 4, dtype=torch.float64)
    slopes = np.gradient(keys.numpy(), axis=0)
    expected = CubicHermiteSpline(np.arange(6), keys.numpy(), slopes)
    for t in np.linspace(0, 1, 97):
        np.testing.assert_allclose(spline(keys, float(t)), expected(5 * t), atol=1e-5)
    for k in range(6):
        assert torch.equal(spline(keys, k / 5), keys[k])
    assert torch.equal(spline(keys[:1], 0.7), keys[0])
    assert math.isfinite(float(spline(keys, 1.5).sum()))
