"""Sampling of a group, token by token and codebook by codebook, with cached keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.experts.star.blocks import Cache
from ar4d.experts.star.history import Context
from ar4d.experts.star.transformer import Star


@dataclass(frozen=True)
class Sampler:
    """How a code is drawn from its logits."""

    temperature: float = 1.0
    """0: always the likeliest code."""
    top_p: float = 0.9
    """Share of the probability, from the likeliest code on, that may be drawn."""

    def draw(self, logits: Tensor, random: torch.Generator | None) -> Tensor:
        """Codes [B] from logits [B, entries]."""
        if self.temperature == 0:
            return logits.argmax(-1)
        shares, codes = (logits.float() / self.temperature).softmax(-1).sort(-1, descending=True)
        before = shares.cumsum(-1) - shares
        shares = shares.masked_fill(before > self.top_p, 0)
        drawn = torch.multinomial(shares, 1, generator=random)
        return codes.gather(-1, drawn)[:, 0]


@torch.no_grad()
def sample_group(
    star: Star, context: Context, sampler: Sampler, random: torch.Generator | None = None
) -> Tensor:
    """Codes [B, G, K] of a group, in the order of prediction."""
    steps = GroupSteps(star, context)
    codes: Tensor | None = None
    made = []
    for _ in range(star.group_length):
        codes = steps.next(codes, lambda logits: sampler.draw(logits, random))
        made.append(codes)
    return torch.stack(made, 1)


class GroupSteps:
    """The steps of a group's prediction; keys and values of all positions before are kept."""

    def __init__(self, star: Star, context: Context) -> None:
        self.star, self.index = star, 0
        self.caches = [Cache() for _ in star.blocks]
        x, turns = star.prefix(context)
        for block, cache in zip(star.blocks, self.caches, strict=True):
            x = block(x, turns=turns, cache=cache)
        self.batch = len(x)
        self.shifts = star.shifts() + star.hints(context)  # [1 or B, G, width]
        self.turns = star.group_turns()
        self.likeness = star.likeness(context.guess)  # [B, G, K, entries], or 0
        self.logits: Tensor | None = None  # [B, K, entries] of the latest token

    def next(self, previous: Tensor | None, choose: Callable[[Tensor], Tensor]) -> Tensor:
        """Codes [B, K] of the next token.

        Args:
            previous: [B, K] codes of the token before; None for the first one.
            choose: draws codes [B] from logits [B, entries].
        """
        star, i = self.star, self.index
        x = star.start.expand(self.batch, -1) if previous is None else star.embedded(previous)
        x = (x + self.shifts[:, i])[:, None]
        for block, cache in zip(star.blocks, self.caches, strict=True):
            x = block(x, turns=self.turns[i : i + 1], cache=cache)
        x, inner, codes, logits = star.norm(x), Cache(), [], []
        for book in range(star.codec.codebooks):
            like = self.likeness[:, i, book] if self.likeness.ndim else self.likeness
            logits.append(star.next_logits(x, inner) + like)
            codes.append(choose(logits[-1]))
            x = star.code_vector(codes[-1], book)
        self.index, self.logits = i + 1, torch.stack(logits, 1)
        return torch.stack(codes, 1)
