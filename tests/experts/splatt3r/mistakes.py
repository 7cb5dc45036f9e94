"""Mistakes that an implementation of Splatt3R may well contain, each made on purpose.

A mistake patches our modules before a network is built. The names are those under which the original
network's answer to the same mistake was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MethodType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ar4d.experts.splatt3r import activations, dpt, network, rope
from ar4d.experts.splatt3r.blocks import Attention, CrossAttention, DecoderBlock, EncoderBlock, Mlp, attend
from ar4d.experts.splatt3r.dpt import Dpt, ResidualUnit
from ar4d.experts.splatt3r.network import RawMaps, Splatt3rNetwork
from ar4d.experts.splatt3r.rope import Rope

Patch = pytest.MonkeyPatch


def _after_init(patch: Patch, kind: type, change: Callable[[Any], None]) -> None:
    build = kind.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **options)
        change(self)

    patch.setattr(kind, "__init__", init)


def _coarse_norms(*names: str) -> Callable[[Any], None]:
    def change(module: nn.Module) -> None:
        for name, part in module.named_modules():
            if isinstance(part, nn.LayerNorm) and (not names or name in names):
                part.eps = 1e-5

    return change


def coarse_encoder_norms(patch: Patch) -> None:
    _after_init(patch, EncoderBlock, _coarse_norms())
    _after_init(patch, Splatt3rNetwork, _coarse_norms("enc_norm"))


def coarse_decoder_norms(patch: Patch) -> None:
    _after_init(patch, DecoderBlock, _coarse_norms())
    _after_init(patch, Splatt3rNetwork, _coarse_norms("dec_norm"))


def tanh_gelu(patch: Patch) -> None:
    patch.setattr(Mlp, "forward", lambda self, x: self.fc2(F.gelu(self.fc1(x), approximate="tanh")))


def columns_first(patch: Patch) -> None:
    grid = Rope.grid

    def swapped(*arguments: Any) -> Rope:
        table = grid(*arguments)
        half = table.cos.shape[-1] // 2
        return Rope(table.cos.roll(half, -1), table.sin.roll(half, -1))

    patch.setattr(Rope, "grid", swapped)


def larger_base(patch: Patch) -> None:
    patch.setattr(rope, "ROPE_BASE", 10000.0)


def no_embedding_bias(patch: Patch) -> None:
    def change(built: Splatt3rNetwork) -> None:
        def subtract(layer: Any, inputs: Any, output: Any) -> Any:
            return output - layer.bias

        built.decoder_embed.register_forward_hook(subtract)

    _after_init(patch, Splatt3rNetwork, change)


def neighbours_paired(patch: Patch) -> None:
    def turn(self: Rope, x: torch.Tensor) -> torch.Tensor:
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = (
            table.unflatten(-1, (2, 2, -1))[..., 0, :].repeat_interleave(2, -1).flatten(-2)
            for table in (self.cos, self.sin)
        )
        return x * cos + torch.stack([-odd, even], -1).flatten(-2) * sin

    patch.setattr(Rope, "turn", turn)


def straight_cross_attention(patch: Patch) -> None:
    look = CrossAttention.forward

    def forward(self: CrossAttention, x: torch.Tensor, memory: torch.Tensor, table: Rope) -> torch.Tensor:
        return look(self, x, memory, Rope(torch.ones_like(table.cos), torch.zeros_like(table.sin)))

    patch.setattr(CrossAttention, "forward", forward)


def _decode(
    patch: Patch, *, new_tokens: bool = False, one_decoder: bool = False, last_norm: bool = True
) -> None:
    def decode(
        self: Splatt3rNetwork, encoded1: torch.Tensor, encoded2: torch.Tensor, grid: tuple[int, int]
    ) -> Any:
        x1, x2 = self.decoder_embed(encoded1), self.decoder_embed(encoded2)
        table = Rope.grid(grid[0], grid[1], self.config.dec_embed_dim // self.config.dec_num_heads, x1)
        tokens1, tokens2 = [encoded1], [encoded2]
        others = self.dec_blocks if one_decoder else self.dec_blocks2
        for block1, block2 in zip(self.dec_blocks, others, strict=True):
            old = x1
            x1 = block1(x1, x2, table)
            x2 = block2(x2, x1 if new_tokens else old, table)
            tokens1.append(x1)
            tokens2.append(x2)
        if last_norm:
            tokens1[-1], tokens2[-1] = self.dec_norm(x1), self.dec_norm(x2)
        return tokens1, tokens2

    patch.setattr(Splatt3rNetwork, "decode", decode)


def one_head(patch: Patch) -> None:
    def forward(self: Splatt3rNetwork, first: torch.Tensor, second: torch.Tensor | None = None) -> Any:
        grid = first.shape[-2] // 16, first.shape[-1] // 16
        encoded1 = self.encode(network.normalized(first))
        encoded2 = encoded1 if second is None else self.encode(network.normalized(second))
        tokens1, tokens2 = self.decode(encoded1, encoded2, grid)
        return self.downstream_head1(tokens1, grid), self.downstream_head1(tokens2, grid)

    patch.setattr(Splatt3rNetwork, "forward", forward)


def views_swapped(patch: Patch) -> None:
    run = Splatt3rNetwork.forward
    patch.setattr(
        Splatt3rNetwork,
        "forward",
        lambda self, first, second=None: run(self, first if second is None else second, first),
    )


def raw_memory(patch: Patch) -> None:
    def forward(self: DecoderBlock, x: torch.Tensor, other: torch.Tensor, table: Rope) -> torch.Tensor:
        x = x + self.attn(self.norm1(x), table)
        x = x + self.cross_attn(self.norm2(x), other, table)
        return x + self.mlp(self.norm3(x))

    patch.setattr(DecoderBlock, "forward", forward)


def _hooks(*hooks: int) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(network, "HOOKS", hooks)


def unaligned_fusion(patch: Patch) -> None:
    patch.setattr(dpt, "upsample", lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"))


def _head(index: int, layer: Callable[[], nn.Module]) -> Callable[[Patch], None]:
    def mistake(patch: Patch) -> None:
        def change(built: Dpt) -> None:
            built.head[index] = layer()

        _after_init(patch, Dpt, change)

    return mistake


def rectified_residual(patch: Patch) -> None:
    patch.setattr(
        ResidualUnit, "forward", lambda self, x: self.conv2(F.relu(self.conv1(F.relu(x)))) + F.relu(x)
    )


def _offsets(length: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(activations, "_offset_length", length)


def exponential_points(patch: Patch) -> None:
    along = activations.along
    patch.setattr(
        activations, "along", lambda v, length: along(v, torch.exp if length is torch.expm1 else length)
    )


def _activated(change: Callable[[Any, RawMaps, torch.Tensor], Any]) -> Callable[[Patch], None]:
    def mistake(patch: Patch) -> None:
        activate = activations.activate
        patch.setattr(
            activations, "activate", lambda raw, picture: change(activate(raw, picture), raw, picture)
        )

    return mistake


def _normalized(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(network, "normalized", change)


def imagenet(pictures: torch.Tensor) -> torch.Tensor:
    mean, std = (
        pictures.new_tensor(values)[:, None, None]
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    return (pictures - mean) / std


def heads_packed_first(patch: Patch) -> None:
    def forward(self: Attention, x: torch.Tensor, table: Rope) -> torch.Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        return self.proj(attend(q, k, v, table))

    def change(block: EncoderBlock) -> None:
        block.attn.forward = MethodType(forward, block.attn)

    _after_init(patch, EncoderBlock, change)


MISTAKES: dict[str, Callable[[Patch], None]] = {
    "LayerNorm eps 1e-5 in the encoder": coarse_encoder_norms,
    "LayerNorm eps 1e-5 in the decoders": coarse_decoder_norms,
    "GELU by tanh": tanh_gelu,
    "RoPE: x before y": columns_first,
    "RoPE: base 10000": larger_base,
    "decoder_embed without bias": no_embedding_bias,
    "RoPE: neighbours paired instead of halves": neighbours_paired,
    "no RoPE in cross-attention": straight_cross_attention,
    "second decoder sees the first's new tokens": lambda patch: _decode(patch, new_tokens=True),
    "one decoder for both": lambda patch: _decode(patch, one_decoder=True),
    "one head for both": one_head,
    "memory not normalised (norm_y)": raw_memory,
    "last decoder output not normalised": lambda patch: _decode(patch, last_norm=False),
    "hooks one too early (0,5,8,12)": _hooks(0, 5, 8, 12),
    "hook order reversed within decoder (0,9,6,12)": _hooks(0, 9, 6, 12),
    "fusion: align_corners off": unaligned_fusion,
    "output head: align_corners off": _head(1, lambda: nn.Upsample(scale_factor=2, mode="bilinear")),
    "output head: no ReLU": _head(3, nn.Identity),
    "output head: a ReLU after the first convolution too": _head(
        1, lambda: nn.Sequential(nn.ReLU(), nn.UpsamplingBilinear2d(scale_factor=2))
    ),
    "residual unit adds ReLU(x) instead of x": rectified_residual,
    "offset: tanh-free linear (no exp)": _offsets(lambda length: length),
    "offset: exp(d-6) without the constant": _offsets(lambda length: (length - 6).exp()),
    "points: exp instead of expm1": exponential_points,
    "scales: softplus": _activated(
        lambda made, raw, picture: replace(made, scales=F.softplus(raw.gaussians[:, 3:6].permute(0, 2, 3, 1)))
    ),
    "picture in [0,1] instead of [-1,1]": _normalized(lambda pictures: pictures),
    "ImageNet normalisation": _normalized(imagenet),
    "no colour residual": _activated(
        lambda made, raw, picture: replace(made, colors=made.colors - picture.permute(0, 2, 3, 1) + 0.5)
    ),
    "views swapped": views_swapped,
    "qkv as (head, 3, d)": heads_packed_first,
    "covariance: quaternion read as wxyz": _activated(
        lambda made, raw, picture: replace(made, quats=made.quats[..., [1, 2, 3, 0]])
    ),
}
"""30 mistakes. Without one of them, nothing may differ."""
