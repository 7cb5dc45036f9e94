"""Compares the speed of two builds in turn: `python -m benchmarks.speed --base COMMIT --clip CLIP`.

The base is checked out into a folder of its own (git worktree) and measured by processes of its own; so is
this tree. Writes a Markdown table of medians and ratios, and of where a step's time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median

from benchmarks.step_times import table as table_of_kernels

ROOT = Path(__file__).parent.parent
CHILD = Path(__file__).parent / "speed_child.py"
UNITS = {"memory": "MB", "psnr": "dB", "ssim": ""}
LARGER_IS_BETTER = ("psnr", "ssim")

Figures = dict[str, float]


def main() -> None:
    """Measure all pairs and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--base", default="dd7b674", help="commit to compare with")
    parser.add_argument("--tree", type=Path, help="a folder that holds the base already, in place of --base")
    parser.add_argument("--whats", nargs="+", default=("steps", "clip"), choices=("steps", "clip"))
    parser.add_argument("--clip", type=Path, help="a clip to lift whole; else only steps are measured")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock",
        choices=("wall", "processor"),
        default="wall",
        help="of steps; processor, with one thread: where other programs share the machine",
    )
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    whats = [what for what in arguments.whats if what == "steps" or arguments.clip]
    with nullcontext(arguments.tree) if arguments.tree else checked_out(arguments.base) as base:
        pairs: dict[str, list[tuple[Figures, Figures]]] = {what: [] for what in whats}
        for what in whats:
            for k in range(arguments.pairs):
                pairs[what].append(in_turn(base, what, arguments, swapped=k % 2 == 1))
                print(f"{what} {k + 1}/{arguments.pairs}: {pairs[what][-1]}", file=sys.stderr, flush=True)
    command = " ".join(["python -m benchmarks.speed", *sys.argv[1:]])
    parts = [
        "# Speed",
        f"Base {arguments.base}. Medians of {arguments.pairs} pairs, {arguments.threads} threads, preset "
        f"{arguments.preset}; {platform.machine()}, {os.cpu_count()} cores. A ratio above 1 is a gain.",
        f"    {command}",
        *(comparison(what, pairs[what]) for what in whats),
        "## Where a step's time goes",
        table_of_kernels(arguments.preset),
    ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A folder with the sources of a commit."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "base"
        subprocess.run(["git", "worktree", "add", "--detach", str(tree), commit], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)


def in_turn(base: Path, what: str, arguments: argparse.Namespace, swapped: bool) -> tuple[Figures, Figures]:
    """The figures of the base and of this tree; `swapped`: this tree goes first."""
    order = (ROOT, base) if swapped else (base, ROOT)
    first, second = (measured(tree, what, arguments) for tree in order)
    return (second, first) if swapped else (first, second)


def measured(tree: Path, what: str, arguments: argparse.Namespace) -> Figures:
    options = ["--preset", arguments.preset, "--threads", str(arguments.threads)]
    if what == "clip":
        options += ["--clip", str(arguments.clip.resolve()), "--frames", str(arguments.frames)]
    else:
        options += ["--clock", arguments.clock]
    options += ["--started", str(time.time())]
    command = [sys.executable, "-P", str(CHILD), what, *options]
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(arguments.threads)}
    done = subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def comparison(what: str, pairs: list[tuple[Figures, Figures]]) -> str:
    """The table of one kind of measurement."""
    unit = "ms" if what == "steps" else "s"
    rows = ["| | base | this build | ratio |", "|---|---:|---:|---:|"]
    for name in pairs[0][0]:
        a, b = ([pair[side][name] for pair in pairs] for side in (0, 1))
        u = UNITS.get(name, unit)
        if name in LARGER_IS_BETTER:
            change = f"{median(y - x for x, y in zip(a, b, strict=True)):+.3f}"
        else:
            change = f"{median(x / y for x, y in zip(a, b, strict=True)):.2f}"
        rows.append(f"| {name} | {median(a):.4g} {u} | {median(b):.4g} {u} | {change} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
