"""`bench`: objects × variants × seeds, measured and reported."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import tyro

from ar4d.bench.catalogue import SOURCES, Source
from ar4d.errors import UserError

_LIMITS = {"size": (16, 2048), "input_size": (16, 2048), "frames": (2, 256)}
"""Least and greatest values of the options of `bench make`."""


@dataclass(frozen=True)
class _MakeArguments:
    """Render the benchmark's objects that are not there yet: clips, true views, depth, normals, meshes."""

    out: tyro.conf.Positional[Path]
    """Folder for the objects."""
    sources: tuple[Source, ...] = SOURCES
    """0ad: animals and people of the game 0 A.D., from Debian's package 0ad-data. gltf: CC0 and CC BY models,
    which are downloaded. made: procedural objects, which need nothing."""
    objects: tuple[str, ...] = ()
    """Names of objects; all by default."""
    zeroad: Path | None = None
    """0 A.D.'s public.zip; where Debian's package has it by default."""
    gltf: Path | None = None
    """Folder with the glTF files; they are downloaded by default."""
    size: int = 256
    """Width and height of the true views in pixels."""
    input_size: int = 512
    """Width and height of the clips in pixels."""
    frames: int = 16
    """Number of frames, over one cycle of each object's motion."""


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
    ray: str | None = None
    """HOST:PORT of a Ray cluster's head, or auto: measure there, as many pairs at once as it has room for."""


@dataclass(frozen=True)
class _ReportArguments:
    """Write report.html, which needs nothing beside it, and report.md."""

    out: tyro.conf.Positional[Path]
    """Folder that `ar4d bench run` wrote."""
    to: Path | None = None
    """Folder for the report; the same by default."""


@dataclass(frozen=True)
class _CheckArguments:
    """Compare mean PSNR, IoU and LPIPS of unseen views with committed figures."""

    out: tyro.conf.Positional[Path]
    """Folder that `ar4d bench run` wrote."""
    figures: tyro.conf.Positional[Path]
    """File with the committed figures."""
    write: bool = False
    """Write the figures of this run into the file, instead of comparing."""


def main(argv: list[str]) -> None:
    """measure objects with ground truth in several variants: bench make, run, report, check"""
    commands = {"make": make, "run": run, "report": report, "check": check}
    if not argv or argv[0] in ("-h", "--help"):
        print(
            "usage: ar4d bench {make, run, report, check} [options]; ar4d bench run --help lists its options"
        )
        return
    known = ", ".join(f"bench {name}" for name in commands)
    if argv[0] not in commands:
        raise UserError(f'There is no command "bench {argv[0]}"; choose one of: {known}.')
    commands[argv[0]](argv[1:])


def make(argv: list[str]) -> None:
    """Renders what is not there yet, and prints a line for each object."""
    from ar4d.bench.catalogue import chosen
    from ar4d.bench.make import Recipe
    from ar4d.bench.make import make as make_objects
    from ar4d.bench.models import Models
    from ar4d.bench.objects import require_known

    arguments = tyro.cli(_MakeArguments, prog="ar4d bench make", args=argv)
    require_known("object", arguments.objects, [entry.name for entry in chosen(arguments.sources, ())])
    for option in ("size", "input_size", "frames"):
        value, (low, high) = getattr(arguments, option), _LIMITS[option]
        if not low <= value <= high:
            raise UserError(f"--{option.replace('_', '-')} is from {low} to {high}, not {value}.")
    recipe = Recipe(arguments.size, arguments.input_size, arguments.frames)
    models = Models(arguments.zeroad, arguments.gltf)
    for made in make_objects(arguments.out, chosen(arguments.sources, arguments.objects), models, recipe):
        remark = ""
        if made.published is not None:
            same = made.checksum == made.published
            remark = "as published" if same else "differs from the published pixels"
        entry = made.entry
        print(
            f"{entry.name:12} {entry.kind:8} {entry.source:5} for {entry.use:10} {remark}".rstrip(),
            flush=True,
        )
    print(arguments.out)


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
    for pair, result in run_plan(plan, arguments.jobs, f"ar4d bench run {shlex.join(argv)}", arguments.ray):
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


def check(argv: list[str]) -> None:
    """Fails where a figure is worse than the committed one by more than its spread.

    Raises:
        UserError: figures are worse, missing or do not compare.
    """
    from ar4d.bench import guard

    arguments = tyro.cli(_CheckArguments, prog="ar4d bench check", args=argv)
    found = guard.figures(arguments.out)
    if arguments.write:
        guard.write_figures(found, arguments.figures)
        print(arguments.figures)
        return
    committed = guard.read_figures(arguments.figures)
    for metric in guard.not_compared(found, committed):
        print(f"{metric} is not compared: it was not measured on both sides.")
    worse = guard.worse(found, committed)
    if worse:
        raise UserError("\n".join(worse))
    print(f"No figure is worse than in {arguments.figures} by more than its spread.")
