"""A quick subset of the benchmark against kept figures: whether a change makes unseen views worse.

    python -m benchmarks.guard            # compares with benchmarks/results/guard.json
    python -m benchmarks.guard --write    # measures six seeds anew and writes it

It renders procedural objects at a small size and lifts them with a short schedule of the preset `cpu`. The
figures say nothing about quality. The whole set is compared by `ar4d bench check`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from ar4d import presets
from ar4d.bench import guard
from ar4d.bench.catalogue import chosen
from ar4d.bench.make import Recipe, make
from ar4d.bench.models import Models
from ar4d.bench.run import Plan, run
from ar4d.errors import UserError
from ar4d.presets import CPU

FIGURES = Path(__file__).parent / "results" / "guard.json"
OBJECTS = ("walker", "windmill")
SEEDS = (0, 1, 2, 3, 4, 5)
RECIPE = Recipe(size=48, input_size=64, frames=3)
GUARD = presets.Preset(
    replace(
        CPU,
        preset="guard",
        size=64,
        pseudo_size=48,
        device="cpu",
        initialize=replace(CPU.initialize, gaussians=1500, iterations=60),
        generate=replace(
            CPU.generate, iterations=30, steps_per_degree=0.25, field=replace(CPU.generate.field, nodes=256)
        ),
        refine=replace(CPU.refine, iterations=90, warm_start=30, field=replace(CPU.refine.field, nodes=256)),
    ),
    "guard: a short schedule for small pictures",
    "cpu",
)


@dataclass(frozen=True)
class _Arguments:
    """Compare a quick subset of the benchmark with kept figures."""

    write: bool = False
    """Measure all seeds and write the figures."""


def main(argv: Sequence[str]) -> None:
    arguments = tyro.cli(_Arguments, prog="python -m benchmarks.guard", args=argv)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), SEEDS if arguments.write else SEEDS[:1])
    if arguments.write:
        guard.write_figures(found, FIGURES)
        return
    worse = guard.worse(found, guard.read_figures(FIGURES))
    if worse:
        raise UserError("\n".join(worse))


def measure(folder: Path, seeds: Sequence[int]) -> guard.Figures:
    """Renders the objects in a folder, lifts them, and gives their figures."""
    presets.register(GUARD)
    for _ in make(folder / "views", chosen(["made"], OBJECTS), Models(), RECIPE):
        pass
    plan = Plan(
        folder / "views", folder / "out", OBJECTS, ("full",), tuple(seeds), GUARD.name, ("consistent4d",)
    )
    for _ in run(plan, 1, "python -m benchmarks.guard"):
        pass
    return guard.figures(folder / "out")


if __name__ == "__main__":
    main(sys.argv[1:])
