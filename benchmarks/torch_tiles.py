"""A rasteriser in plain torch, vectorised over the pixels of a tile, with gradients by autograd.

benchmarks/rasterizer.py compares the CPU kernels with it. Semantics and outputs are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians, rotation_matrices


def rasterize(gaussians: Gaussians, cameras: Cameras, tile: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Render premultiplied rgb [C, H, W, 3], depth [C, H, W] = Σ w z and alpha [C, H, W]."""
    views = [
        _rasterize_view(gaussians, viewmat, K, cameras.width, cameras.height, tile)
        for viewmat, K in zip(cameras.viewmats, cameras.Ks, strict=True)
    ]
    images = torch.stack(views)  # [C, H, W, 5]
    return images[..., :3], images[..., 3], images[..., 4]


def _rasterize_view(g: Gaussians, viewmat: Tensor, K: Tensor, width: int, height: int, tile: int) -> Tensor:
    mean, covariance, z = _project(g, viewmat, K, width, height)
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    det = a * c - b * b
    values = torch.cat([g.colors, z[:, None], torch.ones_like(z)[:, None]], -1)  # [N, 5]
    splats = torch.cat([mean, torch.stack([c / det, -b / det, a / det, g.opacities], -1), values], -1)

    with torch.no_grad():
        reach = torch.sqrt(2 * torch.log(torch.clamp(255 * g.opacities, min=1)))
        low = mean - reach[:, None] * torch.stack([a, c], -1).sqrt()
        high = mean + reach[:, None] * torch.stack([a, c], -1).sqrt()
        seen = (z > 0.01) & (g.opacities >= 1 / 255)
        order = z.argsort()
        order = order[seen[order]]
        low, high = low[order], high[order]
    rows = []
    for top in range(0, height, tile):
        in_row = ((high[:, 1] > top) & (low[:, 1] < top + tile)).nonzero()[:, 0]
        row_low, row_high = low[in_row, 0], high[in_row, 0]
        row = []
        for left in range(0, width, tile):
            ids = order[in_row[(row_high > left) & (row_low < left + tile)]]
            row.append(_blend(splats[ids], left, top, min(tile, width - left), min(tile, height - top)))
        rows.append(torch.cat(row, dim=1))
    return torch.cat(rows, dim=0)


def _blend(splats: Tensor, left: int, top: int, width: int, height: int) -> Tensor:
    """Blend all splats [n, 11] of a tile, near to far, at all its pixels: [h, w, 5]."""
    dx = splats[:, 0, None] - (torch.arange(width) + (left + 0.5))  # [n, w]
    dy = splats[:, 1, None] - (torch.arange(height) + (top + 0.5))  # [n, h]
    a, b, c, opacity = splats[:, 2:6, None, None].unbind(1)
    power = -0.5 * (a * dx[:, None] ** 2 + c * dy[..., None] ** 2) - b * dx[:, None] * dy[..., None]
    alpha = (opacity * torch.exp(power)).clamp(max=0.999)  # [n, h, w]
    alpha = torch.where(alpha >= 1 / 255, alpha, 0)
    left_over = torch.cumprod(1 - alpha, 0)
    kept = left_over > 1e-4
    before = torch.cat([torch.ones_like(left_over[:1]), left_over[:-1]])
    weight = torch.where(kept, alpha * before, 0)
    return torch.einsum("nhw,nk->hwk", weight, splats[:, 6:])


def _project(
    g: Gaussians, viewmat: Tensor, K: Tensor, width: int, height: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Means [N, 2], covariances [N, 2, 2] and depths [N] of the splats."""
    x, y, z = (g.means @ viewmat[:3, :3].T + viewmat[:3, 3]).unbind(-1)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    u = torch.clamp(x / z, -(cx + 0.15 * width) / fx, (width - cx + 0.15 * width) / fx)
    v = torch.clamp(y / z, -(cy + 0.15 * height) / fy, (height - cy + 0.15 * height) / fy)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * u / z, zero, fy / z, -fy * v / z], -1).view(-1, 2, 3)
    V = J @ viewmat[:3, :3] @ (rotation_matrices(g.quats) * g.scales[:, None])
    return torch.stack([fx * x / z + cx, fy * y / z + cy], -1), V @ V.mT + 0.3 * torch.eye(2), z
