"""SSIM, photometric loss and PSNR against plain float64 versions."""

from __future__ import annotations

import pytest
import torch

from ar4d.losses import photometric, psnr, similarity_torch, ssim
from tests.support import reference


def images(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    a = torch.rand(*shape, 3, generator=g)
    return a, (a + 0.2 * torch.randn(*shape, 3, generator=g)).clamp(0, 1)


@pytest.mark.parametrize("shape", [(1, 64, 64), (2, 37, 53), (3, 5, 7), (1, 130, 129), (1, 1, 1)])
def test_ssim_and_its_gradient_match_the_reference(shape: tuple[int, ...]) -> None:
    a, b = images(*shape)
    a.requires_grad_()
    exact = a.detach().double().requires_grad_()
    value, expected = ssim(a, b), reference.ssim(exact, b.double())
    assert value.item() == pytest.approx(expected.item(), abs=2e-6)
    (grad,), (expected_grad,) = torch.autograd.grad(value, a), torch.autograd.grad(expected, exact)
    assert reference.relative_error(grad, expected_grad) < 1e-4


@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_photometric_mixes_l1_and_ssim(weight: float) -> None:
    a, b = images(2, 40, 30, seed=1)
    b[0, :10] = a[0, :10]  # where both agree, L1 has no slope
    a.requires_grad_()
    exact = a.detach().double().requires_grad_()
    target = b.double()
    loss = photometric(a, b, weight)
    expected = (1 - weight) * (exact - target).abs().mean() + weight * (1 - reference.ssim(exact, target))
    assert loss.item() == pytest.approx(expected.item(), abs=2e-6)
    (grad,), (expected_grad,) = torch.autograd.grad(loss, a), torch.autograd.grad(expected, exact)
    assert reference.relative_error(grad, expected_grad) < 1e-4


def test_torch_version_for_cuda_matches_the_reference() -> None:
    a, b = (x.double() for x in images(2, 20, 17))
    a.requires_grad_()
    value, difference = similarity_torch(a, b)
    assert value.item() == pytest.approx(reference.ssim(a, b).item(), abs=1e-12)
    assert difference.item() == pytest.approx((a - b).abs().mean().item(), abs=1e-12)
    grad = torch.autograd.grad(value, a)[0]
    assert reference.relative_error(grad, torch.autograd.grad(reference.ssim(a, b), a)[0]) < 1e-10
    small = a[:1, :6, :6].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: similarity_torch(x, b[:1, :6, :6])[0], small)


def test_ssim_of_equal_images_is_one_and_flat() -> None:
    a = images(1, 48, 48)[0].requires_grad_()
    value = ssim(a, a.detach())
    assert value.item() == pytest.approx(1, abs=1e-6)
    assert torch.autograd.grad(value, a)[0].abs().max() < 1e-6


def test_same_bits_for_any_number_of_threads() -> None:
    a, b = images(2, 150, 170)
    results, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            x = a.clone().requires_grad_()
            loss = photometric(x, b, 0.2)
            results.append((loss.detach(), *torch.autograd.grad(loss, x)))
    finally:
        torch.set_num_threads(before)
    for loss, grad in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(grad, results[0][1])


def test_memory_layout_does_not_matter() -> None:
    a, b = images(2, 33, 40)
    rearranged = a.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    assert not rearranged.is_contiguous()
    assert torch.equal(ssim(rearranged, b), ssim(a, b))


def test_psnr() -> None:
    a, b = images(1, 20, 20)
    assert psnr(a, b).item() == pytest.approx(reference.psnr(a, b), abs=1e-4)
    assert psnr(torch.zeros(1, 4, 4, 3), torch.full((1, 4, 4, 3), 0.1)).item() == pytest.approx(20, abs=1e-4)
