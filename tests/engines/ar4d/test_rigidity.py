"""The rigidity energy against a plain float64 computation, and what it means."""

import math

import numpy as np
import pytest
import torch

from ar4d.deformation import NodeField, farthest_points
from ar4d.engines.ar4d.rigidity import ANCHORS, COARSE, NEAREST, NodeGraph, node_exposure
from ar4d.settings import FieldSettings
from tests.support import reference


def cloud(count: int, seed: int = 0) -> torch.Tensor:
    points = torch.rand(4 * count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return points[farthest_points(points, count)]


def rotation(r: np.ndarray) -> np.ndarray:
    """Of the quaternion (1, r), normalised."""
    w, x, y, z = np.array([1, *r]) / math.sqrt(1 + r @ r)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def plain_energy(nodes, exposed, offsets, hidden: float, seen: float) -> float:
    distances = np.linalg.norm(nodes[:, None] - nodes[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    pairs = set()
    for a in range(len(nodes)):
        near = np.argsort(distances[a])[:NEAREST]
        coarse = np.argsort(distances[a, :COARSE])[:ANCHORS]
        pairs |= {(a, int(b)) for b in (*near, *coarse)}
    total = 0.0
    for a, b in pairs:
        share = (exposed[a] + exposed[b]) / 2
        edge = nodes[b] - nodes[a]
        moved = edge + offsets[b, :3] - offsets[a, :3]
        strain = moved - rotation(offsets[a, 3:6]) @ edge
        total += (hidden * (1 - share) + seen * share) * (strain @ strain) / (edge @ edge)
    return total / len(pairs)


def test_energy_and_gradient_match_the_plain_computation():
    g = torch.Generator().manual_seed(1)
    nodes, exposed = cloud(200), torch.rand(200, generator=g, dtype=torch.float64)
    offsets = (0.2 * torch.randn(200, 10, generator=g, dtype=torch.float64)).requires_grad_()
    graph = NodeGraph.of(nodes, exposed, 0.7, 0.02)
    expected = plain_energy(nodes.numpy(), exposed.numpy(), offsets.detach().numpy(), 0.7, 0.02)
    assert graph.energy(offsets).item() == pytest.approx(expected, rel=1e-9)
    few = torch.randn(9, 6, generator=g, dtype=torch.float64).requires_grad_()
    small = NodeGraph.of(cloud(9), exposed[:9], 0.7, 0.02)
    assert torch.autograd.gradcheck(small.energy, few)


def test_kernel_matches_the_torch_version():
    g = torch.Generator().manual_seed(1)
    nodes, exposed = cloud(200), torch.rand(200, generator=g, dtype=torch.float64)
    exact = (0.2 * torch.randn(200, 10, generator=g, dtype=torch.float64)).requires_grad_()
    single = exact.detach().float().requires_grad_()
    expected = NodeGraph.of(nodes, exposed, 0.7, 0.02).energy(exact)
    value = NodeGraph.of(nodes.float(), exposed.float(), 0.7, 0.02).energy(single)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(3 * value, single)
    (expected_gradient,) = torch.autograd.grad(3 * expected, exact)
    assert reference.relative_error(gradient, expected_gradient) < 1e-5


def test_rigid_motion_costs_nothing_and_stretching_does():
    """Twice as large is a strain of 1 on every edge, so the energy is the weight itself."""
    nodes = cloud(100)
    graph = NodeGraph.of(nodes, torch.zeros(100, dtype=torch.float64), 0.5, 0.0)
    r = torch.tensor([0.1, -0.3, 0.2], dtype=torch.float64)
    turn = torch.from_numpy(rotation(r.numpy()))
    moved = nodes @ turn.T + torch.tensor([0.3, 0.1, -0.2])
    rigid = torch.cat([moved - nodes, r.expand(100, 3)], 1)
    assert graph.energy(rigid) < 1e-20
    stretched = torch.cat([nodes, torch.zeros(100, 3)], 1)
    assert graph.energy(stretched).item() == pytest.approx(0.5)


def test_what_the_clip_sees_may_be_weaker():
    nodes = cloud(100)
    stretched = torch.cat([nodes, torch.zeros(100, 3)], 1)
    energies = [
        NodeGraph.of(nodes, torch.full((100,), e, dtype=torch.float64), 0.5, 0.1).energy(stretched).item()
        for e in (0.0, 0.5, 1.0)
    ]
    assert energies == pytest.approx([0.5, 0.3, 0.1])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_nodes_are_no_trouble(count):
    nodes = cloud(count)
    graph = NodeGraph.of(nodes, torch.zeros(count, dtype=torch.float64), 1.0, 1.0)
    energy = graph.energy(torch.cat([nodes, torch.zeros(count, 3)], 1))
    assert energy.item() == pytest.approx(1.0 if count > 1 else 0.0)


def test_coinciding_nodes_give_no_nan():
    offsets = torch.zeros(6, 6).requires_grad_()
    energy = NodeGraph.of(torch.zeros(6, 3), torch.zeros(6), 1.0, 1.0).energy(offsets)
    (gradient,) = torch.autograd.grad(energy, offsets)
    assert energy == 0
    assert gradient.isfinite().all()


def test_a_node_is_as_exposed_as_what_follows_it():
    indices = torch.tensor([[0, 1], [0, 1], [1, 2]], dtype=torch.int32)
    weights = torch.tensor([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    exposed = node_exposure(torch.tensor([1.0, 0.0, 0.4]), indices, weights, 4)
    expected = [0.5 / 1.5, (0.5 * 1 + 0.25 * 0.4) / 0.75, 0.4, 0.0]
    assert exposed.tolist() == pytest.approx(expected)


def test_unfree_gaussians_move_with_their_nodes_but_do_not_grow_fade_or_change_colour():
    means = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    freedom = torch.linspace(0, 1, 50)
    settings = FieldSettings(kind="node-table", nodes=8, colors=True)
    fields = [NodeField(settings, means[None], timed=False, freedom=x) for x in (None, freedom)]
    for field in fields:
        with torch.no_grad():
            field.table.copy_(torch.randn(1, 8, 13, generator=torch.Generator().manual_seed(1)))
    quats = torch.tensor([1.0, 0, 0, 0]).expand(50, 4)
    all_free, held = (field(means, quats) for field in fields)
    torch.testing.assert_close(held[0], all_free[0])
    torch.testing.assert_close(held[1], all_free[1])
    torch.testing.assert_close(held[2], all_free[2] * freedom[:, None])
