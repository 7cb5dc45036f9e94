"""The denoising loop: DDIM with classifier-free guidance over all views at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ar4d.experts.imagedream.unet import MultiViewUNet

OnStep = Callable[[int, int], None]
"""Called after every step with the steps done and their total; may raise to stop the sampling."""


@dataclass(frozen=True)
class Guide:
    """What the sample is to show. With a picture, the last of the V rows is the picture's own."""

    text: Tensor  # [2, T, context_dim] the negative prompt, the prompt
    camera: Tensor  # [V, camera_dim]
    features: Tensor | None = None  # [257, 1280] of the picture
    latents: Tensor | None = None  # [4, h, w] of the picture


@torch.no_grad()
def denoise(
    unet: MultiViewUNet,
    scheduler: Any,
    noise: Tensor,
    guide: Guide,
    *,
    guidance: float,
    steps: int,
    on_step: OnStep | None = None,
) -> Tensor:
    """Turns noise into latents that follow the guide.

    Every step asks the network twice, in one batch: without (negative prompt, features and latents of
    zeros) and with the guide. The answer is without + guidance · (with - without).

    Args:
        unet: in any floating type; the latents stay in float32.
        scheduler: a `diffusers.DDIMScheduler`.
        noise: [V, 4, h, w], standard normal.

    Returns:
        [V, 4, h, w] latents, the picture's row included.
    """
    weight = next(unet.parameters())
    device, dtype = weight.device, weight.dtype
    views = noise.shape[0]
    condition = {
        "text": guide.text.to(device, dtype).repeat_interleave(views, 0),
        "camera": guide.camera.to(device, dtype).repeat(2, 1),
    }
    if guide.features is not None and guide.latents is not None:
        # The resampler's answer to zeros is not zero.
        tokens = unet.image_embed(_after_zeros(guide.features).to(device, dtype))
        condition["image_tokens"] = tokens.repeat_interleave(views, 0)
        condition["image_latents"] = _after_zeros(guide.latents).to(device, dtype)
    scheduler.set_timesteps(steps, device=device)
    latents = noise.to(device, torch.float32) * scheduler.init_noise_sigma
    for done, t in enumerate(scheduler.timesteps, start=1):
        timesteps = t.to(torch.float32).expand(2 * views)
        both = unet(latents.to(dtype).repeat(2, 1, 1, 1), timesteps, views=views, **condition).float()
        without, guided = both.chunk(2)
        latents = scheduler.step(without + guidance * (guided - without), t, latents).prev_sample
        if on_step is not None:
            on_step(done, steps)
    return latents


def _after_zeros(x: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(x), x])
