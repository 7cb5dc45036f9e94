"""Trains STAR on the codes of a trained 4D VQ-VAE, which are made on the fly.

    python -m train.star.train_star --codes CODES/last.pt --procedural 400 --out RUN --minutes 60 --size tiny
    python -m train.star.train_star --codes CODES/last.pt --grids GRIDS --holdout-grids KEPT --out RUN

The same command runs on a CPU and on a GPU, there in bfloat16. A stopped run resumes from RUN/last.pt.
RUN/curve.jsonl and RUN/curve.png show the cross-entropy and the accuracy on holdout objects.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from ar4d.experts.star.codec import Codec
from ar4d.experts.star.config import STARS, History, StarConfig
from ar4d.experts.star.history import Context, context_of
from ar4d.experts.star.transformer import Star, cross_entropy
from train.loop import Losses, Trainer, launch
from train.star.checkpoints import codec_of, write_config
from train.star.windows import DataOptions, window_pools

NEAREST = 8
"""Codes among which a corrupted one is drawn."""


@dataclass(frozen=True)
class StarOptions(DataOptions):
    """Train STAR."""

    codes: Path = Path("codes/last.pt")
    """Checkpoint of train.star.train_codes."""
    size: str = "tiny"
    """Name of the network's size, as ar4d/experts/star/config.py lists them."""
    batch: int = 2
    """Sequences per step; one group of each is predicted."""
    warm_up: int = 50
    frames: int = 6
    """Frames of a sequence; stored grids have their own number."""
    corrupted: float = 0.1
    """Share of the history's codes that are replaced by near ones, so that errors of the sampling do not
    pile up."""
    history: History = "container"
    """Ablation switch: what a group knows of the earlier ones."""
    guess: bool = False
    """Predict each token from the embedded expert's guess of it, as well; only stored grids have guesses."""

    def config(self, num_frames: int) -> StarConfig:
        """The network's shape, for sequences of `num_frames`: what they never show is never asked for."""
        size, furthest = STARS[self.size], max(num_frames - 1, 1)
        return replace(
            size,
            history=self.history,
            guess=self.guess,
            history_groups=min(size.history_groups, furthest),
            furthest=min(size.furthest, furthest),
        )


@dataclass(frozen=True)
class GroupBatch:
    """A group of each of B sequences, all at the same time, and what is known before it."""

    context: Context
    group: Tensor  # [B, G, K]


class TrainedStar(nn.Module):
    """STAR and the loss of a step, so that several processes can share a step."""

    def __init__(self, codec: Codec, config: StarConfig) -> None:
        super().__init__()
        self.star = Star(codec.config, config)

    def forward(self, batch: GroupBatch) -> Losses:
        """The cross-entropy of a group."""
        device = batch.group.device
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = self.star(batch.context, batch.group)
        terms = {"entropy": cross_entropy(logits, batch.group)}
        if self.training:  # parts that the kind of history leaves out still take part in the mean gradient
            terms["unused"] = 0 * torch.stack([p.flatten()[0] for p in self.parameters()]).sum()
        return terms


@torch.no_grad()
def codes_of(codec: Codec, grids: Tensor) -> Tensor:
    """Codes [B, T, V, N, K] of pictures [B, V, T, 4, S, S]."""
    codes = codec.encode(grids.flatten(0, 2)).codes
    return codes.unflatten(0, grids.shape[:3]).transpose(1, 2)


def group_batch(star: Star, codes: Tensor, frame: int, guess: Tensor | None = None) -> GroupBatch:
    """The group of one time of sequences with codes [B, T, V, N, K], and its guess [B, V, N, K]."""
    context = context_of(codes[:, :, 0], codes[:, :, 1:].flatten(2, 3), frame, star.codec, star.config)
    if guess is not None:
        context = replace(context, guess=star.ordered(guess))
    return GroupBatch(context, star.ordered(codes[:, frame]))


class Corruption:
    """Replaces codes of a history by others of the same codebook that are like them."""

    def __init__(self, codec: Codec, share: float, random: torch.Generator) -> None:
        self.share, self.random = share, random
        self.nearest = codec.codebooks.nearest(min(NEAREST, codec.config.entries - 1))

    def __call__(self, context: Context) -> Context:
        """The context with some codes of its history replaced."""
        codes, device = context.codes, context.codes.device
        which = torch.randint(self.nearest.shape[-1], codes.shape, generator=self.random).to(device)
        book = torch.arange(codes.shape[-1], device=device)
        others = self.nearest[book, codes, which]
        chosen = (torch.rand(codes.shape, generator=self.random) < self.share).to(device)
        return replace(context, codes=torch.where(chosen, others, codes))


@torch.no_grad()
def validate(network: TrainedStar, codes: Tensor, guesses: Tensor | None = None) -> dict[str, float]:
    """Mean cross-entropy (nats) and accuracy of the next code, on holdout sequences, and per view."""
    star, entropies, hits = network.star.eval(), [], []
    for frame in range(codes.shape[1]):
        batch = group_batch(star, codes, frame, None if guesses is None else guesses[:, frame])
        logits = star(batch.context, batch.group)
        entropies.append(float(cross_entropy(logits, batch.group)))
        hits.append((logits.argmax(-1) == batch.group).float().mean((0, 2)))
    views = torch.stack(hits).mean(0).view(star.codec.views - 1, -1).mean(1)
    order = star.group_views[:: star.codec.tokens].tolist()
    azimuths = [star.codec.azimuths_deg[view] for view in order]
    accuracy = {f"accuracy_{a:g}": float(x) for a, x in zip(azimuths, views, strict=True)}
    mean = sum(entropies) / len(entropies)
    later = sum(entropies[1:]) / max(len(entropies) - 1, 1)
    return {"entropy": mean, "accuracy": float(views.mean()), "entropy_later": later, **accuracy}


def main(argv: Sequence[str]) -> None:
    """Train until the time is over."""
    launch(train, tyro.cli(StarOptions, prog="python -m train.star.train_star", args=argv))


def train(rank: int, options: StarOptions) -> None:
    """The work of one process."""
    codec, seed = codec_of(options.codes), options.seed + 7919 * rank
    pool, holdout = window_pools(options, codec.config, options.frames, seed, options.guess)
    device, config = options.torch_device, options.config(pool.num_frames)
    codec = codec.to(device)
    kept = codes_of(codec, holdout.rgba.float())
    guesses = None if holdout.guess is None else codes_of(codec, holdout.guess.float())

    def make() -> TrainedStar:
        network = TrainedStar(codec, config)
        network.star.start_from(codec.codebooks.unit_books())
        return network

    trainer = Trainer(options, rank, make, load_initial_weights)
    if rank == 0:
        write_config(options.out, config)
    pool.random.manual_seed(seed + trainer.seen)
    corrupt = Corruption(codec, options.corrupted, pool.random)

    def draw() -> GroupBatch:
        pictures, guess = pool.sequences(options.batch)
        frame = int(torch.randint(pool.num_frames, (1,), generator=pool.random))
        guessed = None if guess is None else codes_of(codec, guess[:, :, frame : frame + 1])[:, 0]
        batch = group_batch(trainer.network.star, codes_of(codec, pictures), frame, guessed)
        return replace(batch, context=corrupt(batch.context))

    trainer.fit(draw, lambda network, batch: network(batch), lambda network: validate(network, kept, guesses))


def load_initial_weights(network: TrainedStar, weights: dict[str, Tensor]) -> None:
    """Loads STAR of an exported file (see train/star/export.py)."""
    named = {name.removeprefix("star."): x for name, x in weights.items() if name.startswith("star.")}
    network.star.load_state_dict(network.star.state_dict() | named)


if __name__ == "__main__":
    main(sys.argv[1:])
