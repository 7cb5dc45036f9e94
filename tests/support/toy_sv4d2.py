"""SV4D 2.0 in miniature: the size of the recorded numbers, a still smaller one, and its checkpoint."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import torch
from safetensors.torch import save_file

from ar4d.experts.sv4d2 import checkpoint
from ar4d.experts.sv4d2.config import (
    SV4D2,
    SV4D2_8VIEWS,
    AutoencoderConfig,
    ClipConfig,
    DenoiserConfig,
    Sv4d2Config,
)
from tests.support.toy_networks import hashed

GOLDEN_DENOISER = DenoiserConfig(
    model_channels=32,
    channel_mult=(1, 2, 2),
    attention_resolutions=(2, 1),
    num_head_channels=16,
    context_dim=48,
    sigma_channels=32,
    angle_channels=48,
)


def golden(config: Sv4d2Config, frames: int, azimuths_deg: tuple[float, ...]) -> Sv4d2Config:
    """A published model at the size at which the original's numbers were recorded."""
    return dataclasses.replace(
        config,
        frames=frames,
        azimuths_deg=azimuths_deg,
        size=96,
        steps=3,
        denoiser=GOLDEN_DENOISER,
        autoencoder=AutoencoderConfig(ch=32, ch_mult=(1, 1, 2, 2), num_res_blocks=1),
        clip=ClipConfig(width=64, layers=3, heads=4, embed_dim=48),
    )


def tiny(config: Sv4d2Config) -> Sv4d2Config:
    """A published model with its own numbers of frames and views, as small as it can be.

    The middle block sees 3 × 3 pixels, no multiple of the views, as 9 × 9 at full size.
    """
    return dataclasses.replace(
        config,
        size=12,
        steps=2,
        denoiser=DenoiserConfig(
            model_channels=32,
            channel_mult=(1, 2),
            num_res_blocks=1,
            attention_resolutions=(1,),
            num_head_channels=16,
            context_dim=16,
            sigma_channels=8,
            angle_channels=8,
        ),
        autoencoder=AutoencoderConfig(ch=32, ch_mult=(1, 1), num_res_blocks=1),
        clip=ClipConfig(width=32, layers=2, heads=2, image_size=28, embed_dim=16),
    )


TINY = tiny(SV4D2)
TINY_8VIEWS = tiny(SV4D2_8VIEWS)


def published_weights(config: Sv4d2Config) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by their published names; every number depends on its name alone."""
    shapes = checkpoint.needed(checkpoint.build_networks(config), config)
    return {key: _numbers(key, shape) for key, shape in shapes.items()}


@functools.cache
def _numbers(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    for copy in (checkpoint.VIEW_ENCODER, "conditioner.embedders.5.encoder."):
        key = key.replace(copy, checkpoint.FRAME_ENCODER)  # the published file holds equal copies
    numbers = hashed(key, shape)
    if len(shape) > 1:
        return (numbers * (3 / numbers[0].numel()) ** 0.5).float()
    return (1 + 0.2 * numbers if key.endswith("weight") else 0.2 * numbers).float()


def left_overs() -> dict[str, torch.Tensor]:
    """Some of what a published file holds besides: of CLIP's text tower, of the encoders' copies."""
    clip, copies = "conditioner.embedders.0.open_clip.model.", "conditioner.embedders."
    return {
        f"{clip}logit_scale": torch.ones(()),
        f"{clip}token_embedding.weight": torch.ones(3, 4),
        f"{copies}1.encoder.post_quant_conv.weight": torch.ones(4, 4, 1, 1),
        f"{copies}4.encoder.decoder.conv_in.weight": torch.ones(2, 2),
        f"{copies}5.encoder.encoder.conv_in.weight": torch.ones(2, 2),
    }


def save_checkpoint(folder: Path, config: Sv4d2Config, **changed: torch.Tensor | None) -> Path:
    """Writes a checkpoint as published, in `folder`.

    Args:
        changed: tensors to put in place of others or beside them; None leaves one out.
    """
    tensors = {**published_weights(config), **left_overs(), **changed}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / config.release.files[0]
    save_file({key: tensor for key, tensor in tensors.items() if tensor is not None}, path)
    return path
