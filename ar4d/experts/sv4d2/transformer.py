"""The transformer of SV4D 2.0: attention within a picture, across the views, and across the frames.

Module names are the published checkpoint's keys. Every cross-attention sees a single token, so its
softmax is 1 and it comes down to a linear map of that token, the same for all queries; `to_q`, `to_k` and
`norm2` are loaded with the rest and change nothing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.imagedream.transformer import FeedForward, SelfAttention, output_projection
from ar4d.experts.imagedream.unet import timestep_embedding
from ar4d.experts.sv4d2.config import DenoiserConfig, ViewAttention
from ar4d.experts.sv4d2.layers import Blend, Condition, Conditioned
from ar4d.experts.sv4d2.sequences import (
    frame_sequences,
    from_frame_sequences,
    from_view_sequences,
    view_context,
    view_sequences,
)

TOKENS_AT_ONCE = 65_535
"""What a block is given at a time. It bounds the feed-forward's hidden layer, 8·C channels, which would
otherwise be the largest tensor of a pass; and fused attention on CUDA takes no more sequences than this."""


class TokenAttention(nn.Module):
    """Attention to one token per sequence."""

    def __init__(self, channels: int, context_channels: int):
        super().__init__()
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, channels, bias=False)
        self.to_v = nn.Linear(context_channels, channels, bias=False)
        self.to_out = output_projection(channels)

    def forward(self, context: Tensor) -> Tensor:
        return self.to_out(self.to_v(context))


class Block(nn.Module):
    """Self-attention along a sequence, attention to its token, feed-forward; each adds to its input.

    Attributes:
        tokens_at_once: the size of the slices in which it runs.
    """

    tokens_at_once = TOKENS_AT_ONCE

    def __init__(self, channels: int, context_channels: int, head_channels: int):
        super().__init__()
        self.attn1 = SelfAttention(channels, head_channels)
        self.ff = FeedForward(channels)
        self.attn2 = TokenAttention(channels, context_channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def forward(self, sequences: Tensor, context: Tensor, index: Tensor) -> Tensor:
        """Runs the block in slices of at most `tokens_at_once` tokens.

        Args:
            sequences: [N, L, C].
            context: [M, D], the tokens that there are.
            index: [N], which of them each sequence looks at.
        """
        looked = self.attn2(context)
        out = torch.empty_like(sequences)
        count = max(1, self.tokens_at_once // sequences.shape[1])
        for start in range(0, len(sequences), count):
            part = slice(start, start + count)
            out[part] = self.run(sequences[part], looked[index[part], None])
        return out

    def run(self, x: Tensor, looked: Tensor) -> Tensor:  # [N, L, C], [N, 1, C]
        x = self.attn1(self.norm1(x)) + x
        x = x + looked
        return self.ff(self.norm3(x)) + x


class SequenceBlock(Block):
    """The same with a feed-forward in front: along the views, or along the frames."""

    def __init__(self, channels: int, context_channels: int, head_channels: int):
        super().__init__(channels, context_channels, head_channels)
        self.norm_in = nn.LayerNorm(channels)
        self.ff_in = FeedForward(channels)

    def run(self, x: Tensor, looked: Tensor) -> Tensor:
        return super().run(self.ff_in(self.norm_in(x)) + x, looked)


class Transformer(Conditioned):
    """One block per axis. The last two are blended with their inputs, each by a factor of its own."""

    def __init__(self, channels: int, config: DenoiserConfig, view_attention: ViewAttention):
        super().__init__()
        head, hidden = config.num_head_channels, 4 * channels
        self.view_attention: ViewAttention = view_attention
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([Block(channels, config.context_dim, head)])
        self.proj_out = nn.Linear(channels, channels)
        self.time_mix_blocks = nn.ModuleList([SequenceBlock(channels, config.context_dim, head)])
        self.motion_blocks = nn.ModuleList([SequenceBlock(channels, config.motion_context_dim, head)])
        self.time_mix_time_embed = _mlp(4 * config.model_channels, hidden, channels)
        self.time_mix_motion_embed = _mlp(channels, hidden, channels)
        self.time_mixer = Blend()
        self.time_mixer_motion = Blend()

    def forward(self, x: Tensor, condition: Condition) -> Tensor:  # [B*T*V, C, H, W]
        height, width = x.shape[-2:]
        tokens = self.proj_in(self.norm(x).flatten(2).mT)  # [B*T*V, P, C]
        tokens = self.within_pictures(tokens, condition).unflatten(0, condition.grid)
        tokens = self.across_views(tokens, condition)
        tokens = self.across_frames(tokens, condition, (height, width))
        return self.proj_out(tokens.flatten(0, 2)).mT.unflatten(-1, (height, width)) + x

    def within_pictures(self, tokens: Tensor, condition: Condition) -> Tensor:  # [B*T*V, P, C]
        batch, frames, views = condition.grid
        frame = torch.arange(batch * frames, device=tokens.device).repeat_interleave(views)
        return self.transformer_blocks[0](tokens, condition.clip.flatten(0, 1), frame)

    def across_views(self, tokens: Tensor, condition: Condition) -> Tensor:  # [B, T, V, P, C]
        camera = self.time_mix_time_embed(condition.embedding.unflatten(0, condition.grid)[:, 0])  # [B, V, C]
        sequences = view_sequences(tokens + camera[:, None, :, None], self.view_attention)
        index = view_context(tokens.shape, self.view_attention, tokens.device)
        changed = self.time_mix_blocks[0](sequences, condition.clip.flatten(0, 1), index)
        return self.time_mixer(tokens, from_view_sequences(changed, tokens.shape, self.view_attention))

    def across_frames(self, tokens: Tensor, condition: Condition, size: tuple[int, int]) -> Tensor:
        frames, channels = tokens.shape[1], tokens.shape[-1]
        place = timestep_embedding(torch.arange(frames, device=tokens.device), channels).to(tokens.dtype)
        sequences = frame_sequences(tokens + self.time_mix_motion_embed(place)[:, None, None])
        context = at_pixels(condition.reference.to(tokens.dtype), size)
        index = torch.arange(len(context), device=tokens.device)
        changed = self.motion_blocks[0](sequences, context, index)
        return self.time_mixer_motion(tokens, from_frame_sequences(changed, tokens.shape))


def at_pixels(latents: Tensor, size: tuple[int, int]) -> Tensor:
    """[B, V, 4, h, w] becomes [B·V·P, 4]: resized bilinearly, without a low-pass, one row per pixel."""
    resized = F.interpolate(latents.flatten(0, 1), size, mode="bilinear", align_corners=False)
    return resized.flatten(2).mT.flatten(0, 1)


def _mlp(in_channels: int, hidden: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_channels, hidden), nn.SiLU(), nn.Linear(hidden, out_channels))
