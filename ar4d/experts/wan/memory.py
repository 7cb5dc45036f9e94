"""How Wan is fitted into a GPU: from everything at once down to a few blocks and a smaller picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ar4d.experts.hardware import GIB


@dataclass(frozen=True)
class Fit:
    """One way of using the memory."""

    name: str
    text_on_gpu: bool
    """Whether the prompt's encoder (11 GiB) runs on the GPU; else on the CPU, where it takes a minute."""
    stream_blocks: bool
    """Whether the denoiser's blocks visit the GPU one after the other instead of lying there."""
    tiles: bool
    """Whether frames are decoded in tiles."""
    scale: float = 1.0
    """Of width and height."""


FITS = (
    Fit("one network after the other", text_on_gpu=True, stream_blocks=False, tiles=False),
    Fit("prompt on the CPU, decoding in tiles", text_on_gpu=False, stream_blocks=False, tiles=True),
    Fit("block by block", text_on_gpu=False, stream_blocks=True, tiles=True),
    Fit("block by block, pictures of 70 % the size", False, True, True, scale=0.7),
)
"""From the fastest to the smallest."""


@dataclass(frozen=True)
class Weights:
    """What the networks of a release weigh, in GiB of GPU memory as they are run."""

    text_encoder: float
    transformer: float
    block: float  # one of the transformer's
    vae: float


WEIGHTS = {
    "Wan 2.2 TI2V 5B": Weights(10.6, 9.3, 0.31, 2.6),
    "Wan 2.1 T2V 1.3B": Weights(10.6, 2.7, 0.09, 0.5),
}
"""Worked out from the networks' shapes (`python -m ar4d experts --memory` does it again)."""

ACTIVATIONS_GIB = {"Wan 2.2 TI2V 5B": (6.0, 6.0), "Wan 2.1 T2V 1.3B": (5.0, 5.0)}
"""While denoising and while decoding in tiles; estimates, with room, from token counts and tile sizes."""
DECODING_WHOLE_GIB = 6.0
"""Added to decoding where it is not done in tiles; an estimate."""


def needed_gib(model: str, fit: Fit) -> float:
    """GPU memory that a way of using it needs: the largest of its three moments."""
    weights = WEIGHTS[model]
    denoising, decoding = (gib * fit.scale**2 for gib in ACTIVATIONS_GIB[model])
    transformer = 3 * weights.block if fit.stream_blocks else weights.transformer
    moments = [transformer + weights.vae + denoising]
    moments.append(weights.vae + decoding + (0 if fit.tiles else DECODING_WHOLE_GIB * fit.scale**2))
    if fit.text_on_gpu:
        moments.append(weights.text_encoder + 0.5)
    return max(moments)


def first_fit(model: str, device: torch.device) -> int:
    """Which of `FITS` to begin with: the first that the free memory holds; on a CPU the first at all."""
    if device.type != "cuda" or model not in WEIGHTS:
        return 0
    free = torch.cuda.mem_get_info(device)[0] / GIB
    fitting = [i for i, fit in enumerate(FITS) if needed_gib(model, fit) <= free]
    return fitting[0] if fitting else len(FITS) - 1


def least_gib(model: str) -> float:
    """GPU memory that the smallest way of making pictures of full size needs."""
    return min(needed_gib(model, fit) for fit in FITS if fit.scale == 1)
