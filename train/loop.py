"""The loop that both networks are trained in: AdamW, a falling rate, averaged weights, a curve.

On a CPU several processes can train one network: each takes its own batches, and their gradients are
averaged. Stopped, a run goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

from train.report import draw_curve

WARM_UP = 400  # steps
CHECKPOINT = "last.pt"

Net = TypeVar("Net", bound=nn.Module)
Batch = TypeVar("Batch")
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Options:
    """Of a run."""

    out: Path
    """Folder of the run: checkpoint, curve."""
    data: tuple[Path, ...] = ()
    """Folders of rendered samples."""
    actors: Path | None = None
    """Packed actors, which are photographed anew for every example; then `data` only validates."""
    made_up: int = 0
    """So many made-up objects, photographed in the same way."""
    points: int = 20_000
    """Of an object that is photographed."""
    reuse: int = 1
    """So many batches are made of the same shots, each turned, mirrored and recoloured in another way."""
    together: int = 1
    """So many batches are made at once: on a GPU that takes hardly longer than one."""
    compiled: bool = False
    """Fuse the networks' operations, which takes a minute at first. For GPUs."""
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
    """Weights to begin with, as those in ar4d/experts/embedded/weights; by default random ones."""
    seed: int = 0
    device: str = "auto"

    @property
    def on(self) -> torch.device:
        """Where the networks are."""
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(wanted if self.device == "auto" else self.device)


class Trainer(Generic[Net]):
    """Network, averaged network, optimiser and where the run stands."""

    def __init__(
        self,
        options: Options,
        rank: int,
        make: Callable[[], Net],
        begin_with: Callable[[Net, dict[str, Tensor]], None],
    ) -> None:
        """
        Args:
            begin_with: fills a network with what a file of weights has for it.
        """
        self.options, self.rank = options, rank
        self.device = options.on
        if options.compiled and self.device.type != "cuda":
            raise SystemExit("--compiled needs a GPU: PyTorch's compiler fails on these networks on a CPU.")
        torch.manual_seed(options.seed)
        self.network = make().to(self.device)
        if options.start is not None:
            begin_with(self.network, load_file(options.start, device=str(self.device)))
        self.average = make().to(self.device).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            options.lr,
            betas=(0.9, 0.98),
            weight_decay=options.weight_decay,
            fused=True,
        )
        self.steps = self.seen = 0
        self.elapsed = 0.0
        self.last = options.out / CHECKPOINT
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

    def fit(
        self,
        batch: Callable[[], Batch],
        losses: Callable[[Net, Batch], Losses],
        validate: Callable[[Net], dict[str, float]],
    ) -> None:
        """Trains until the run is finished.

        Args:
            batch: makes the next one.
            validate: scores the averaged network; the picture of the curve shows the first two.
        """
        if self.options.compiled:
            losses = torch.compile(losses, dynamic=False)
        begin, steps, reported = time.perf_counter() - self.elapsed, 0, self.elapsed
        sums: dict[str, Tensor] = {}
        while not self.finished:
            terms = losses(self.network, batch())
            self._step(sum(terms.values()), begin)  # type: ignore[arg-type]
            sums = {name: sums.get(name, 0.0) + term.detach() for name, term in terms.items()}
            steps += 1
            if self.finished or self.elapsed - reported >= 60 * self.options.save_every:
                if self.rank == 0:
                    self._save()
                    self._report(
                        {name: float(value) / steps for name, value in sums.items()}, validate(self.average)
                    )
                    draw_curve(self.options.out)
                sums, steps, reported = {}, 0, self.elapsed
        if self.rank == 0:
            (self.options.out / "options.json").write_text(
                json.dumps(asdict(self.options), default=str, indent=1)
            )

    def _step(self, loss: Tensor, begin: float) -> None:
        """One of AdamW, in a run that began at `begin` by the clock."""
        options = self.options
        done = min(1.0, self.elapsed / (60 * options.minutes))
        rate = 0.5 * (1 + math.cos(math.pi * done)) + 0.005
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * rate * min(1.0, (self.steps + 1) / WARM_UP)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.elapsed = self._agree(time.perf_counter() - begin)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self.seen += options.batch * options.processes
        self._follow()

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

    def _report(self, loss: dict[str, float], scores: dict[str, float]) -> None:
        """Adds to the curve."""
        line = {"seen": self.seen, "seconds": self.elapsed, "loss": loss, "scores": scores}
        with (self.options.out / "curve.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)

    def _save(self) -> None:
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


Given = TypeVar("Given", bound=Options)


def in_processes(train: Callable[[int, Given], None], options: Given) -> None:
    """Calls train(rank, options) in as many processes as are wanted, or here."""
    options.out.mkdir(parents=True, exist_ok=True)
    if options.processes == 1:
        torch.set_num_threads(1)
        train(0, options)
        return
    with tempfile.TemporaryDirectory() as meeting:
        # Spawned, they would pickle the samples for their loaders.
        arguments = train, options, f"file://{meeting}/point"
        torch.multiprocessing.start_processes(_begin, arguments, options.processes, start_method="fork")


def _begin(rank: int, train: Callable[[int, Given], None], options: Given, meeting: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=options.processes)
    train(rank, options)
