"""The denoising U-Net of SV4D 2.0 (Yao, Xie et al., arXiv 2503.16396, Sec. 3).

Stable Video Diffusion's layout with a transformer that has a third block, along the frames. Module names
are the published checkpoint's keys; the wiring follows `SpatialUNetModelWithTime` of
Stability-AI/generative-models.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ar4d.experts.imagedream.unet import (
    Downsample,
    Upsample,
    embedding_mlp,
    group_norm,
    timestep_embedding,
)
from ar4d.experts.sv4d2.config import DenoiserConfig, ViewAttention
from ar4d.experts.sv4d2.layers import Condition, ResBlock, Stage
from ar4d.experts.sv4d2.transformer import Block, Transformer


class DenoisingUNet(nn.Module):
    """Predicts v for the latents of T frames × V views; rows are (half, frame, view)."""

    def __init__(self, config: DenoiserConfig, view_attention: ViewAttention):
        super().__init__()
        self.config = config
        self.view_attention: ViewAttention = view_attention
        base = config.model_channels
        self.time_embed = embedding_mlp(base, 4 * base)
        self.label_emb = nn.Sequential(embedding_mlp(config.vector_channels, 4 * base))

        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(config.in_channels, base, 3, padding=1))])
        channels, skips, last = base, [base], len(config.channel_mult) - 1
        for level, mult in enumerate(config.channel_mult):
            for _ in range(config.num_res_blocks):
                self.input_blocks.append(Stage(*self._layers(channels, mult * base, level)))
                channels = mult * base
                skips.append(channels)
            if level != last:
                self.input_blocks.append(Stage(Downsample(channels)))
                skips.append(channels)

        self.middle_block = Stage(
            ResBlock(channels, channels, 4 * base),
            Transformer(channels, config, view_attention),
            ResBlock(channels, channels, 4 * base),
        )

        self.output_blocks = nn.ModuleList()
        for level, mult in reversed(list(enumerate(config.channel_mult))):
            for block in range(config.num_res_blocks + 1):
                layers = self._layers(channels + skips.pop(), mult * base, level)
                channels = mult * base
                if level and block == config.num_res_blocks:
                    layers.append(Upsample(channels))
                self.output_blocks.append(Stage(*layers))
        self.out = nn.Sequential(
            group_norm(channels),
            nn.SiLU(inplace=True),
            nn.Conv2d(channels, config.out_channels, 3, padding=1),
        )

    def _layers(self, in_channels: int, out_channels: int, level: int) -> list[nn.Module]:
        layers: list[nn.Module] = [ResBlock(in_channels, out_channels, 4 * self.config.model_channels)]
        if 2**level in self.config.attention_resolutions:
            layers.append(Transformer(out_channels, self.config, self.view_attention))
        return layers

    def set_tokens_at_once(self, count: int) -> None:
        """Sets the size of the slices in which the transformers' blocks run; results are the same."""
        for module in self.modules():
            if isinstance(module, Block):
                module.tokens_at_once = count

    def forward(self, x: Tensor, c_noise: Tensor, clip: Tensor, vector: Tensor, reference: Tensor) -> Tensor:
        """Predicts v.

        Args:
            x: [B*T*V, 8, h, w]: the scaled noisy latents, then the input frames' latents.
            c_noise: [B*T*V], ¼ ln σ.
            clip: [B, T, context_dim], the CLIP embedding of each input frame.
            vector: [B*T*V, vector_channels], the embedded noise level and angles.
            reference: [B, V, 4, h, w], latents of the views at the pass's first frame, or zeros.

        Returns:
            [B*T*V, 4, h, w].
        """
        noise_level = timestep_embedding(c_noise, self.config.model_channels).to(x.dtype)
        embedding = self.time_embed(noise_level) + self.label_emb(vector)
        condition = Condition(embedding, clip, reference)
        skips = []
        for stage in self.input_blocks:
            x = stage(x, condition)
            skips.append(x)
        x = self.middle_block(x, condition)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, skips.pop()], dim=1), condition)
        return self.out(x)
