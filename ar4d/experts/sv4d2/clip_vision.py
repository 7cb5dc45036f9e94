"""OpenCLIP's picture tower (ViT-H/14) on transformers' class, and the resize it was trained behind."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.experts.imagedream.encoding import CLIP_MEAN, CLIP_STD
from ar4d.experts.sv4d2.config import ClipConfig


def build_tower(config: ClipConfig) -> Any:
    """A `transformers.CLIPVisionModelWithProjection` of this shape."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=config.width,
            intermediate_size=4 * config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            patch_size=config.patch_size,
            image_size=config.image_size,
            projection_dim=config.embed_dim,
            hidden_act="gelu",
            layer_norm_eps=1e-5,
        )
    )


@torch.no_grad()
def embed(tower: Any, rgb: Tensor) -> Tensor:
    """The projected embedding of every picture, not normalised.

    Args:
        rgb: [N, 3, S, S] in [0, 1], on white.

    Returns:
        [N, embed_dim] float32.
    """
    weight = tower.visual_projection.weight
    pixels = prepare(2 * rgb.float() - 1, tower.config.image_size).to(weight.device, weight.dtype)
    return torch.cat([tower(picture[None]).image_embeds for picture in pixels]).float()


def prepare(pictures: Tensor, size: int) -> Tensor:
    """[N, 3, H, W] in [-1, 1] becomes [N, 3, size, size] as CLIP takes it, float32.

    The resize is bicubic between the corners' centres, behind a Gaussian of σ = (factor - 1) / 2 pixels
    where it shrinks: `kornia.geometry.resize(antialias=True, align_corners=True)`.
    """
    for axis in (-2, -1):
        pictures = _blur(pictures, max((pictures.shape[axis] / size - 1) / 2, 0.001), axis)
    resized = F.interpolate(pictures, (size, size), mode="bicubic", align_corners=True)
    mean, std = (torch.tensor(x, device=pictures.device)[:, None, None] for x in (CLIP_MEAN, CLIP_STD))
    return ((resized + 1) / 2 - mean) / std


def _blur(pictures: Tensor, sigma: float, axis: int) -> Tensor:
    """Convolves with a Gaussian of 2 σ to either side, mirrored at the borders."""
    count = int(max(4 * sigma, 3)) // 2 * 2 + 1
    offsets = torch.arange(count, dtype=pictures.dtype, device=pictures.device) - count // 2
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1)
    lines = pictures.movedim(axis, -1)
    padded = F.pad(lines.flatten(0, -2)[:, None], (count // 2,) * 2, mode="reflect")
    return F.conv1d(padded, kernel).reshape(lines.shape).movedim(-1, axis)
