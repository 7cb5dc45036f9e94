"""`batch`: many clips become runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from ar4d.cli.batch_clips import collect
from ar4d.cli.batch_work import Batch, Result, write_report
from ar4d.devices import resolve_device
from ar4d.errors import UserError
from ar4d.presets import default_for
from ar4d.threads import available_cores

DESCRIPTION = """Lift many clips, several at a time; a batch that was interrupted goes on.

Options of `ar4d lift` for all clips follow after --: ar4d batch clips --out runs -- --preset cpu."""


@dataclass(frozen=True)
class _BatchArguments:
    clips: tyro.conf.Positional[list[str]]
    """Clips, folders of clips, patterns such as "clips/*.mp4", and CSV files with a clip a row: column clip,
    and if wanted name and options of `ar4d lift` such as seed or generate.iterations."""
    out: Path
    """Folder for one run a clip, the logs and report.csv."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Clips that are lifted at a time; by default one on the CPU, or one on each GPU."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads of each worker; by default its share of the cores. Results are those of `ar4d lift` with as
    many (OMP_NUM_THREADS)."""
    ray: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None
    """HOST:PORT of a Ray cluster's head, or auto: lift on the devices of the cluster, which this machine has
    to belong to. Needs the package ray."""


def main(argv: list[str]) -> None:
    """lift many clips: a folder, a pattern or a CSV file with settings a row"""
    own, options = argv, []
    if "--" in argv:
        own, options = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    arguments = tyro.cli(_BatchArguments, prog="ar4d batch", description=DESCRIPTION, args=own)
    for name, value in (("workers", arguments.workers), ("threads", arguments.threads)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is a number from 1, not {value}.")
    with _batch(arguments) as (batch, kind):
        if kind != resolve_device("auto").type and not any(o.startswith("--preset") for o in options):
            options = [f"--preset={default_for(kind).settings.preset}", *options]
        _lift_all(batch, arguments, options)


@contextmanager
def _batch(arguments: _BatchArguments) -> Iterator[tuple[Batch, str]]:
    """The batch on this machine or on a cluster, and the kind of its devices."""
    if arguments.ray is None:
        environments = worker_environments(arguments.workers, arguments.threads)
        yield Batch(arguments.out, environments), resolve_device("auto").type
        return
    from ar4d.cli.batch_ray import RayBatch, devices
    from ar4d.cluster import connect

    cluster = connect(arguments.ray)
    batch = RayBatch(arguments.out, devices(cluster, arguments.workers, arguments.threads))
    try:
        yield batch, cluster.kind
    finally:
        batch.close()


def _lift_all(batch: Batch, arguments: _BatchArguments, options: list[str]) -> None:
    clips, refused = collect(arguments.clips, options)
    for one in refused:
        print(f"ar4d: left out: {one.reason}", file=sys.stderr)
    done: list[Result] = []

    def show(result: Result) -> None:
        done.append(result)
        why = f": {result.message}" if result.message else ""
        print(f"[{len(done)}/{len(clips)}] {result.name} {result.outcome}{why}", file=sys.stderr)

    results = batch.work(clips, show)
    path = arguments.out / "report.csv"
    lines = write_report(path, results, refused)
    Console(width=None if sys.stdout.isatty() else 160).print(_table(lines))
    print(path)
    failed = sum(line.outcome in ("failed", "refused") for line in lines)
    if failed:
        raise UserError(f"{failed} of {len(lines)} clips were not lifted; {path} says why.")


def worker_environments(workers: int | None, threads: int | None) -> list[dict[str, str]]:
    """Environment variables of each worker: its GPU, if there are any, and its threads."""
    if resolve_device("auto").type == "cuda":
        gpus = _gpus()
        count = workers or len(gpus)
        devices = [{"CUDA_VISIBLE_DEVICES": gpus[k % len(gpus)]} for k in range(count)]
    else:
        count = workers or 1
        devices = [{} for _ in range(count)]
    given = os.environ.get("OMP_NUM_THREADS")
    share = str(threads or given or max(1, available_cores() // count))
    return [device | {"OMP_NUM_THREADS": share} for device in devices]


def _gpus() -> list[str]:
    """The GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return visible.split(",") if visible else [str(k) for k in range(torch.cuda.device_count())]


def _table(lines: list[Result]) -> Table:
    table = Table("clip", "outcome", "frames", "seconds", "PSNR", "message")
    for line in lines:
        psnr = "" if line.psnr is None else f"{line.psnr:.2f} dB"
        table.add_row(line.name, line.outcome, str(line.frames), f"{line.seconds:.1f}", psnr, line.message)
    return table
