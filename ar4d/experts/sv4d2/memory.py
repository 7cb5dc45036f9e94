"""How SV4D 2.0 is fitted into a GPU: from everything at once down to one block of the network at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ar4d.experts.hardware import GIB
from ar4d.experts.sv4d2.transformer import TOKENS_AT_ONCE


@dataclass(frozen=True)
class Fit:
    """One way of using the memory; pictures come out the same."""

    name: str
    halves_at_once: bool
    """Whether both guidance halves go through the U-Net together."""
    stream_blocks: bool = False
    """Whether the U-Net's blocks visit the GPU one after the other instead of lying there."""
    tokens_at_once: int = TOKENS_AT_ONCE
    """Tokens in a slice of a transformer block's input."""


FITS = (
    Fit("both guidance halves at once", halves_at_once=True),
    Fit("one guidance half at a time", halves_at_once=False),
    Fit("one guidance half at a time, the network block by block", False, True, TOKENS_AT_ONCE // 4),
)
"""From the fastest to the smallest."""


@dataclass(frozen=True)
class Needs:
    """What a model takes of a GPU in half precision, in GiB."""

    unet: float
    block: float  # the largest stage of the U-Net
    autoencoder: float
    step: tuple[float, float, float]  # of `FITS`: one pass of the U-Net, beside its weights
    decoding: float  # a picture


NEEDS = {
    "SV4D 2.0": Needs(3.75, 0.46, 0.31, (4.0, 2.6, 1.8), 0.95),
    "SV4D 2.0, 8 views": Needs(3.75, 0.46, 0.31, (3.5, 2.2, 1.6), 0.95),
}
"""Worked out from the networks' shapes by `python -m ar4d experts --memory`."""
SLACK_GIB = 1.5
"""The CUDA context, what the allocator cannot use, and the convolutions' workspaces; an estimate."""


def needed_gib(model: str, index: int) -> float:
    """GPU memory that `FITS[index]` needs. CLIP (1.2 GiB) is there only before the U-Net's first step."""
    needs, fit = NEEDS[model], FITS[index]
    network = 2 * needs.block if fit.stream_blocks else needs.unet
    return network + needs.autoencoder + max(needs.step[index], needs.decoding) + SLACK_GIB


def first_fit(model: str, device: torch.device) -> int:
    """Which of `FITS` to begin with: the first that the free memory holds; on a CPU the first at all."""
    if device.type != "cuda" or model not in NEEDS:
        return 0
    free = torch.cuda.mem_get_info(device)[0] / GIB
    fitting = [index for index in range(len(FITS)) if needed_gib(model, index) <= free]
    return fitting[0] if fitting else len(FITS) - 1


def least_gib(model: str) -> float:
    """GPU memory that the smallest way needs."""
    return min(needed_gib(model, index) for index in range(len(FITS)))


def stream(network: Any, device: torch.device) -> None:
    """Has a network's blocks visit the device one at a time; they lie in the machine's own memory."""
    from diffusers.hooks import apply_group_offloading

    apply_group_offloading(
        network,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
    )
