"""Multi-codebook quantisation as UniTok does it (arXiv 2502.20321).

A latent vector is split into chunks, each of which has a codebook of its own. Chunks and codes have unit
length; the code with the largest dot product is taken. Per codebook the loss is β ‖sg(e) − z‖² + ‖e − sg(z)‖²
with β = 0.25, and gradients pass straight through. UniTok leaves unused codes as they are; here, where a run
is short, they are restarted from the batch.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.star.config import CodecConfig

COMMITMENT = 0.25
"""β of the loss."""
KEEP = 0.95
"""Share of the running usage that a batch keeps."""
DEAD = 0.02
"""A code whose running usage is below this share of the mean is dead."""


class Quantized(NamedTuple):
    """What the codebooks make of vectors."""

    vectors: Tensor  # [..., codebooks · code_width], with the input's gradient
    codes: Tensor  # [..., codebooks] int64
    loss: Tensor


class Codebooks(nn.Module):
    """`codebooks` codebooks of unit vectors, one for each chunk of a latent vector."""

    used: Tensor
    """[codebooks, entries] running usage of each code, 1 on average; all 0 before the first batch."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        shape = config.codebooks, config.entries, config.code_width
        self.books = nn.Parameter(F.normalize(torch.randn(shape), dim=-1))
        self.register_buffer("used", torch.zeros(shape[:2]))

    def forward(self, z: Tensor) -> Quantized:
        """Quantises latent vectors [..., codebooks · code_width]."""
        z, books = self.chunks(z), self.unit_books()
        codes = torch.einsum("...kc,kec->...ke", z.detach(), books.detach()).argmax(-1)
        found = _looked_up(books, codes)
        loss = (found - z.detach()).square().mean()
        loss = loss + COMMITMENT * (found.detach() - z).square().mean()
        return Quantized((z + (found - z).detach()).flatten(-2), codes, loss)

    def decode(self, codes: Tensor) -> Tensor:
        """The vectors [..., codebooks · code_width] of codes [..., codebooks]."""
        return _looked_up(self.unit_books(), codes).flatten(-2)

    def chunks(self, z: Tensor) -> Tensor:
        """Unit-length chunks [..., codebooks, code_width] of latent vectors."""
        return F.normalize(z.float().unflatten(-1, (self.books.shape[0], -1)), dim=-1)

    def unit_books(self) -> Tensor:
        """[codebooks, entries, code_width], of unit length."""
        return F.normalize(self.books.float(), dim=-1)

    @torch.no_grad()
    def fit(self, z: Tensor, rounds: int = 10, generator: torch.Generator | None = None) -> None:
        """Moves all codes to the centres of spherical k-means over latent vectors.

        A code that no vector is nearest to goes to a random vector.

        Args:
            z: [N, codebooks · code_width] latent vectors before quantisation.
            rounds: of k-means.
        """
        chunks, (count, entries) = self.chunks(z), self.used.shape
        for k in range(count):
            points = chunks[:, k]
            centres = points[torch.randint(len(z), (entries,), device=z.device, generator=generator)]
            for _ in range(rounds):
                nearest = (points @ centres.mT).argmax(-1)
                sums = torch.zeros_like(centres).index_add(0, nearest, points)
                empty = torch.bincount(nearest, minlength=entries) == 0
                drawn = torch.randint(len(z), (entries,), device=z.device, generator=generator)
                centres = F.normalize(torch.where(empty[:, None], points[drawn], sums), dim=-1)
            cast(Tensor, self.books.data)[k] = centres.to(self.books.dtype)
        self.used.fill_(1.0)

    @torch.no_grad()
    def restart_dead(self, z: Tensor, codes: Tensor, generator: torch.Generator | None = None) -> int:
        """Counts the codes of a batch and moves codes that hardly occur to random vectors of the batch.

        Args:
            z: [N, codebooks · code_width] latent vectors before quantisation.
            codes: [N, codebooks] of them.

        Returns:
            How many codes were moved.
        """
        chunks, (count, entries) = self.chunks(z), self.used.shape
        counts = torch.stack([torch.bincount(codes[:, k], minlength=entries) for k in range(count)])
        first = not bool(self.used.any())
        self.used.mul_(KEEP).add_((1 - KEEP) * counts * entries / len(codes))
        dead = torch.ones_like(self.used, dtype=torch.bool) if first else self.used < DEAD
        for k in range(count):
            places = dead[k].nonzero()[:, 0]
            drawn = torch.randint(len(z), (len(places),), device=z.device, generator=generator)
            cast(Tensor, self.books.data)[k, places] = chunks[drawn, k].to(self.books.dtype)
            self.used[k, places] = 1.0
        return int(dead.sum())

    @torch.no_grad()
    def nearest(self, count: int) -> Tensor:
        """[codebooks, entries, count]: for each code the codes that are most like it, without itself."""
        books = self.unit_books()
        return (books @ books.mT).topk(count + 1, dim=-1).indices[..., 1:]


def _looked_up(books: Tensor, codes: Tensor) -> Tensor:
    """[..., codebooks, code_width] for codes [..., codebooks]."""
    return books[torch.arange(books.shape[0], device=codes.device), codes]
