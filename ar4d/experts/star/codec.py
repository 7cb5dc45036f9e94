"""The 4D VQ-VAE: pictures of an object become codes, and codes Gaussians that move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.star.blocks import FactorizedProjection
from ar4d.experts.star.codebooks import Codebooks
from ar4d.experts.star.config import CodecConfig
from ar4d.experts.star.decoder import Decoder
from ar4d.experts.star.encoder import Encoder
from ar4d.experts.star.splats import Splats

COLOR_CELLS, ALPHA_CELLS = 2, 4
"""Cells along each side of a token whose mean colours and alphas go straight to the codebooks."""
STRAIGHT = 20.0
"""Weight of what goes straight: hue is a small part of what tells pictures apart, and without a way of its
own, short trainings stay grey."""
ALPHA = 0.2
"""Weight of alpha against colour, which varies less."""
SEEN = 0.05


class Coded(NamedTuple):
    """Pictures as the codebooks see them."""

    latent: Tensor  # [B, tokens, codebooks · code_width] before quantisation
    vectors: Tensor  # [B, tokens, codebooks · code_width] after it
    codes: Tensor  # [B, tokens, codebooks]
    loss: Tensor


@dataclass(frozen=True)
class Decoded:
    """Objects that passed the codes."""

    splats: Splats
    latent: Tensor  # [B · V · T · tokens, codebooks · code_width]
    codes: Tensor  # [B · V · T · tokens, codebooks]
    loss: Tensor


class Codec(nn.Module):
    """Encoder, codebooks and spatial-temporal decoder."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.project = FactorizedProjection(
            config.width, config.codebooks * config.code_width, config.codebooks
        )
        self.straight = nn.Linear(3 * COLOR_CELLS**2 + ALPHA_CELLS**2, config.codebooks * config.code_width)
        self.codebooks = Codebooks(config)
        self.decoder = Decoder(config)

    def encode(self, pictures: Tensor, quantised: float = 1.0) -> Coded:
        """Codes of premultiplied pictures [B, 4, size, size] in [0, 1].

        Args:
            quantised: share of the tokens, drawn at random, whose `vectors` are codes. Those of the others
                are the latent ones, of unit length, as a training begins with.
        """
        latent = self.project(self.encoder(pictures)).float()
        latent = latent + STRAIGHT * self.straight(cells(pictures, self.config.side).to(latent))
        coded = Coded(latent, *self.codebooks(latent))
        if quantised >= 1:
            return coded
        smooth = self.codebooks.chunks(latent).flatten(-2)
        if quantised <= 0:
            return coded._replace(vectors=smooth, loss=coded.loss.detach() * 0)
        chosen = torch.rand(smooth.shape[:-1], device=smooth.device)[..., None] < quantised
        return coded._replace(vectors=torch.where(chosen, coded.vectors, smooth))

    def decode(self, codes: Tensor, still: bool = False) -> Splats:
        """Gaussians of codes [B, T, V, tokens, codebooks]; see `Decoder.forward`."""
        return self.decoder(self.codebooks.decode(codes), still)

    def forward(self, grids: Tensor, still: bool = False, quantised: float = 1.0) -> Decoded:
        """Encodes and decodes pictures [B, V, T, 4, size, size] of objects, the canonical time first."""
        batch, views, times = grids.shape[:3]
        coded = self.encode(grids.flatten(0, 2), quantised)
        vectors = coded.vectors.unflatten(0, (batch, views, times)).transpose(1, 2)
        splats = self.decoder(vectors, still)
        return Decoded(splats, coded.latent.flatten(0, 1), coded.codes.flatten(0, 1), coded.loss)


def cells(pictures: Tensor, side: int) -> Tensor:
    """Colours and alphas of the cells of each token.

    Args:
        pictures: [B, 4, S, S] premultiplied, in [0, 1].
        side: tokens along each side.

    Returns:
        [B, side², 3 · COLOR_CELLS² + ALPHA_CELLS²]: straight colours less a half, 0 where nothing is seen,
        and weighted alphas.
    """
    coarse = F.adaptive_avg_pool2d(pictures, COLOR_CELLS * side)
    colors = (coarse[:, :3] / coarse[:, 3:].clamp_min(SEEN) - 0.5) * (coarse[:, 3:] > SEEN)
    alpha = ALPHA * F.adaptive_avg_pool2d(pictures[:, 3:], ALPHA_CELLS * side)
    return torch.cat([_by_token(colors, side), _by_token(alpha, side)], -1)


def _by_token(values: Tensor, side: int) -> Tensor:
    """[B, side², C · c²] of values [B, C, side · c, side · c]."""
    parts = values.unflatten(3, (side, -1)).unflatten(2, (side, -1))  # [B, C, side, c, side, c]
    return parts.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def window_codes(codes: Tensor, frame: int, window: int) -> Tensor:
    """The times that are decoded together for a frame: the first one and the latest.

    Args:
        codes: [F, V, tokens, codebooks] of at least frame + 1 frames.
        frame: to decode, from 0; it comes last in the window.
        window: how many times at most.

    Returns:
        [1, T, V, tokens, codebooks], T ≤ window.
    """
    start = max(1, frame - window + 2)
    return torch.cat([codes[:1], codes[start : frame + 1]] if frame else [codes[:1]])[None]
