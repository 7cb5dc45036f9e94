"""Measures time, memory and fidelity of whole lifts: `python -m benchmarks.lift CLIP`.

Each clip is lifted in a process of its own by `python -m ar4d lift`. Time per iteration is a stage's time
divided by its optimisation steps, experts and measurements included.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

import torch

from ar4d.events import FrameFinished, Planned
from ar4d.runs import Run

COLUMNS = (
    "clip", "preset", "frames", "Gaussians", "seconds", "stage 1 / 2 / 3 s", "ms per iteration 2 / 3",
    "peak MB", "stage 2 PSNR / SSIM", "asset PSNR / SSIM", "worst frame - first, dB",
)  # fmt: skip


def main() -> None:
    """Lift every clip and print a row of the table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--runs", type=Path, default=None, help="keep the runs in this folder")
    arguments, options = parser.parse_known_args()
    folder = arguments.runs or Path(tempfile.mkdtemp(prefix="ar4d-lift-"))
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, {platform.machine()}\n", flush=True)
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS), flush=True)
    for clip in arguments.clips:
        row = measure(clip, arguments.preset, folder / clip.stem, options)
        print("| " + " | ".join(row) + " |", flush=True)


def measure(clip: Path, preset: str, out: Path, options: list[str]) -> list[str]:
    """Lift one clip.

    Returns:
        The clip's row of the table.
    """
    command = [
        sys.executable,
        "-m",
        "ar4d",
        "lift",
        str(clip),
        "--out",
        str(out),
        "--preset",
        preset,
        *options,
    ]
    started = time.perf_counter()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the largest run so far
    run = Run.open(out)
    seconds_of, events = run.record.seconds, list(run.events())
    frames = [event for event in events if isinstance(event, FrameFinished)]
    plan = next(event for event in events if isinstance(event, Planned))
    steps = {stage.name: stage.steps for stage in plan.stages}
    generated = frames[1:] or frames
    asset_psnr, asset_ssim = run.metrics() or ([], [])
    per_step = [1000 * seconds_of.get(s, 0) / max(steps.get(s, 0), 1) for s in ("generate", "refine")]
    return [
        clip.name,
        run.record.recipe.settings.preset,
        str(len(frames)),
        str(len(run.asset().at(0.0))),
        f"{seconds:.0f}",
        " / ".join(f"{seconds_of.get(stage, 0):.0f}" for stage in ("initialize", "generate", "refine")),
        " / ".join(f"{ms:.1f}" for ms in per_step),
        f"{peak:.0f}",
        f"{fmean(e.psnr for e in generated):.2f} / {fmean(e.ssim for e in generated):.4f}",
        f"{fmean(asset_psnr):.2f} / {fmean(asset_ssim):.4f}",
        f"{min(asset_psnr) - asset_psnr[0]:+.2f}",
    ]


if __name__ == "__main__":
    main()
