"""Plain float64 versions of what ar4d does fast: slow, differentiable by autograd, easy to check by eye."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import Cameras, orbit
from ar4d.gaussians import Gaussians, multiply_quaternions, rotation_matrices


def blob(num_gaussians: int, seed: int = 0, scale: float = 0.06, spread: float = 0.3) -> Gaussians:
    """Gaussians of all shapes and opacities around the origin; the quats are not unit."""
    g = torch.Generator().manual_seed(seed)
    return Gaussians(
        means=spread * torch.randn(num_gaussians, 3, generator=g),
        quats=torch.randn(num_gaussians, 4, generator=g),
        scales=scale * torch.exp(0.6 * torch.randn(num_gaussians, 3, generator=g)),
        opacities=torch.sigmoid(2 * torch.randn(num_gaussians, generator=g)),
        colors=torch.rand(num_gaussians, 3, generator=g),
    )


def cameras(width: int, height: int, count: int = 1, radius: float = 1.5) -> Cameras:
    """Cameras around the origin, for images that need not be square."""
    square = orbit([25.0 + 100.0 * i for i in range(count)], 12.0, size=max(width, height), radius=radius)
    Ks = square.Ks.clone()
    Ks[:, 0, 2], Ks[:, 1, 2] = width / 2 + 1.25, height / 2 - 0.5
    return Cameras(square.viewmats, Ks, width, height)


def rasterize(
    gaussians: Gaussians, cameras: Cameras, background: tuple[float, float, float] = (0, 0, 0)
) -> tuple[Tensor, Tensor, Tensor]:
    """Every Gaussian at every pixel, sorted by depth: rgb [C, H, W, 3], depth and alpha [C, H, W]."""
    views = [
        _rasterize_view(gaussians, viewmat.double(), K.double(), cameras.width, cameras.height)
        for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True)
    ]
    rgb, depth, alpha = torch.stack(views).split([3, 1, 1], dim=-1)
    rgb = rgb + (1 - alpha) * torch.tensor(background, dtype=torch.float64)
    return rgb, depth[..., 0], alpha[..., 0]


def _rasterize_view(g: Gaussians, viewmat: Tensor, K: Tensor, width: int, height: int) -> Tensor:
    p = g.means.double() @ viewmat[:3, :3].T + viewmat[:3, 3]
    order = p[:, 2].detach().argsort()
    order = order[p[order, 2] > 0.01]
    p, g = p[order], g.map(lambda x: x.double()[order])
    mean, covariance = _project(p, g.quats, g.scales, viewmat, K, width, height)
    conic = torch.linalg.inv(covariance)

    ys, xs = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([xs, ys], -1).reshape(-1, 2) + 0.5  # [P, 2]
    d = mean[:, None] - pixels  # [N, P, 2]
    power = -0.5 * torch.einsum("npi,nij,npj->np", d, conic, d)
    alpha = (g.opacities[:, None] * torch.exp(power)).clamp(max=0.999)
    alpha = torch.where(alpha >= 1 / 255, alpha, 0)
    closed = torch.cumprod(1 - alpha, 0) <= 1e-4  # from the Gaussian on that would close the pixel
    alpha = torch.where(closed, 0, alpha)
    left = torch.cumprod(1 - alpha, 0)
    weight = alpha * torch.cat([torch.ones_like(left[:1]), left[:-1]])  # [N, P]
    values = torch.cat([g.colors, p[:, 2:], torch.ones_like(p[:, 2:])], -1)  # [N, 5]
    return (weight.T @ values).view(height, width, 5)


def _project(
    p: Tensor, quats: Tensor, scales: Tensor, viewmat: Tensor, K: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """Mean [N, 2] and covariance [N, 2, 2] of the splats of Gaussians at p [N, 3] before the camera."""
    x, y, z = p.unbind(-1)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    u = torch.clamp(x / z, -(cx + 0.15 * width) / fx, (width - cx + 0.15 * width) / fx)
    v = torch.clamp(y / z, -(cy + 0.15 * height) / fy, (height - cy + 0.15 * height) / fy)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * u / z, zero, fy / z, -fy * v / z], -1).view(-1, 2, 3)
    V = J @ viewmat[:3, :3] @ (rotation_matrices(quats) * scales[:, None])
    covariance = V @ V.mT + 0.3 * torch.eye(2, dtype=torch.float64)
    return torch.stack([fx * x / z + cx, fy * y / z + cy], -1), covariance


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM of [B, H, W, 3] images in [0, 1]: 11×11 window at once, zeros beyond the border."""
    offsets = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window = (window / window.sum()).expand(3, 1, 11, 11)

    def blur(image: Tensor) -> Tensor:
        return F.conv2d(image.double().permute(0, 3, 1, 2), window, padding=5, groups=3)

    ma, mb = blur(a), blur(b)
    va, vb, vab = blur(a**2) - ma**2, blur(b**2) - mb**2, blur(a * b) - ma * mb
    luminance = (2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2)
    return (luminance * (2 * vab + 0.03**2) / (va + vb + 0.03**2)).mean()


def blend(
    rotations: Tensor, quats: Tensor, translations: Tensor, extras: Tensor, nodes: Tensor,
    indices: Tensor, weights: Tensor, means: Tensor, gaussian_quats: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """μ' = Σ w_k (R_k (μ - n_k) + n_k + t_k), q' = (Σ w_k q_k) ⊗ q, e' = Σ w_k e_k, as they stand."""
    k = indices.long()
    away = means[:, None] - nodes[k]  # [N, K, 3]
    moved = torch.einsum("nkij,nkj->nki", rotations[k], away) + nodes[k] + translations[k]
    turn = (weights[..., None] * quats[k]).sum(1)
    return (
        (weights[..., None] * moved).sum(1),
        multiply_quaternions(turn, gaussian_quats),
        (weights[..., None] * extras[k]).sum(1),
    )


def psnr(a: Tensor, b: Tensor) -> float:
    return -10 * math.log10(((a.double() - b.double()) ** 2).mean().item())


def relative_error(a: Tensor, b: Tensor) -> float:
    """|a - b| / |b|, b being the reference."""
    return ((a.double() - b.double()).norm() / b.double().norm()).item()
