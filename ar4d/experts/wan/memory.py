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
    """Share of the width and height."""


FITS = (
    Fit("whole frames", text_on_gpu=True, stream_blocks=False, tiles=False),
    Fit("decoding in tiles", text_on_gpu=True, stream_blocks=False, tiles=True),
    Fit("prompt on the CPU, decoding in tiles", text_on_gpu=False, stream_blocks=False, tiles=True),
    Fit("block by block", text_on_gpu=False, stream_blocks=True, tiles=True),
    Fit("block by block, pictures of 70 % the size", False, True, True, scale=0.7),
)
"""From the fastest to the smallest."""


@dataclass(frozen=True)
class Needs:
    """What a release takes of a GPU, in GiB, at the size and length of clips made here."""

    text_encoder: float
    transformer: float
    block: float  # one of the transformer's
    vae: float
    denoising: float  # beside the weights
    decoding: float
    decoding_tile: float
    clip: float  # the decoded frames, float32


NEEDS = {
    "Wan 2.2 TI2V 5B": Needs(10.6, 9.3, 0.31, 2.6, 1.5, 18.9, 1.4, 0.82),
    "Wan 2.1 T2V 1.3B": Needs(10.6, 2.7, 0.09, 0.5, 1.5, 7.7, 1.3, 0.36),
}
"""Worked out from the networks' shapes by `python -m ar4d experts --memory`."""
SLACK_GIB = 1.5
"""The CUDA context, what the allocator cannot use, and the convolutions' workspaces; an estimate."""


def needed_gib(model: str, fit: Fit) -> float:
    """GPU memory that a way of using it needs: the largest of its three moments."""
    needs, area = NEEDS[model], fit.scale**2
    kept = (3 * needs.block if fit.stream_blocks else needs.transformer) + needs.vae
    # Tiles stay until all are there, overlap, and are blended into one clip.
    decoding = needs.decoding_tile + 3 * needs.clip * area if fit.tiles else needs.decoding * area
    moments = [kept + needs.denoising * area, kept + decoding]
    if fit.text_on_gpu:
        moments.append(needs.text_encoder + 0.1)
    return max(moments) + SLACK_GIB


def first_fit(model: str, device: torch.device) -> int:
    """Which of `FITS` to begin with: the first that the free memory holds; on a CPU the first at all."""
    if device.type != "cuda" or model not in NEEDS:
        return 0
    free = torch.cuda.mem_get_info(device)[0] / GIB
    fitting = [i for i, fit in enumerate(FITS) if needed_gib(model, fit) <= free]
    return fitting[0] if fitting else len(FITS) - 1


def least_gib(model: str) -> float:
    """GPU memory that the smallest way of making pictures of full size needs."""
    return min(needed_gib(model, fit) for fit in FITS if fit.scale == 1)
