"""Shapes of the multi-view U-Net, and where the published weights are."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ar4d.errors import UserError
from ar4d.weights.release import Release

VIEWS = 4


@dataclass(frozen=True)
class UNetConfig:
    """Fields as in the published `unet/config.json`; the defaults are ImageDream's."""

    image_size: int = 32
    """Width and height of the latents; the pictures are eight times as large."""
    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    attention_resolutions: tuple[int, ...] = (4, 2, 1)
    """Downsampling factors at which there are transformers."""
    num_res_blocks: int = 2
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_head_channels: int = 64
    transformer_depth: int = 1
    context_dim: int = 1024
    camera_dim: int = 16
    ip_dim: int = 0
    """Number of image tokens; 0: the network takes no picture (MVDream)."""
    image_features: int = 1280
    """Channels of the picture tower, CLIP ViT-H; no entry of the published file."""

    @staticmethod
    def load(path: Path) -> UNetConfig:
        """Reads a `config.json`; entries that say nothing about the shape are passed over.

        Raises:
            UserError: the file is missing or is no such configuration.
        """
        known = {f.name for f in fields(UNetConfig)}
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in entries.items()
                if key in known
            }
            return UNetConfig(**values)
        except (OSError, ValueError, AttributeError) as error:
            raise UserError(f"{path} does not describe a U-Net ({error}); fetch it again.") from error


IMAGEDREAM_UNET = UNetConfig(ip_dim=16)

_COMMON_FILES = (
    "scheduler/scheduler_config.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
)

IMAGEDREAM = Release(
    repo="ashawkey/imagedream-ipmv-diffusers",
    files=("image_encoder/config.json", "image_encoder/model.safetensors", *_COMMON_FILES),
    gib=3.7,
    licence="OpenRAIL",
)
MVDREAM = Release(repo="ashawkey/mvdream-sd2.1-diffusers", files=_COMMON_FILES, gib=2.4, licence="OpenRAIL")
