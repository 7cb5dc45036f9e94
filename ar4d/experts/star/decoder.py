"""The spatial-temporal decoder (STD): codes become continuous tokens, and these Gaussians that move.

Codes pass UniTok's factorised projection. The tokens of all views of a time then attend to each other and
give that time's static Gaussian features. STOP (`stop.py`) compares the times.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ar4d.experts.star.blocks import Block, FactorizedProjection, rotary_angles
from ar4d.experts.star.config import CodecConfig
from ar4d.experts.star.rays import pluecker, token_places
from ar4d.experts.star.splats import OFFSET, STATIC, Splats, moved, static_splats
from ar4d.experts.star.stop import OffsetPredictor

DIRECT = 4.0
"""Factor of the code vectors that are read off directly: it makes their layer learn faster."""


class Decoder(nn.Module):
    """From the codebooks' vectors to `Splats`, for several times at once."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.project = FactorizedProjection(config.codebooks * config.code_width, width, config.codebooks)
        self.ray = nn.Linear(6 * (config.size // config.side) ** 2, width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.decoder_blocks))
        self.norm = nn.RMSNorm(width)
        self.static = nn.Linear(width, STATIC * config.splats**2)
        self.direct = nn.Linear(config.codebooks * config.code_width, STATIC * config.splats**2)
        self.stop = OffsetPredictor(config)
        with torch.no_grad():
            self.static.weight.mul_(0.3)
            self.direct.weight.zero_()
            self.direct.bias.zero_()

    def forward(self, vectors: Tensor, still: bool = False) -> Splats:
        """Decodes times that belong together, the canonical one first.

        Args:
            vectors: [B, T, V, tokens, codebooks · code_width].
            still: leave STOP out; every time has its own static Gaussians.

        Returns:
            B · T sets, a batch's times in a row.
        """
        config, (batch, times) = self.config, vectors.shape[:2]
        tokens = self.project(vectors.flatten(0, 2)).unflatten(0, (batch, times, config.views))
        features = self.static_features(tokens)
        if still or times == 1:
            return static_splats(self._spread(self._raw(features, vectors).flatten(0, 1), STATIC), config)
        offsets = self._spread(self.stop(features, tokens).flatten(0, 1), OFFSET)
        if config.canonical == "each":
            return moved(
                static_splats(self._spread(self._raw(features, vectors).flatten(0, 1), STATIC), config),
                offsets,
                config,
            )
        raw = self._raw(features[:, 0], vectors[:, 0])
        first = static_splats(self._spread(raw, STATIC), config)
        repeated = Splats(*(part.repeat_interleave(times, 0) for part in vars(first).values()))
        return moved(repeated, offsets, config)

    def static_features(self, tokens: Tensor) -> Tensor:
        """Static Gaussian features [B, T, V, N, width] from continuous tokens of the same shape."""
        config, (batch, times) = self.config, tokens.shape[:2]
        x = tokens + self.ray(pluecker(config, tokens.device)).to(tokens.dtype)
        x = x.flatten(0, 1).flatten(1, 2)
        turns = rotary_angles(token_places(config, x.device), config.width // config.heads)
        turns = turns.repeat(config.views, 1)
        for block in self.blocks:
            x = block(x, turns=turns)
        return self.norm(x).unflatten(1, (config.views, -1)).unflatten(0, (batch, times))

    def _raw(self, features: Tensor, vectors: Tensor) -> Tensor:
        """Raw values [..., STATIC · splats²] of the static Gaussians from features and code vectors.

        What a code says of its own pixels, above all their hue, needs no other token: a linear layer reads it
        off, and is trained long before the blocks are.
        """
        return self.static(features) + self.direct(DIRECT * vectors.to(features.dtype))

    def _spread(self, raw: Tensor, channels: int) -> Tensor:
        """Values [S, V, grid, grid, channels] of Gaussians from values [S, V, tokens, …] of tokens."""
        side, splats = self.config.side, self.config.splats
        parts = raw.unflatten(-1, (splats, splats, channels)).unflatten(2, (side, side))
        return parts.permute(0, 1, 2, 4, 3, 5, 6).flatten(4, 5).flatten(2, 3)
