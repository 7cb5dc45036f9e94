"""Words and pictures on the way into the U-Net, latents on the way out."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.imagedream.parts import Parts

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def encode_text(parts: Parts, prompts: list[str]) -> Tensor:
    """[B, T, context_dim]: the text tower's last states, normed, padding included.

    Raises:
        UserError: a prompt is longer than the tower reads.
    """
    length = parts.text_encoder.config.max_position_embeddings
    for prompt in prompts:
        count = len(parts.tokenizer(prompt).input_ids)
        if count > length:
            raise UserError(
                f'The prompt "{prompt[:40]}…" has {count} tokens and {length} are read; shorten it.'
            )
    tokens = parts.tokenizer(prompts, padding="max_length", max_length=length, return_tensors="pt").input_ids
    return parts.text_encoder(tokens.to(parts.device)).last_hidden_state


def clip_pixels(rgb: Tensor, size: int) -> Tensor:
    """[1, 3, size, size] for CLIP: cut to 8 bits, resized bicubically with a low-pass, normalised.

    Args:
        rgb: [S, S, 3] in [0, 1].
    """
    picture = Image.fromarray((rgb.cpu().numpy() * 255).astype(np.uint8))
    resized = picture.resize((size, size), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(resized, dtype=np.float32) / 255)
    return ((pixels - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)).permute(2, 0, 1)[None]


def encode_features(parts: Parts, rgb: Tensor) -> Tensor:
    """[257, 1280]: what the picture tower's last layer but one says about `rgb` [S, S, 3]."""
    assert parts.image_encoder is not None
    pixels = clip_pixels(rgb, parts.image_encoder.config.image_size)
    output = parts.image_encoder(pixels.to(parts.device, parts.dtype), output_hidden_states=True)
    return output.hidden_states[-2][0]


def encode_latents(parts: Parts, rgb: Tensor, generator: torch.Generator) -> Tensor:
    """[4, h, w]: a sample of the autoencoder's posterior for `rgb` [S, S, 3], scaled."""
    size = (parts.picture_size, parts.picture_size)
    pixels = F.interpolate(2 * rgb.permute(2, 0, 1)[None] - 1, size, mode="bilinear", align_corners=False)
    posterior = parts.vae.encode(pixels.to(parts.device, parts.dtype)).latent_dist
    return posterior.sample(generator)[0] * parts.vae.config.scaling_factor


def decode_latents(parts: Parts, latents: Tensor) -> Tensor:
    """[V, 4, h, w] latents become [V, S, S, 3] pictures in [0, 1], float32."""
    pictures = parts.vae.decode(latents.to(parts.dtype) / parts.vae.config.scaling_factor).sample
    return (pictures.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
