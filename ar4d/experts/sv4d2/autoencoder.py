"""Stable Diffusion's autoencoder as SV4D 2.0 uses it, on diffusers' `AutoencoderKL`.

The encoder comes with a `quant_conv`; the decoder is the plain picture decoder and has no
`post_quant_conv`. Both run in float32, a picture at a time, whatever the U-Net runs in.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from ar4d.experts.sv4d2.config import LATENT_CHANNELS, LATENT_SCALE, AutoencoderConfig

_RENAMED = (
    (r"\.resnets\.(\d+)", r".block.\1"),
    (r"\.downsamplers\.0\.conv", ".downsample.conv"),
    (r"\.upsamplers\.0\.conv", ".upsample.conv"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"mid_block\.block\.0", "mid.block_1"),
    (r"mid_block\.block\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])\b", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"down_blocks\.(\d+)", r"down.\1"),
)


def build_autoencoder(config: AutoencoderConfig) -> Any:
    """A `diffusers.AutoencoderKL` of this shape, with whatever weights the current device gives it."""
    from diffusers import AutoencoderKL

    levels = len(config.ch_mult)
    return AutoencoderKL.from_config(
        {
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
            "block_out_channels": [config.ch * mult for mult in config.ch_mult],
            "layers_per_block": config.num_res_blocks,
            "latent_channels": LATENT_CHANNELS,
            "use_post_quant_conv": False,
        }
    )


def original_key(key: str, config: AutoencoderConfig) -> str:
    """What the original calls the weight that diffusers calls `key`."""
    for pattern, name in _RENAMED:
        key = re.sub(pattern, name, key)
    last = len(config.ch_mult) - 1  # diffusers counts the decoder's levels from the latents outwards
    return re.sub(r"up_blocks\.(\d+)", lambda match: f"up.{last - int(match[1])}", key)


@torch.no_grad()
def encode(autoencoder: Any, rgb: Tensor) -> Tensor:
    """The latents that condition: the posterior's mean, not scaled.

    Args:
        rgb: [N, 3, S, S] in [0, 1], on white.

    Returns:
        [N, 4, s, s] float32.
    """
    weight = autoencoder.quant_conv.weight
    pictures = 2 * rgb.to(weight.device, weight.dtype) - 1
    return torch.cat([autoencoder.encode(picture[None]).latent_dist.mean for picture in pictures])


@torch.no_grad()
def decode(autoencoder: Any, latents: Tensor) -> Tensor:
    """Diffused latents [N, 4, s, s] become pictures [N, 3, S, S] in [0, 1], float32."""
    weight = autoencoder.quant_conv.weight
    scaled = latents.to(weight.device, weight.dtype) / LATENT_SCALE
    pictures = torch.cat([autoencoder.decode(latent[None]).sample for latent in scaled])
    return (pictures / 2 + 0.5).clamp(0, 1)
