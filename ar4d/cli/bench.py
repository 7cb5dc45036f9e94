"""`bench`: objects × variants × seeds, measured and reported."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import tyro

from ar4d.errors import UserError


@dataclass(frozen=True)
class _RunArguments:
    """Measure every pair of object and variant that is not finished yet; run it again to go on."""

    views: tyro.conf.Positional[Path]
    """Folder with a folder for each object: input/, views/ and meta.json."""
    out: Path = Path("bench")
    """Folder for the results."""
    objects: tuple[str, ...] = ()
    """Names of objects; all by default."""
    variants: tuple[str, ...] = ("truth", "white", "input-frame", "nearest-view", "full")
    """full, no-finetuning, no-autoregression, no-pseudo-views, no-refinement, expert:NAME, preset:NAME, or a
    baseline: truth, white, input-frame, nearest-view."""
    seeds: tuple[int, ...] = (0,)
    """Seeds with which each variant is lifted."""
    preset: str = "cpu"
    """Preset that "full" means, of any engine; the ablations change it."""
    protocols: tuple[str, ...] = ("ar4d", "consistent4d", "sv4d2")
    """Protocols to measure by."""
    frames: int | None = None
    """Number of frames of each clip, from the first; all by default."""
    size: int | None = None
    """Width and height at which clips are fitted; the preset's by default."""
    jobs: int = 1
    """Processes at once; more than one gives each a single thread."""


@dataclass(frozen=True)
class _ReportArguments:
    """Write report.html, which needs nothing beside it, and report.md."""

    out: tyro.conf.Positional[Path]
    """Folder that `ar4d bench run` wrote."""
    to: Path | None = None
    """Folder for the report; the same by default."""


def main(argv: list[str]) -> None:
    """measure objects with ground truth in several variants: bench run, bench report"""
    commands = {"run": run, "report": report}
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: ar4d bench {run, report} [options]; ar4d bench run --help lists its options")
        return
    if argv[0] not in commands:
        raise UserError(f'There is no command "bench {argv[0]}"; choose one of: bench run, bench report.')
    commands[argv[0]](argv[1:])


def run(argv: list[str]) -> None:
    """Measures what is not finished, and prints a line for each pair."""
    from ar4d.bench.objects import objects_of
    from ar4d.bench.run import Plan
    from ar4d.bench.run import run as run_plan
    from ar4d.bench.tables import unseen_psnr

    arguments = tyro.cli(_RunArguments, prog="ar4d bench run", args=argv)
    if arguments.jobs < 1:
        raise UserError(f"--jobs counts processes: give 1 or more, not {arguments.jobs}.")
    plan = Plan(
        arguments.views,
        arguments.out,
        tuple(objects_of(arguments.views, arguments.objects)),
        arguments.variants,
        arguments.seeds,
        arguments.preset,
        arguments.protocols,
        arguments.frames,
        arguments.size,
    )
    for pair, result in run_plan(plan, arguments.jobs, f"ar4d bench run {shlex.join(argv)}"):
        psnr = unseen_psnr(result)
        quality = "" if psnr is None else f"{psnr:.2f} dB at unseen views"
        print(
            f"{pair.variant:18} {pair.name:12} seed {pair.seed} {result['seconds']:7.1f} s  {quality}",
            flush=True,
        )
    print(arguments.out)


def report(argv: list[str]) -> None:
    """Writes the report and prints where it is."""
    from ar4d.bench.report import write_report

    arguments = tyro.cli(_ReportArguments, prog="ar4d bench report", args=argv)
    for path in write_report(arguments.out, arguments.to):
        print(path)
