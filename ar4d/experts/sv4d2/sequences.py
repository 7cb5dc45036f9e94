"""How the tokens of a pass are arranged into sequences for attention, and what each sequence looks at.

Tokens are [B, T, V, P, C]: guidance halves, frames, views, pixels (row-major), channels.

The view blocks of the 4-view model were meant to let all V·P tokens of a frame attend to one another
(Eq. 2 of the paper: "frame"). The released code cuts the frame's list of tokens, ordered (view, pixel),
into P runs of V consecutive tokens instead ("runs"), and pairs run g of frame t with the CLIP token of
frame ⌊(g·T + t) / P⌋. The published weights are only run that way, so it is the default. The 8-view model
attends along the views at one pixel ("pixel").
"""

from __future__ import annotations

import torch
from torch import Tensor

from ar4d.experts.sv4d2.config import ViewAttention


def view_sequences(tokens: Tensor, attention: ViewAttention) -> Tensor:
    """[B, T, V, P, C] becomes [N, L, C]: the sequences of a view block, frame by frame."""
    batch, frames, views, pixels, channels = tokens.shape
    if attention == "pixel":
        return tokens.transpose(2, 3).reshape(batch * frames * pixels, views, channels)
    if attention == "runs":
        return tokens.reshape(batch * frames * pixels, views, channels)
    return tokens.reshape(batch * frames, views * pixels, channels)


def from_view_sequences(sequences: Tensor, shape: torch.Size, attention: ViewAttention) -> Tensor:
    """The inverse of `view_sequences` for tokens of `shape`."""
    batch, frames, views, pixels, channels = shape
    if attention == "pixel":
        return sequences.reshape(batch, frames, pixels, views, channels).transpose(2, 3)
    return sequences.reshape(shape)


def view_context(shape: torch.Size, attention: ViewAttention, device: torch.device) -> Tensor:
    """[N] indices into the B·T CLIP tokens: the one that each sequence of a view block looks at."""
    batch, frames, _, pixels, _ = shape
    halves = torch.arange(batch, device=device)[:, None] * frames
    if attention == "runs":
        place = torch.arange(frames, device=device)[:, None] + frames * torch.arange(pixels, device=device)
        return (halves + (place // pixels).flatten()).flatten()  # place: g·T + t, [T, P]
    rows = torch.arange(batch * frames, device=device)
    return rows.repeat_interleave(pixels) if attention == "pixel" else rows


def frame_sequences(tokens: Tensor) -> Tensor:
    """[B, T, V, P, C] becomes [B·V·P, T, C]: along the frames at one pixel of one view."""
    return tokens.permute(0, 2, 3, 1, 4).flatten(0, 2)


def from_frame_sequences(sequences: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `frame_sequences` for tokens of `shape`."""
    batch, frames, views, pixels, channels = shape
    return sequences.reshape(batch, views, pixels, frames, channels).permute(0, 3, 1, 2, 4)
