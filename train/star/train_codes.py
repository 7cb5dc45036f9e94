"""Trains the 4D VQ-VAE.

    python -m train.star.train_codes --procedural 400 --out RUN --minutes 60 --size tiny
    python -m train.star.train_codes --grids GRIDS --holdout-grids KEPT --out RUN --minutes 60 --size mini

The same command runs on a CPU and on a GPU, there in bfloat16. A stopped run resumes from RUN/last.pt.
A run begins without codebooks, until holdout objects are shown well enough; then the codebooks start at the
centres of what the encoder makes, and more and more tokens pass through them. The first part of the time
trains single times without STOP, the rest windows of several times.
RUN/curve.jsonl and RUN/curve.png show the validation scores, RUN/sheet.png holdout objects.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.distributed as dist
import tyro
from torch import Tensor, nn

from ar4d.experts.star.codec import Codec, Decoded
from ar4d.experts.star.config import CODECS, Canonical, CodecConfig
from train.data.grid_batch import GridBatch
from train.loop import Losses, Trainer, launch
from train.report import draw_sheet
from train.star.checkpoints import write_config
from train.star.losses import Critic, Weights, critic_terms, flow_term, picture_terms, ray_terms, rendered
from train.star.windows import DataOptions, WindowPool, Windows, window_pools

GRID_FRAMES = 6
"""Frames of a photographed grid; a window takes some of them."""
RESTART_EVERY = 20
"""Steps between two looks for codes that hardly occur."""
FITTED = 32
"""Windows to whose vectors the codebooks are fitted at first."""


@dataclass(frozen=True)
class CodesOptions(DataOptions):
    """Train the 4D VQ-VAE."""

    size: str = "tiny"
    """Name of the network's size, as ar4d/experts/star/config.py lists them."""
    batch: int = 1
    """Windows per step in the second part of the time."""
    stills: int = 4
    """Single times per step in the first part."""
    lr: float = 2e-3
    warm_up: int = 50
    bar: float = 21.0
    """PSNR of holdout objects, in dB, from which on there are codebooks: quantised from the start, a short
    run sends all pictures to the same few codes."""
    latest_share: float = 0.35
    """Share of the time after which there are codebooks even if the bar is not reached."""
    mixing: int = 1000
    """Steps over which the share of tokens that pass through the codebooks rises to all."""
    still_share: float = 0.6
    """Share of the time, the first part, that trains single times without STOP."""
    critic_share: float = 0.35
    """Share of the time, the last part, in which the critic judges, if its weight is not 0."""
    stop: bool = True
    """Ablation switch: decode every time without looking at the others."""
    canonical: Canonical = "first"
    """Whether a time's Gaussians are the first one's and an offset, or its own and an offset."""
    weights: Weights = field(default_factory=Weights)

    @property
    def config(self) -> CodecConfig:
        return replace(CODECS[self.size], stop=self.stop, canonical=self.canonical)


@dataclass(frozen=True)
class Step:
    """One step's data and what is trained in it."""

    windows: Windows
    still: bool
    criticised: bool
    done: float
    """Share of the training that is over."""
    view: int
    """The view in which the flow is compared."""


class TrainedCodec(nn.Module):
    """The codec, the critic, and the losses of a step, so that several processes can share a step."""

    quantised_steps: Tensor

    def __init__(self, options: CodesOptions) -> None:
        super().__init__()
        self.options = options
        self.codec, self.critic = Codec(options.config), Critic()
        self.register_buffer("quantised_steps", torch.tensor(-1))  # -1: there are no codebooks yet

    @property
    def quantised(self) -> float:
        """Share of the tokens that pass through the codebooks."""
        return min(1.0, (int(self.quantised_steps) + 1) / self.options.mixing)

    def forward(self, step: Step) -> Losses:
        """The losses of a step."""
        options, windows, config = self.options, step.windows, self.codec.config
        weights, device = options.weights, windows.pictures.device
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            decoded: Decoded = self.codec(windows.pictures, step.still, self.quantised)
        seen = rendered(decoded.splats, config)
        truth = windows.pictures.transpose(1, 2).flatten(0, 1)
        terms = picture_terms(seen, truth, weights)
        terms["codes"] = weights.codes * decoded.loss
        rays = weights.rays * (1 - (1 - weights.rays_end) * min(1.0, 2 * step.done))
        shape, color = ray_terms(decoded.splats, windows, step.still, config)
        terms |= {"rays": rays * shape, "colors": weights.colors * color}
        if not step.still and weights.flow > 0:
            terms["flow"] = weights.flow * flow_term(decoded.splats, windows, step.view, config)
        if step.criticised:
            terms |= critic_terms(self.critic, seen.flatten(0, 1), truth.flatten(0, 1), weights.critic)
        if self.training and self.quantised > 0:
            if self.quantised_steps % RESTART_EVERY == 0:
                self._restart(decoded)
            self.quantised_steps += 1
        if options.processes > 1:  # a process that left a part out still takes part in its mean gradient
            terms["unused"] = 0 * torch.stack([p.flatten()[0] for p in self.parameters()]).sum()
        return terms

    def _restart(self, decoded: Decoded) -> None:
        books = self.codec.codebooks
        books.restart_dead(decoded.latent.detach(), decoded.codes)
        if dist.is_initialized():
            dist.broadcast(books.books.data, 0)


def load_initial_weights(network: TrainedCodec, weights: dict[str, Tensor]) -> None:
    """Loads the codec of an exported file (see train/star/export.py)."""
    named = {name.removeprefix("codec."): x for name, x in weights.items() if name.startswith("codec.")}
    network.codec.load_state_dict(network.codec.state_dict() | named)


@torch.no_grad()
def validate(
    codec: Codec, holdout: GridBatch, options: CodesOptions, still: bool, quantised: float
) -> dict[str, float]:
    """Scores of holdout objects that passed the codes, or the encoder alone, and RUN/sheet.png."""
    scores, rows = measured(codec.eval(), holdout, still, float(quantised > 0))
    draw_sheet(options.out, rows)
    return {**scores, "quantised": quantised}


@torch.no_grad()
def measured(
    codec: Codec, holdout: GridBatch, still: bool, quantised: float = 1.0
) -> tuple[dict[str, float], list[Tensor]]:
    """Scores and pictures of objects that passed the codes.

    Returns:
        PSNR (on white), IoU of the masks, PSNR of the differences between neighbouring times, share of the
        codes in use; and one row a time of the first objects, renders left of the truth.
    """
    times = codec.config.window
    found, rows, codes = [], [], []
    for index in range(len(holdout.rgba)):
        grid = holdout.rgba[index : index + 1, :, :times].float()
        decoded = codec(grid, still, quantised)
        codes.append(decoded.codes)
        seen, truth = rendered(decoded.splats, codec.config), grid.transpose(1, 2).flatten(0, 1)
        found.append(picture_scores(seen, truth))
        if index < 6:
            white, wanted = _on_white(seen), _on_white(truth)
            rows += [torch.cat([*white[k].movedim(1, -1), *wanted[k].movedim(1, -1)], 1) for k in (0, -1)]
    all_codes = torch.cat(codes)
    used = [len(all_codes[:, k].unique()) / codec.config.entries for k in range(codec.config.codebooks)]
    scores = {name: _mean([scores[name] for scores in found]) for name in found[0]}
    return {**scores, "used": _mean(used)}, [row.cpu() for row in rows]


def picture_scores(seen: Tensor, truth: Tensor) -> dict[str, float]:
    """PSNR on white, IoU of the masks, and PSNR of the differences between neighbouring times.

    Args:
        seen: [T, V, 4, S, S] premultiplied renders.
        truth: as `seen`.
    """
    white, wanted = _on_white(seen), _on_white(truth)
    both = ((seen[:, :, 3] > 0.5) & (truth[:, :, 3] > 0.5)).sum((2, 3))
    either = ((seen[:, :, 3] > 0.5) | (truth[:, :, 3] > 0.5)).sum((2, 3))
    return {
        "psnr": _psnr(white, wanted),
        "iou": float((both / either.clamp_min(1)).mean()),
        "motion": _psnr(white.diff(dim=0), wanted.diff(dim=0)),
    }


def _on_white(pictures: Tensor) -> Tensor:
    """[T, V, 3, S, S] of premultiplied pictures [T, V, 4, S, S]."""
    return pictures[:, :, :3] + 1 - pictures[:, :, 3:]


def _psnr(a: Tensor, b: Tensor) -> float:
    """Mean PSNR in dB of the pictures of two stacks [T, V, 3, S, S]."""
    return float((-10 * (a - b).square().mean((-3, -2, -1)).clamp_min(1e-10).log10()).mean())


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main(argv: Sequence[str]) -> None:
    """Train until the time is over."""
    launch(train, tyro.cli(CodesOptions, prog="python -m train.star.train_codes", args=argv))


def train(rank: int, options: CodesOptions) -> None:
    """The work of one process."""
    config, seed = options.config, options.seed + 7919 * rank
    pool, holdout = window_pools(options, config, GRID_FRAMES, seed)
    trainer = Trainer(options, rank, lambda: TrainedCodec(options), load_initial_weights)
    if rank == 0:
        write_config(options.out, config)
    pool.random.manual_seed(seed + trainer.seen)

    def draw() -> Step:
        still = trainer.done < options.still_share or config.window == 1
        count = options.stills if still else options.batch
        windows = pool.windows(count, 1 if still else config.window)
        criticised = options.weights.critic > 0 and trainer.done > 1 - options.critic_share
        view = int(torch.randint(config.views, (1,), generator=pool.random))
        return Step(windows, still, criticised, trainer.done, view)

    def losses(network: TrainedCodec, step: Step) -> Losses:
        if trainer.network.quantised_steps < 0 and trainer.done > options.latest_share:
            start_codebooks(trainer, pool)
        return network(step)

    def validated(average: TrainedCodec) -> dict[str, float]:
        quantised = trainer.network.quantised
        scores = validate(average.codec, holdout, options, trainer.done < options.still_share, quantised)
        if quantised == 0 and scores["psnr"] > options.bar and options.processes == 1:
            start_codebooks(trainer, pool)
        return scores

    trainer.fit(draw, losses, validated)


@torch.no_grad()
def start_codebooks(trainer: Trainer[TrainedCodec], pool: WindowPool) -> None:
    """Puts the codebooks of the network and of its average where the encoder's vectors are."""
    codec, device = trainer.network.codec, trainer.device
    latents = []
    for _ in range(FITTED):
        pictures = pool.windows(1, codec.config.window).pictures.to(device)
        latents.append(codec.encode(pictures.flatten(0, 2)).latent.flatten(0, 1))
    codec.codebooks.fit(torch.cat(latents))
    trainer.average.codec.codebooks.load_state_dict(codec.codebooks.state_dict())
    trainer.network.quantised_steps.fill_(0)
    if dist.is_initialized():
        dist.broadcast(codec.codebooks.books.data, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
