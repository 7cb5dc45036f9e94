"""The training loop of both networks: AdamW, a cosine schedule, averaged weights, a validation curve.

Several processes can train one network: each takes its own batches, and their gradients are averaged. Torch's
launcher starts them, on one machine or on several, with a GPU each where there are GPUs:

    torchrun --standalone --nproc-per-node 2 -m train.embedded.train_reconstruction --data DIR --out RUN

`--processes` does the same on the cores of one CPU. A run that was stopped resumes from its last checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar, cast

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn

from train.report import draw_curve

CHECKPOINT = "last.pt"

Net = TypeVar("Net", bound=nn.Module)
Batch = TypeVar("Batch")
Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Options:
    """Options of a training run."""

    out: Path
    """Folder of the run: checkpoint, curve."""
    data: tuple[Path, ...] = ()
    """Folders of rendered samples."""
    actors: Path | None = None
    """Packed actors, from which every example is rendered; `data` is then used for validation only."""
    procedural: int = 0
    """Number of procedural objects, rendered in the same way."""
    points: int = 20_000
    """Points of every object's cloud."""
    reuse: int = 1
    """Batches that are made from the same views, each reordered, mirrored and recoloured in another way."""
    together: int = 1
    """Batches that are made at once: on a GPU that takes hardly longer than one."""
    compiled: bool = False
    """Compile the losses with torch.compile, which takes a minute at first. For GPUs."""
    minutes: float = 60.0
    """Total training time; the learning rate falls to almost nothing by its end or that of the examples."""
    examples: int | None = None
    """Stop after this many examples, if the time is not over before."""
    batch: int = 8
    """Examples per step."""
    lr: float = 1.5e-3
    """Largest learning rate."""
    warm_up: int = 400
    """Steps over which the learning rate rises."""
    weight_decay: float = 0.02
    ema: float = 0.998
    """Share of the averaged weights that a step keeps."""
    processes: int = 1
    """Processes on a CPU, one for each core. Each takes its own batches; their gradients are averaged.
    Under torchrun it is the number of processes that torchrun has started."""
    threads: int = 1
    """Threads of each process on a CPU."""
    save_every: float = 6.0
    """Minutes between checkpoints and validations."""
    start: Path | None = None
    """Initial weights, as in ar4d/experts/embedded/weights; by default random ones."""
    seed: int = 0
    device: str = "auto"
    """PyTorch device of the networks; auto: CUDA if there is any."""

    @property
    def torch_device(self) -> torch.device:
        """The device of the networks."""
        best = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(best if self.device == "auto" else self.device)


class Trainer(Generic[Net]):
    """The network, its average, the optimiser and the progress of a run."""

    def __init__(
        self,
        options: Options,
        rank: int,
        make: Callable[[], Net],
        load_initial_weights: Callable[[Net, dict[str, Tensor]], None],
    ) -> None:
        """
        Args:
            options: of the run; a checkpoint in `options.out` is resumed.
            rank: of this process.
            make: makes a network.
            load_initial_weights: fills a network with its tensors among those of a weights file.
        """
        self.options, self.rank = options, rank
        self.device = options.torch_device
        if options.compiled and self.device.type != "cuda":
            raise SystemExit("--compiled needs a GPU: PyTorch's compiler fails on these networks on a CPU.")
        torch.manual_seed(options.seed)
        self.network = make().to(self.device)
        if options.start is not None:
            load_initial_weights(self.network, load_file(options.start, device=str(self.device)))
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
            self._resume()
        self.synchronized = cast(
            Net, DistributedDataParallel(self.network) if options.processes > 1 else self.network
        )

    @property
    def finished(self) -> bool:
        """Whether the time is over or all examples have been seen."""
        return self.done >= 1

    @property
    def done(self) -> float:
        """Share of the time, or of the examples, that is used up; what is used up first counts."""
        options = self.options
        time_used = self.elapsed / (60 * options.minutes)
        return time_used if options.examples is None else max(time_used, self.seen / options.examples)

    def fit(
        self,
        batch: Callable[[], Batch],
        losses: Callable[[Net, Batch], Losses],
        validate: Callable[[Net], dict[str, float]],
    ) -> None:
        """Train until the run is finished.

        Args:
            batch: makes the next training batch.
            losses: the terms whose sum is minimised.
            validate: scores the averaged network; the curve's picture shows the first two scores.
        """
        if self.options.compiled:
            losses = torch.compile(losses, dynamic=False)
        begin, steps, reported = time.perf_counter() - self.elapsed, 0, self.elapsed
        sums: dict[str, Tensor] = {}
        while not self.finished:
            terms = losses(self.synchronized, batch())
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
        """One optimiser step; `begin` is the run's start by `time.perf_counter`."""
        options = self.options
        rate = 0.5 * (1 + math.cos(math.pi * min(1.0, self.done))) + 0.005
        for group in self.optimizer.param_groups:
            group["lr"] = options.lr * rate * min(1.0, (self.steps + 1) / options.warm_up)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.elapsed = self._mean_over_processes(time.perf_counter() - begin)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self.seen += options.batch * options.processes
        self._update_average()

    def _mean_over_processes(self, clock: float) -> float:
        """The mean of all processes' clocks, so that all of them stop at the same step."""
        if self.options.processes == 1:
            return clock
        total = torch.tensor([clock], dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total) / self.options.processes

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the averaged weights towards the network's, faster in the first steps.

        `swa_utils.AveragedModel` would compare a counter on the device in every step, which stalls a GPU.
        """
        keep = min(self.options.ema, (1 + self.steps) / (10 + self.steps))
        get_ema_multi_avg_fn(keep)(list(self.average.parameters()), list(self.network.parameters()), 0)

    def _report(self, loss: dict[str, float], scores: dict[str, float]) -> None:
        """Append a line to the curve and print it."""
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

    def _resume(self) -> None:
        state = torch.load(self.last, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.seen, self.elapsed = state["steps"], state["seen"], state["elapsed"]


RunOptions = TypeVar("RunOptions", bound=Options)


def launch(train: Callable[[int, RunOptions], None], options: RunOptions) -> None:
    """Call train(rank, options) in `options.processes` processes; if that is one, in this process.

    Under torchrun, which has started the processes already, it is called in this process with its rank.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    if dist.is_torchelastic_launched():
        _join(train, options)
        return
    if options.processes == 1:
        torch.set_num_threads(options.threads)
        train(0, options)
        return
    with tempfile.TemporaryDirectory() as folder:
        # Forked, because spawned processes would receive the training data by pickling.
        arguments = train, options, f"file://{folder}/rendezvous"
        torch.multiprocessing.start_processes(_run_process, arguments, options.processes, start_method="fork")


def _join(train: Callable[[int, RunOptions], None], options: RunOptions) -> None:
    """The work of one of torchrun's processes, with the GPU of its local rank or one core."""
    if options.processes != 1:
        raise SystemExit("--processes and torchrun do not go together: torchrun starts the processes.")
    if options.torch_device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        torch.set_num_threads(options.threads)
        dist.init_process_group("gloo")
    try:
        train(dist.get_rank(), replace(options, processes=dist.get_world_size()))
    finally:
        dist.destroy_process_group()


def _run_process(
    rank: int, train: Callable[[int, RunOptions], None], options: RunOptions, init_method: str
) -> None:
    torch.set_num_threads(options.threads)
    dist.init_process_group("gloo", init_method=init_method, rank=rank, world_size=options.processes)
    train(rank, options)
    dist.destroy_process_group()
