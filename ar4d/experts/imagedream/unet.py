"""The multi-view U-Net of MVDream (arXiv 2308.16512) and ImageDream (arXiv 2312.02201).

Stable Diffusion's U-Net whose self-attention runs over all views of a sample and which receives each
view's camera. Module names are the published checkpoints' keys.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.imagedream.config import UNetConfig
from ar4d.experts.imagedream.resampler import Resampler
from ar4d.experts.imagedream.transformer import Condition, Conditioned, SpatialTransformer


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-5)


def frequencies(count: int) -> Tensor:
    """10000^(-i/count) for i = 0 … count-1, rounded to float32: the table the weights were trained with."""
    exponents = -math.log(10000) * torch.arange(count, dtype=torch.float32) / count
    return exponents.double().exp().float()


def timestep_embedding(timesteps: Tensor, channels: int) -> Tensor:
    """[B] timesteps become [B, channels]: cosines, then sines."""
    angles = timesteps[:, None] * frequencies(channels // 2).to(timesteps.device)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def embedding_mlp(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, out_channels), nn.SiLU(), nn.Linear(out_channels, out_channels)
    )


class ResBlock(Conditioned):
    def __init__(self, in_channels: int, out_channels: int, embedding_channels: int):
        super().__init__()
        self.in_layers = nn.Sequential(
            group_norm(in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_channels, out_channels))
        self.out_layers = nn.Sequential(
            group_norm(out_channels),
            nn.SiLU(),
            nn.Dropout(0.0),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        h = self.in_layers(x) + self.emb_layers(condition.embedding)[..., None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Stage(nn.Sequential):
    """Layers in a row; those that want the condition are given it."""

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        for layer in self:
            x = layer(x, condition) if isinstance(layer, Conditioned) else layer(x)
        return x


class MultiViewUNet(nn.Module):
    """Predicts the noise in the latents of V views per sample; rows are (sample, view)."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        base = config.model_channels
        embedding = 4 * base
        if config.ip_dim:
            self.image_embed = Resampler(config.image_features, config.context_dim, config.ip_dim)
        self.time_embed = embedding_mlp(base, embedding)
        self.camera_embed = embedding_mlp(config.camera_dim, embedding)

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
            ResBlock(channels, channels, embedding),
            self._transformer(channels),
            ResBlock(channels, channels, embedding),
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
            group_norm(channels), nn.SiLU(), nn.Conv2d(channels, config.out_channels, 3, padding=1)
        )

    def _layers(self, in_channels: int, out_channels: int, level: int) -> list[nn.Module]:
        layers: list[nn.Module] = [ResBlock(in_channels, out_channels, 4 * self.config.model_channels)]
        if 2**level in self.config.attention_resolutions:
            layers.append(self._transformer(out_channels))
        return layers

    def _transformer(self, channels: int) -> SpatialTransformer:
        c = self.config
        return SpatialTransformer(
            channels, c.context_dim, c.num_head_channels, c.transformer_depth, image=c.ip_dim > 0
        )

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        text: Tensor,
        camera: Tensor | None,
        *,
        views: int,
        image_tokens: Tensor | None = None,
        image_latents: Tensor | None = None,
    ) -> Tensor:
        """Predicts the noise.

        Args:
            x: [B*V, 4, H, W] noisy latents.
            timesteps: [B*V].
            text: [B*V, T, context_dim].
            camera: [B*V, 16] from `cameras.camera_embedding`, or None to leave the cameras open.
            views: V; with a picture its own row, the last of every sample, counts as one.
            image_tokens: [B*V, ip_dim, context_dim], what `image_embed` makes of CLIP's features.
            image_latents: [B, 4, H, W], shown to the network in the picture's row.
        """
        if image_latents is not None:
            x = torch.cat([x.unflatten(0, (-1, views))[:, :-1], image_latents[:, None]], dim=1).flatten(0, 1)
        embedding = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(x.dtype))
        if camera is not None:
            embedding = embedding + self.camera_embed(camera)
        condition = Condition(embedding, text, image_tokens, views)
        skips = []
        for stage in self.input_blocks:
            x = stage(x, condition)
            skips.append(x)
        x = self.middle_block(x, condition)
        for stage in self.output_blocks:
            x = stage(torch.cat([x, skips.pop()], dim=1), condition)
        return self.out(x)
