"""The networks of a release, loaded from its folders.

The U-Net is ours; the text tower, the picture tower, the autoencoder and the scheduler are the stock
ones of transformers and diffusers, built from the published configurations. Nothing is run that comes
with the weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ar4d.errors import UserError
from ar4d.experts.imagedream.config import UNetConfig
from ar4d.experts.imagedream.unet import MultiViewUNet
from ar4d.weights.loading import load_weights


@dataclass(frozen=True)
class Parts:
    """Everything that turns words, a picture and noise into four pictures."""

    unet: MultiViewUNet
    vae: Any  # diffusers.AutoencoderKL
    text_encoder: Any  # transformers.CLIPTextModel
    tokenizer: Any  # transformers.CLIPTokenizer
    scheduler: Any  # diffusers.DDIMScheduler
    image_encoder: Any | None  # transformers.CLIPVisionModel; only where the U-Net takes a picture

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.unet.parameters()).dtype

    @property
    def picture_size(self) -> int:
        """Width and height of the pictures that come out."""
        return self.unet.config.image_size * 2 ** (len(self.vae.config.block_out_channels) - 1)


def load_parts(folder: Path, device: torch.device | str, dtype: torch.dtype) -> Parts:
    """Loads a release from its folder (`unet/`, `vae/`, `text_encoder/`, …).

    Raises:
        UserError: a file cannot be read or does not fit its network.
    """
    # Imported here: the two libraries take seconds, and most runs never come this far.
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig, CLIPVisionModel

    config = UNetConfig.load(folder / "unet/config.json")
    with torch.device("meta"):
        unet = MultiViewUNet(config)
        vae: Any = AutoencoderKL.from_config(_entries(folder / "vae/config.json"))
        text_encoder = CLIPTextModel(CLIPTextConfig.from_dict(_entries(folder / "text_encoder/config.json")))
        image_encoder = None
        if config.ip_dim:
            entries = _entries(folder / "image_encoder/config.json")
            image_encoder = CLIPVisionModel(CLIPVisionConfig.from_dict(entries))
    load_weights(unet, folder / "unet/diffusion_pytorch_model.safetensors", device=device, dtype=dtype)
    load_weights(vae, folder / "vae/diffusion_pytorch_model.safetensors", device=device, dtype=dtype)
    _load_tower(text_encoder, folder / "text_encoder/model.safetensors", "text_model.", device, dtype)
    if image_encoder is not None:
        _load_tower(image_encoder, folder / "image_encoder/model.safetensors", "vision_model.", device, dtype)
    try:
        # OpenCLIP's text tower, which Stable Diffusion 2.1 took over, was trained with "!" as padding
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True, pad_token="!")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / 'tokenizer'} holds no CLIP tokenizer ({error}); fetch it again."
        ) from error
    scheduler = DDIMScheduler.from_config(_entries(folder / "scheduler/scheduler_config.json"))
    return Parts(unet, vae, text_encoder, tokenizer, scheduler, image_encoder)


def _load_tower(
    tower: nn.Module, path: Path, prefix: str, device: torch.device | str, dtype: torch.dtype
) -> None:
    """Loads a CLIP tower; transformers dropped the prefix and the stored `position_ids` in version 5."""
    load_weights(tower, path, device=device, dtype=dtype, prefix=prefix, ignored="position_ids")
    for module in tower.modules():
        if "position_ids" in module._buffers:
            positions = module.get_buffer("position_ids").shape[-1]
            module.register_buffer(
                "position_ids", torch.arange(positions, device=device)[None], persistent=False
            )


def _entries(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); fetch it again.") from error
