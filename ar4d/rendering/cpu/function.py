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
from ar4d.rendering.cpu.layout import CHUNK, SPLAT_SIZE, TILE
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
    """I instances: (splat, tile) pairs of all cameras."""

    tile_ends: np.ndarray  # [C, TY, TX] where each tile's instances end
    ids: np.ndarray  # [I] their Gaussians, tile after tile, by depth
    splats: np.ndarray  # [C, N, 10]
    boxes: np.ndarray  # [C, N, 4] pixels x0, x1, y0, y1
    touched: np.ndarray  # [C, N] tiles that each splat lies in; 0 is unseen
    ends: np.ndarray  # [C, N] its running sum


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, cameras, backdrop):
        attributes = [_array(x) for x in (means, quats, scales, opacities, colors)]
        view = _array(cameras.viewmats), _array(cameras.Ks), cameras.width, cameras.height
        bins = _project_and_bin(attributes, view)

        rgb = torch.empty(len(cameras), cameras.height, cameras.width, 3)
        depth, alpha = torch.empty(rgb.shape[:3]), torch.empty(rgb.shape[:3])
        images = rgb.numpy(), depth.numpy(), alpha.numpy()
        run(blend_tiles, bins.tile_ends.size, *bins[:4], backdrop, *images)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(means, quats, scales, rgb, depth, alpha)
            ctx.view, ctx.bins = view, bins
        return rgb, depth, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_images):
        means, quats, scales, *images = (_array(x) for x in ctx.saved_tensors)
        bins, N = ctx.bins, len(means)
        grad_instances = np.empty((len(bins.ids), SPLAT_SIZE), np.float32)
        image_arrays = *images, *(_array(g) for g in grad_images)
        run(blend_tiles_backward, bins.tile_ends.size, *bins, *image_arrays, grad_instances)

        grads = [torch.empty(N, n) for n in (3, 4, 3)] + [torch.empty(N), torch.empty(N, 3)]
        gaussians = means, quats, scales, *ctx.view, bins.touched, bins.ends
        run(project_backward, -(-N // CHUNK), *gaussians, grad_instances, *(g.numpy() for g in grads))
        return *grads, None, None


def _project_and_bin(attributes: list[np.ndarray], view: tuple) -> _Bins:
    viewmats, _, width, height = view
    C, N = len(viewmats), len(attributes[0])
    splats, boxes = np.empty((C, N, SPLAT_SIZE), np.float32), np.empty((C, N, 4), np.int32)
    touched = np.empty((C, N), np.int32)
    run(project, C * -(-N // CHUNK), *attributes, *view, splats, boxes, touched)

    ends = np.cumsum(touched, dtype=np.int64).reshape(C, N)
    tile_ends = np.empty((C, -(-height // TILE), -(-width // TILE)), np.int64)
    ids = np.empty(ends[-1, -1] if ends.size else 0, np.int32)
    run(bin_splats, C, splats.view(np.uint32), boxes, touched, ends, tile_ends, ids)
    return _Bins(tile_ends, ids, splats, boxes, touched, ends)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().contiguous().numpy()
