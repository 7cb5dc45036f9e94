"""The kernels as one differentiable function."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians
from ar4d.rendering.cpu.binning import bin_splats
from ar4d.rendering.cpu.parallel import run
from ar4d.rendering.cpu.projection import CHUNK, SPLAT_SIZE, TILE, project, project_backward
from ar4d.rendering.cpu.tiles import blend_tiles, blend_tiles_backward


def rasterize(gaussians: Gaussians, cameras: Cameras) -> tuple[Tensor, Tensor, Tensor]:
    """Blends N Gaussians into C images, front to back.

    Differentiable with respect to the five attributes. Computes in float32. Gaussians with a NaN
    in their geometry are skipped.

    Returns:
        rgb [C, H, W, 3] premultiplied, depth [C, H, W] = Σ w z, alpha [C, H, W].
    """
    g = gaussians
    attributes = [x.float() for x in (g.means, g.quats, g.scales, g.opacities, g.colors)]
    return _Rasterize.apply(*attributes, cameras)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().contiguous().numpy()


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, cameras):
        attributes = [_array(x) for x in (means, quats, scales, opacities, colors)]
        view = _array(cameras.viewmats), _array(cameras.Ks), cameras.width, cameras.height
        C, N = len(cameras), means.shape[0]
        splats = np.empty((C, N, SPLAT_SIZE), np.float32)
        boxes = np.empty((C, N, 4), np.int32)
        touched = np.empty((C, N), np.int32)
        run(project, C * -(-N // CHUNK), *attributes, *view, splats, boxes, touched)

        ends = np.cumsum(touched, dtype=np.int64).reshape(C, N)
        tile_ends = np.empty((C, -(-cameras.height // TILE), -(-cameras.width // TILE)), np.int64)
        ids = np.empty(ends[-1, -1] if ends.size else 0, np.int32)
        run(bin_splats, C, splats.view(np.uint32), boxes, touched, ends, tile_ends, ids)

        rgb = torch.empty(C, cameras.height, cameras.width, 3)
        depth, alpha = torch.empty(rgb.shape[:3]), torch.empty(rgb.shape[:3])
        images = rgb.numpy(), depth.numpy(), alpha.numpy()
        run(blend_tiles, tile_ends.size, tile_ends, ids, splats, boxes, *images)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(means, quats, scales, rgb, depth, alpha)
            ctx.view, ctx.bins = view, (tile_ends, ids, splats, boxes, touched, ends)
        return rgb, depth, alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, *grad_images):
        means, quats, scales, *images = (_array(x) for x in ctx.saved_tensors)
        *_, touched, ends = ctx.bins
        N = means.shape[0]
        instance_grads = np.empty((len(ctx.bins[1]), SPLAT_SIZE), np.float32)
        run(
            blend_tiles_backward, ctx.bins[0].size, *ctx.bins, *images, *(_array(g) for g in grad_images), instance_grads,
        )  # fmt: skip
        grads = [torch.empty(N, n) for n in (3, 4, 3)] + [torch.empty(N), torch.empty(N, 3)]
        run(
            project_backward, -(-N // CHUNK), means, quats, scales, *ctx.view, touched, ends, instance_grads,
            *(g.numpy() for g in grads),
        )  # fmt: skip
        return *grads, None
