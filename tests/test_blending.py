"""Blending of node transforms against the formula as it stands, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ar4d.blending import blend, blend_torch
from ar4d.gaussians import rotation_matrices
from tests.support import reference

LEARNED = (0, 1, 2, 3, 7, 8)  # the arguments of `blend` that have gradients


def arguments(num_gaussians: int = 200, num_nodes: int = 20, K: int = 4, E: int = 4) -> list[Tensor]:
    g = torch.Generator().manual_seed(num_gaussians + K)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    quats = torch.tensor([1.0, 0, 0, 0]) + 0.3 * normal(num_nodes, 4)
    weights = torch.rand(num_gaussians, K, generator=g)
    return [
        rotation_matrices(quats),
        quats,
        normal(num_nodes, 3),
        normal(num_nodes, E),
        normal(num_nodes, 3),
        torch.randint(num_nodes, (num_gaussians, K), generator=g, dtype=torch.int32),
        weights / weights.sum(1, keepdim=True),
        normal(num_gaussians, 3),
        normal(num_gaussians, 4),
    ]


def results_and_gradients(function, args: list[Tensor]) -> list[Tensor]:
    args = [x.detach().clone().requires_grad_() if k in LEARNED else x for k, x in enumerate(args)]
    outputs = function(*args)
    g = torch.Generator().manual_seed(5)
    mixture = torch.stack([(x * torch.randn(x.shape, generator=g)).sum() for x in outputs]).sum()
    return [*outputs, *torch.autograd.grad(mixture, [args[k] for k in LEARNED])]


@pytest.mark.parametrize(("num_gaussians", "K", "E"), [(200, 4, 4), (1, 1, 1), (33, 3, 0), (5, 6, 9)])
def test_blend_and_its_gradients_match_the_formula(num_gaussians: int, K: int, E: int) -> None:
    args = arguments(num_gaussians, K=K, E=E)
    exact = [x.double() if x.is_floating_point() else x for x in args]
    names = ("means", "quats", "extras", *(f"gradient {k}" for k in LEARNED))
    ours, expected = results_and_gradients(blend, args), results_and_gradients(reference.blend, exact)
    for name, a, b in zip(names, ours, expected, strict=True):
        assert a.shape == b.shape
        assert a.numel() == 0 or reference.relative_error(a, b) < 1e-5, name


def test_torch_version_for_cuda_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    args = [x.double() if x.is_floating_point() else x for x in arguments()]
    monkeypatch.setattr("ar4d.kernels.blend.Blend.apply", blend_torch)
    for a, b in zip(
        results_and_gradients(blend, args), results_and_gradients(reference.blend, args), strict=True
    ):
        assert reference.relative_error(a, b) < 1e-12


def test_resting_nodes_leave_gaussians_where_they_are() -> None:
    args = arguments()
    args[0], args[1] = torch.eye(3).expand(20, 3, 3), torch.tensor([1.0, 0, 0, 0]).expand(20, 4)
    args[2], args[3] = torch.zeros(20, 3), torch.zeros(20, 4)
    means, quats, extras = blend(*args)
    assert torch.allclose(means, args[7], atol=1e-5)
    assert torch.allclose(quats, args[8], atol=1e-5)
    assert not extras.any()


def test_same_bits_for_any_number_of_threads() -> None:
    args = arguments(5000, num_nodes=600)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            results.append(results_and_gradients(blend, args))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
