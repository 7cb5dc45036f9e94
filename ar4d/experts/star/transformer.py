"""STAR: a transformer that predicts the tokens of the unseen views, one group (one time) after the other.

The trunk is LlamaGen's. A position's input is the sum of its codes' embeddings; its output starts a causal
block over the codebooks, with one linear layer for all of them (UniTok's way with LlamaGen). Shift positional
encoding (MV-AR's): to the previous token are added the rays and the time of the token that is to come.

Before the group stand, all visible to each other: a text vector (a learned one where there is no text), the
tokens of the clip's frame at this time, and the container's states. The paper gives a video's codes as a
prefix; that each group has its own frame, and the rest through the container, is a default of this project,
as are times relative to the group's.
"""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.star.blocks import Block, Cache, rotary_angles, sinusoids
from ar4d.experts.star.config import CodecConfig, StarConfig
from ar4d.experts.star.container import Container
from ar4d.experts.star.history import Context
from ar4d.experts.star.rays import pluecker, token_places

TRUST = 8.0
"""Weight of a guess in the logits at the start; of 512 codes the guessed one then has about half the
probability."""
EMBEDDED = 0.2
"""Standard deviation of the embeddings that `Star.start_from` makes."""


def _mlp(into: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(into, width), nn.SiLU(), nn.Linear(width, width))


class Star(nn.Module):
    """The autoregressive model over the codes of a `Codec`."""

    books: Tensor

    def __init__(self, codec: CodecConfig, config: StarConfig) -> None:
        super().__init__()
        self.codec, self.config = codec, config
        width = config.width
        self.embedding = nn.Embedding(codec.codebooks * codec.entries, width)
        self.ray = nn.Linear(6 * (codec.size // codec.side) ** 2, width)
        self.time = nn.Linear(width, width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.no_text = nn.Parameter(0.02 * torch.randn(1, width))
        self.text = _mlp(config.text_width, width) if config.text_width else None
        self.given, self.state = _mlp(width, width), _mlp(width, width)
        self.hint = _mlp(width, width) if config.guess else None
        if config.guess:
            self.trust = nn.Parameter(torch.full((codec.codebooks,), TRUST))
            self.register_buffer("books", torch.zeros(codec.codebooks, codec.entries, codec.code_width))
        self.container = Container(config)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.blocks))
        self.norm, self.inner_norm = nn.RMSNorm(width), nn.RMSNorm(width)
        self.inner = Block(width, config.heads)
        self.out = nn.Linear(width, codec.entries)
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @cached_property
    def group_views(self) -> Tensor:
        """[(V - 1) N] view of each token of a group, in the order of prediction.

        Neighbours of the clip's view come first: 90, 270 and then 180 degrees.
        """
        turned = [min(a % 360, -a % 360) for a in self.codec.azimuths_deg]
        order = sorted(range(1, self.codec.views), key=lambda view: turned[view])
        return torch.tensor(order).repeat_interleave(self.codec.tokens)

    @property
    def group_length(self) -> int:
        """Tokens of a group."""
        return (self.codec.views - 1) * self.codec.tokens

    def ordered(self, codes: Tensor) -> Tensor:
        """A group [B, (V - 1) N, K] in the order of prediction, of codes [B, V, N, K] of all views."""
        return codes[:, self.group_views[:: self.codec.tokens]].flatten(1, 2)

    def by_view(self, group: Tensor) -> Tensor:
        """Codes [B, V - 1, N, K] of the views 1, 2, … in their own order, of a group."""
        order = self.group_views[:: self.codec.tokens].argsort()
        return group.unflatten(1, (self.codec.views - 1, self.codec.tokens))[:, order]

    @torch.no_grad()
    def start_from(self, books: Tensor) -> None:
        """Gives like codes like embeddings: random projections of the codebooks' vectors.

        Args:
            books: [codebooks, entries, code_width], of unit length.
        """
        projection = torch.randn(books.shape[0], books.shape[2], self.config.width, device=books.device)
        self.embedding.weight.copy_(EMBEDDED * torch.bmm(books, projection).flatten(0, 1))
        if self.config.guess:
            self.books.copy_(books)

    def embedded(self, codes: Tensor) -> Tensor:
        """Sums [..., width] of the embeddings of codes [..., K]."""
        return self.embedding(self._rows(codes)).sum(-2)

    def prefix(self, context: Context, text: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What stands before a group, and the rotary angles of it.

        Args:
            context: what is known.
            text: [B, L, text_width] features of a text encoder.

        Returns:
            [B, P, width] and [P, C / 2].
        """
        codec, device = self.codec, context.given.device
        place = torch.arange(codec.tokens, device=device)
        now = torch.zeros_like(place)
        given = self.given(self.embedded(context.given) + self._where(now, place, now))
        history = self.embedded(context.codes) + self._where(context.views, context.places, context.frames)
        states = self.state(self.container(history, context.frames))
        said = self.no_text.expand(len(given), 1, -1)
        if text is not None and self.text is not None:
            said = self.text(text)
        angles = rotary_angles(token_places(codec, device), self.config.width // self.config.heads)
        still = angles.new_zeros(1, angles.shape[1])
        turns = torch.cat([still.expand(said.shape[1], -1), angles, still.expand(states.shape[1], -1)])
        return torch.cat([said, given, states], 1), turns

    def forward(
        self, context: Context, group: Tensor, text: Tensor | None = None, rays: Tensor | None = None
    ) -> Tensor:
        """Logits [B, G, K, entries] of a group's codes, each given those before it.

        Args:
            context: what is known of the clip and of earlier times.
            group: [B, G, K] codes, in the order of prediction.
            text: as in `prefix`.
            rays: [G, 6 · patch²] of the group's tokens; by default those of the views.
        """
        prefix, turns = self.prefix(context, text)
        before = self.embedded(group[:, :-1])
        before = torch.cat([self.start.expand(len(group), 1, -1), before], 1)
        x = torch.cat([prefix, before + self.shifts(rays) + self.hints(context)], 1)
        turns = torch.cat([turns, self.group_turns()])
        count = prefix.shape[1]
        mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        mask[:count, :count] = True
        for block in self.blocks:
            x = block(x, mask=mask, turns=turns)
        return self.code_logits(self.norm(x[:, count:]), group) + self.likeness(context.guess)

    def shifts(self, rays: Tensor | None = None) -> Tensor:
        """[G, width] shift positional encoding of a group: rays and time of the token to be predicted."""
        device = self.start.device
        views = self.group_views.to(device)
        places = torch.arange(self.codec.tokens, device=device).repeat(self.codec.views - 1)
        return self._where(views, places, torch.zeros_like(places), rays)

    def hints(self, context: Context) -> Tensor:
        """[B, G, width] that is added where each token is predicted, by the guess of that token; or 0.

        Raises:
            ValueError: the network is made for a guess, and the context has none.
        """
        if self.hint is None:
            return self.start.new_zeros(1, 1, 1)
        if context.guess is None:
            raise ValueError("these networks predict from a guess, which the context lacks")
        return self.hint(self.embedded(context.guess))

    def likeness(self, guess: Tensor | None) -> Tensor:
        """What is added to the logits: how much each code is like the guessed one, times a learned trust.

        An untrained network so draws codes near the guess, and has to learn only what is wrong with it.

        Args:
            guess: [..., K] codes.

        Returns:
            [..., K, entries], or 0 where the network is made for no guess.
        """
        if self.hint is None or guess is None:
            return self.start.new_zeros(())
        guessed = self.books[torch.arange(self.codec.codebooks, device=guess.device), guess]
        return self.trust[:, None] * torch.einsum("...kc,kec->...ke", guessed, self.books)

    def group_turns(self) -> Tensor:
        """[G, C / 2] rotary angles of the tokens to be predicted."""
        places = token_places(self.codec, self.start.device)
        angles = rotary_angles(places, self.config.width // self.config.heads)
        return angles.repeat(self.codec.views - 1, 1)

    def code_logits(self, x: Tensor, codes: Tensor) -> Tensor:
        """Logits [B, G, K, entries] from the trunk's vectors [B, G, width] and the codes [B, G, K]."""
        batch, count = x.shape[:2]
        earlier = self.embedding(self._rows(codes)[..., :-1])
        sequence = torch.cat([x[:, :, None], earlier], 2).flatten(0, 1)
        mask = torch.ones(sequence.shape[1], sequence.shape[1], dtype=torch.bool, device=x.device).tril()
        inner = self.inner_norm(self.inner(sequence, mask=mask))
        return self.out(inner).unflatten(0, (batch, count))

    def next_logits(self, x: Tensor, cache: Cache) -> Tensor:
        """Logits [B, entries] of the next codebook's code, from a vector [B, 1, width] of its sequence."""
        return self.out(self.inner_norm(self.inner(x, cache=cache)))[:, 0]

    def code_vector(self, codes: Tensor, book: int) -> Tensor:
        """Embedding [B, 1, width] of one codebook's codes [B]."""
        return self.embedding(codes + book * self.codec.entries)[:, None]

    def _rows(self, codes: Tensor) -> Tensor:
        return codes + self.codec.entries * torch.arange(self.codec.codebooks, device=codes.device)

    def _where(self, views: Tensor, places: Tensor, frames: Tensor, rays: Tensor | None = None) -> Tensor:
        """[N, width] encoding of tokens by the rays of their pixels and by their time."""
        every = pluecker(self.codec, views.device)
        seen = self.ray(every)[views, places] if rays is None else self.ray(rays)
        furthest = self.config.furthest
        return seen + self.time(sinusoids(frames.clamp(-furthest, furthest), self.config.width))


def cross_entropy(logits: Tensor, group: Tensor) -> Tensor:
    """Mean cross-entropy of a group's codes [B, G, K], in nats a code."""
    return F.cross_entropy(logits.flatten(0, 2).float(), group.flatten())
