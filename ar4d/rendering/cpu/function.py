"""The kernels in a row, as one differentiable function."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians
from ar4d.kernels.parallel import run
from ar4d.rendering.cpu.binning import bin_splats
from ar4d.rendering.cpu.layout import CHUNK, SPLAT_SIZE, num_tiles, table_of_views
from ar4d.rendering.cpu.projection import project
from ar4d.rendering.cpu.projection_backward import project_backward
from ar4d.rendering.cpu.tiles import blend_tiles
from ar4d.rendering.cpu.tiles_backward import blend_tiles_backward


def rasterize(
    gaussians: Gaussians, cameras: Cameras, background: tuple[float, float, float] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Blends N Gaussians into C images, front to back.

    Differentiable with respect to the five attributes. Computes in float32. Gaussians whose means,
    quats, scales or opacities hold a NaN are skipped.

    Args:
        background: what is seen through the rest of a pixel; None is black, so that rgb is premultiplied.

    Returns:
        rgb [C, H, W, 3], depth [C, H, W] = Σ w z, alpha [C, H, W].
    """
    g = gaussians.map(lambda x: x.float())
    backdrop = np.array(background or (0, 0, 0), np.float32)
    return _Rasterize.apply(g.means, g.quats, g.scales, g.opacities, g.colors, cameras, backdrop)


class _Bins(NamedTuple):
    """I instances: (splat, tile) pairs of all views."""

    views: np.ndarray  # [C, 6], see layout.py
    starts: np.ndarray  # [C + 1] where each view's instances begin
    tile_ends: np.ndarray  # [T] where each tile's instances end
    ids: np.ndarray  # [I] their Gaussians, tile after tile, by depth
    splats: np.ndarray  # [C, N, 10]
    boxes: np.ndarray  # [C, N, 4] pixels x0, x1, y0, y1
    touched: np.ndarray  # [C, N] tiles that each splat lies in; 0 is unseen
    ends: np.ndarray  # [C, N] where its instances end


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, cameras, backdrop):
        attributes = [_array(x) for x in (means, quats, scales, opacities, colors)]
        view = _array(cameras.viewmats), _array(cameras.Ks), cameras.width, cameras.height
        bins = _project_and_bin(attributes, view)
        kept_ends = np.empty_like(bins.tile_ends)

        rgb = torch.empty(len(cameras), cameras.height, cameras.width, 3)
        depth, alpha = torch.empty(rgb.shape[:3]), torch.empty(rgb.shape[:3])
        images = rgb.view(-1, 3).numpy(), depth.view(-1).numpy(), alpha.view(-1).numpy()
        run(blend_tiles, bins.tile_ends.size, *bins[:6], backdrop, kept_ends, *images)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(means, quats, scales, rgb, depth, alpha)
            ctx.view, ctx.bins, ctx.kept_ends = view, bins, kept_ends
        return rgb, depth, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_images):
        means, quats, scales, *images = (_array(x) for x in ctx.saved_tensors)
        bins, N = ctx.bins, len(means)
        instances = np.empty((len(bins.ids), SPLAT_SIZE), np.float32), np.zeros(len(bins.ids), np.bool_)
        rgb, depth, alpha, grad_rgb, grad_depth, grad_alpha = *images, *(_array(g) for g in grad_images)
        flat = rgb.reshape(-1, 3), depth.ravel(), alpha.ravel()
        grads = grad_rgb.reshape(-1, 3), grad_depth.ravel(), grad_alpha.ravel()
        before, after = bins[:3], bins[3:]
        run(
            blend_tiles_backward,
            bins.tile_ends.size,
            *before,
            ctx.kept_ends,
            *after,
            *flat,
            *grads,
            *instances,
        )

        outputs = [torch.empty(N, n) for n in (3, 4, 3)] + [torch.empty(N), torch.empty(N, 3)]
        viewmats, Ks, _, _ = ctx.view
        gaussians = means, quats, scales, viewmats, Ks, bins.views, bins.touched, bins.ends
        run(project_backward, -(-N // CHUNK), *gaussians, *instances, *(x.numpy() for x in outputs))
        return *outputs, None, None


def _project_and_bin(attributes: list[np.ndarray], view: tuple) -> _Bins:
    viewmats, Ks, width, height = view
    C, N = len(viewmats), len(attributes[0])
    views = table_of_views([(width, height)] * C)
    splats, boxes = np.empty((C, N, SPLAT_SIZE), np.float32), np.empty((C, N, 4), np.int32)
    touched = np.empty((C, N), np.int32)
    run(project, C * -(-N // CHUNK), *attributes, viewmats, Ks, views, splats, boxes, touched)

    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(touched.sum(1, dtype=np.int64))])
    ends, wanted, tile_ends = (
        np.empty((C, N), np.int64),
        np.empty(C, np.int64),
        np.empty(num_tiles(views), np.int64),
    )
    ids = np.empty(starts[-1], np.int32)
    run(bin_splats, C, views, splats.view(np.uint32), boxes, touched, starts, wanted, ends, tile_ends, ids)
    return _Bins(views, starts, tile_ends, ids, splats, boxes, touched, ends)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().contiguous().numpy()
