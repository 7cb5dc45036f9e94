"""Trains the embedded expert.

    python -m train.train_expert --data DIR --out RUN --minutes 60

The same command runs on a CPU (bfloat16 where it has it) and on a GPU. Stopped, it goes on from
RUN/last.pt. RUN/curve.jsonl and curve.png tell how the validation improves with the examples seen.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import ar4d  # noqa: F401  before torch: it tells torch's threads to sleep while they wait

# isort: split
import torch
import torch.distributed as dist
import torch.nn.functional as F
import tyro
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader

from ar4d.cameras import orbit
from ar4d.evaluation.ground_truth import on_white
from ar4d.evaluation.metrics import silhouette_iou
from ar4d.experts.embedded import Embedded
from ar4d.experts.embedded.geometry import VIEWS
from ar4d.experts.embedded.network import BEHIND, TINTED, Network, NetworkConfig, Prediction, encode
from ar4d.rendering import render
from train.dataset import TEST_AZIMUTHS_DEG, Example, Examples, Samples, targets
from train.report import draw_curve, draw_sheet

WARM_UP = 400  # steps
GAUSSIANS = 8000  # of the validated objects


@dataclass(frozen=True)
class Options:
    """Train the embedded expert."""

    data: tuple[Path, ...]
    """Folders of rendered samples."""
    out: Path
    """Folder of the run: checkpoints, curve."""
    minutes: float = 60.0
    """How long to train in all; the learning rate falls to nothing by then."""
    examples: int | None = None
    """Stop after so many, if the time is not over before."""
    batch: int = 8
    lr: float = 1.5e-3
    weight_decay: float = 0.02
    ema: float = 0.998
    """Share of the averaged weights that a step keeps."""
    processes: int = 1
    """On a CPU: one for each core. Each takes its own batches; their gradients are averaged."""
    save_every: float = 6.0
    """Minutes between checkpoints and validations."""
    start: Path | None = None
    """Weights to begin with, as those in assets/weights; by default random ones."""
    seed: int = 0
    device: str = "auto"


class Trainer:
    """Network, averaged network, optimiser and where the run stands."""

    def __init__(self, options: Options) -> None:
        self.options = options
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(wanted if options.device == "auto" else options.device)
        torch.manual_seed(options.seed)
        self.network = Network(NetworkConfig()).to(self.device)
        if options.start is not None:
            self.network.load_state_dict(load_file(options.start))
        self.average = Network(NetworkConfig()).to(self.device).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), options.lr, betas=(0.9, 0.98), weight_decay=options.weight_decay
        )
        self.steps = self.seen = 0
        self.elapsed = 0.0
        self.last = options.out / "last.pt"
        if self.last.exists():
            state = torch.load(self.last, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.steps, self.seen, self.elapsed = state["steps"], state["seen"], state["elapsed"]

    @property
    def finished(self) -> bool:
        """Whether the time is over, or the examples are through."""
        limit = self.options.examples
        return self.elapsed >= 60 * self.options.minutes or (limit is not None and self.seen >= limit)

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "seen": self.seen,
            "elapsed": self.elapsed,
        }
        temporary = self.last.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.last)

    def step(self, batch: Example, clock: float) -> dict[str, Tensor]:
        """One step of AdamW, `clock` seconds after the run's begin; returns the loss's terms."""
        done = min(1.0, self.elapsed / (60 * self.options.minutes))
        rate = 0.5 * (1 + math.cos(math.pi * done)) + 0.005
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.lr * rate * min(1.0, (self.steps + 1) / WARM_UP)
        with torch.autocast(self.device.type, torch.bfloat16):
            prediction = self.network(batch.inputs)
        terms = losses(prediction, batch)
        self.optimizer.zero_grad(set_to_none=True)
        sum(terms.values()).backward()  # type: ignore[union-attr]
        self.elapsed = self._agree(clock)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self.seen += len(batch.alpha) * self.options.processes
        self._follow()
        return {name: term.detach() for name, term in terms.items()}

    def _agree(self, clock: float) -> float:
        """Averages the gradients over the processes, and their clocks: they stop at the same step."""
        if self.options.processes == 1:
            return clock
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([clock])])
        dist.all_reduce(flat)
        flat /= self.options.processes
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients] + [1]), strict=False):
            gradient.copy_(mean.view_as(gradient))
        return float(flat[-1])

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.options.ema, (1 + self.steps) / (10 + self.steps))
        averages: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(averages, list(self.network.parameters()), 1 - keep)


def losses(prediction: Prediction, batch: Example) -> dict[str, Tensor]:
    """What a prediction is held to, pixel by pixel: nothing is rendered.

    Absolute errors want the likeliest depth and colour rather than the mean of several, and
    cross-entropy wants matter or none: a squared error on renders would be content with fog.
    """
    there = (batch.front > 0).float()
    count = there.sum().clamp_min(1)
    front = ((prediction.front - batch.front).abs() * there).sum() / count
    slopes = (_slopes(prediction.front, there) - _slopes(batch.front, there)).abs().sum() / count
    # Bins are weighted by their width: what is thick is as wrong as it is visible from the side.
    edges = torch.tensor((0.0, *BEHIND), device=there.device).diff().sqrt()
    weight = (edges / edges.mean())[:, None, None]
    entropy = F.binary_cross_entropy_with_logits(prediction.solid, batch.solid, reduction="none")
    solid = (weight * entropy).mean(1)
    far = torch.bucketize(batch.places[..., 2].contiguous(), torch.tensor(TINTED[1:-1], device=there.device))
    known = torch.tensor(TINTED, device=there.device)
    share = ((batch.places[..., 2] - known[far]) / (known[far + 1] - known[far])).clamp(0, 1)
    layer = (2 * (far + share) + 1) / len(TINTED) - 1  # grid_sample: layers are cells
    grid = torch.cat([batch.places[..., :2], layer[..., None]], -1)[:, None, None]
    volume = prediction.tints.transpose(1, 2)  # [B, 3, layers, H, W]
    colors = F.grid_sample(volume, grid, padding_mode="border", align_corners=False)[:, :, 0, 0]
    wrong = (colors.transpose(1, 2) - batch.colors).abs().mean(-1)
    return {
        "front": 8 * front,
        "slope": 4 * slopes,
        "solid": 2 * (solid * there).sum() / count,
        "rgb": 1.5 * (wrong * batch.counts).sum() / batch.counts.sum().clamp_min(1),
    }


def _slopes(depth: Tensor, there: Tensor) -> Tensor:
    """Differences of neighbouring depths, kept where both are on the object and on one surface."""
    parts = []
    for axis in (-1, -2):
        size = depth.shape[axis]
        after, before = depth.narrow(axis, 1, size - 1), depth.narrow(axis, 0, size - 1)
        both = there.narrow(axis, 1, size - 1) * there.narrow(axis, 0, size - 1)
        parts.append(((after - before).clamp(-0.1, 0.1) * both).flatten(1))
    return torch.cat(parts, 1)


@torch.no_grad()
def validate(trainer: Trainer, samples: Samples, count: int = 24) -> dict[str, float]:
    """The finished expert on meshes that no training sample shows: front depth, and its unseen views."""
    expert = Embedded(trainer.average.to("cpu"))
    chosen = [round(k * (len(samples) - 1) / (count - 1)) for k in range(min(count, len(samples)))]
    scores: dict[str, list[float]] = {"psnr": [], "iou": [], "front": []}
    rows = []
    for index in chosen:
        views, depth = samples.views(index, 0)
        _, front, _ = targets(views, depth)
        given = torch.tensor([True] + [False] * (VIEWS - 1))
        guess = expert.network(encode(views[None], given[None])).front[0]
        scores["front"].append((guess - front).abs()[front > 0].mean().item())
        straight = torch.cat([views[0, :3] / views[0, 3:].clamp_min(1e-3), views[0, 3:]]).permute(1, 2, 0)
        truth = samples.test_views(index)
        seen = render(expert.lift(straight, GAUSSIANS), orbit(TEST_AZIMUTHS_DEG, size=truth.shape[1]))
        white = on_white(truth)
        error = (seen.rgb - white).square().mean((1, 2, 3))
        scores["psnr"].append((-10 * error.log10()).mean().item())
        scores["iou"].append(silhouette_iou(seen.alpha, truth[..., 3]).mean().item())
        rows.append(torch.cat([on_white(straight), *seen.rgb, *white], 1))
    draw_sheet(trainer.options.out, rows[:: max(1, len(rows) // 12)])
    trainer.average.to(trainer.device)
    return {name: sum(values) / len(values) for name, values in scores.items()}


def main(argv: Sequence[str]) -> None:
    """Trains until the time is over."""
    options = tyro.cli(Options, prog="python -m train.train_expert", args=argv)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.processes == 1:
        train(0, options, "")
        return
    with tempfile.TemporaryDirectory() as meeting:
        # Spawned, they would pickle the samples for their loaders.
        torch.multiprocessing.start_processes(
            train, (options, f"file://{meeting}/point"), options.processes, start_method="fork"
        )


def train(rank: int, options: Options, meeting: str) -> None:
    """What each process does; the first one also saves and validates."""
    torch.set_num_threads(1)
    if options.processes > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=options.processes)
    trainer = Trainer(options)
    training, validation = (Samples(options.data, validation=kept) for kept in (False, True))
    if rank == 0:
        print(f"{len(training)} samples, {len(validation)} for validation, {trainer.device}", flush=True)
    stream = Examples(training, seed=options.seed + trainer.seen + 7919 * rank)
    loader = iter(DataLoader(stream, options.batch, num_workers=1, prefetch_factor=4))
    begin, sums, steps, reported = time.perf_counter() - trainer.elapsed, {}, 0, trainer.elapsed
    while not trainer.finished:
        terms = trainer.step(Example(**next(loader)).to(trainer.device), time.perf_counter() - begin)
        sums = {name: sums.get(name, 0.0) + term.item() for name, term in terms.items()}
        steps += 1
        due = trainer.elapsed - reported >= 60 * options.save_every or trainer.finished
        if due and rank == 0:
            report(trainer, validation, {name: value / steps for name, value in sums.items()})
        if due:
            sums, steps, reported = {}, 0, trainer.elapsed
    if rank == 0:
        (options.out / "options.json").write_text(json.dumps(asdict(options), default=str, indent=1))


def report(trainer: Trainer, validation: Samples, loss: dict[str, float]) -> None:
    """Saves, validates, and adds to the curve."""
    trainer.save()
    scores = validate(trainer, validation)
    line = {"seen": trainer.seen, "seconds": trainer.elapsed, "loss": loss, **scores}
    with (trainer.options.out / "curve.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    draw_curve(trainer.options.out)
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
