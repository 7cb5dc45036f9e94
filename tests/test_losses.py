"""Losses against plain float64 versions, and the paper's against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from ar4d.losses import (
    Terms,
    geometry,
    photometric,
    preservation,
    pseudo_view,
    psnr,
    similarity_torch,
    ssim,
)
from ar4d.losses import (
    reference as reference_terms,
)
from ar4d.rendering import Rendering
from tests.support import reference


def images(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    a = torch.rand(*shape, 3, generator=g)
    return a, (a + 0.2 * torch.randn(*shape, 3, generator=g)).clamp(0, 1)


def view(rgb: list[list[float]], depth: list[float], alpha: list[float]) -> Rendering:
    """A picture one pixel high."""
    return Rendering(torch.tensor([[rgb]]), torch.tensor([[depth]]), torch.tensor([[alpha]]))


def pictures_loss(terms: Terms, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Of two pictures [B, H, W, 3] alone."""
    nothing = torch.zeros(a.shape[:-1])
    return terms.loss(Rendering(a, nothing, nothing), Rendering(b, nothing, nothing))


# Two pixels. Colours differ by 0.1 + 0.2 + 0.3 and by 0.6, that is 1.2 in 6 values; depths by 0.3 and 1.2
# world units, that is 0.2 and 0.8 orbit radii; alphas by 0.2 and 0.5.
ONE = view([[0.5, 0.5, 0.5], [0.2, 0.4, 0.6]], [1.0, 0.3], [0.7, 0.1])
OTHER = view([[0.4, 0.7, 0.8], [0.2, 0.4, 0.0]], [1.3, 1.5], [0.9, 0.6])
SHEER = view([[0.4, 0.7, 0.8], [0.2, 0.4, 0.0]], [1.3, 1.5], [0.9, 0.4])


def test_equation_2_by_hand() -> None:
    """(0.01 + 0.04 + 0.09 + 0.36) / 6"""
    assert reference_terms().loss(ONE, OTHER).item() == pytest.approx(0.5 / 6)


def test_equation_5_by_hand() -> None:
    """One pixel, 0.9 against 0.5: L1 is 0.4, and SSIM's window is the share w of its middle.

    w = (1 / Σ exp(-k² / 4.5))² for k = -5 … 5; means are w a, variances w a² - (w a)².
    """
    w = 0.0707622
    means = (2 * w * 0.9 * w * 0.5 + 1e-4) / ((w * 0.9) ** 2 + (w * 0.5) ** 2 + 1e-4)
    spread = w - w**2
    variances = (2 * spread * 0.9 * 0.5 + 9e-4) / (spread * (0.9**2 + 0.5**2) + 9e-4)
    a, b = torch.full((1, 1, 1, 3), 0.9), torch.full((1, 1, 1, 3), 0.5)
    expected = 0.8 * 0.4 + 0.2 * (1 - means * variances)
    assert pictures_loss(photometric(0.2), a, b).item() == pytest.approx(expected, abs=1e-5)
    assert pictures_loss(photometric(0.0), a, b).item() == pytest.approx(0.4, abs=1e-6)


def test_equation_8_by_hand() -> None:
    """l_rgb = 1.2 / 6, l_depth = (0.2 + 0.8) / 2, each times its weight."""
    assert pseudo_view(1.0, 1.0).loss(ONE, OTHER).item() == pytest.approx(0.2 + 0.5)
    assert pseudo_view(1.0, 0.0).loss(ONE, OTHER).item() == pytest.approx(0.2)
    assert pseudo_view(0.0, 1.0).loss(ONE, OTHER).item() == pytest.approx(0.5)
    assert pseudo_view(0.3, 0.7).loss(ONE, OTHER).item() == pytest.approx(0.06 + 0.35)


def test_equation_8_leaves_out_what_a_scene_does_not_cover() -> None:
    """Pixel 2 of `SHEER` is more than half transparent: 0.6 / 6 and 0.2 / 2 are left."""
    assert pseudo_view(1.0, 1.0).loss(ONE, SHEER).item() == pytest.approx(0.2 + 0.5)
    assert pseudo_view(1.0, 1.0, covered_only=True).loss(ONE, SHEER).item() == pytest.approx(0.1 + 0.1)
    assert pseudo_view(1.0, 1.0, covered_only=True).loss(ONE, OTHER).item() == pytest.approx(0.2 + 0.5)


def test_equation_11_by_hand() -> None:
    """Depth in orbit radii; colours count only where they are given a weight."""
    assert geometry(1.0, 0.0).loss(ONE, OTHER).item() == pytest.approx(0.5)
    assert geometry(0.0, 1.0).loss(ONE, OTHER).item() == pytest.approx(0.2)
    assert geometry(2.0, 0.5).loss(ONE, OTHER).item() == pytest.approx(1.0 + 0.1)


def test_preservation_by_hand() -> None:
    """Colours 1.2 / 6, alphas (0.2 + 0.5) / 2."""
    assert preservation(1.0).loss(ONE, OTHER).item() == pytest.approx(0.2 + 0.35)


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
    loss = pictures_loss(photometric(weight), a, b)
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
            loss = pictures_loss(photometric(0.2), x, b)
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
