"""Where the time of a training step goes, kernel by kernel, beside the least time its arithmetic takes.

    python -m benchmarks.step_times [--preset cpu]

Each kernel of the chain runs on one thread, so that the times add up; the least of several runs is shown. The
floor counts the multiplications and additions of the pixels that splats' boxes hold, at the speed of a
matrix product on the same core.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import cast

import torch

from ar4d.cameras import orbit
from ar4d.deformation import NodeField, local_field
from ar4d.fused.step import FusedStep
from ar4d.losses import photometric, pseudo_view
from ar4d.parameters import Parameters
from ar4d.presets import find
from ar4d.rendering import render
from ar4d.settings import Settings
from benchmarks.speed_child import ball

REPEATS = 30
FLOPS = {
    # of one pixel of a splat's box: exponent, exponential, blending; and the derivative's seven sums
    "blend_tiles": 40,
    "blend_tiles_backward": 70,
    # of one colour of a pixel: two passes of eleven taps over four planes, and over three
    "compare": 176,
    "compare_backward": 132,
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="cpu")
    print(table(parser.parse_args().preset))


def table(preset: str) -> str:
    """The table of a stage-2 step, in Markdown."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        step, arguments = prepared(cast(Settings, find(preset).settings))
        times: dict[str, list[float]] = {}
        for u in range(REPEATS):
            step.step(u, *arguments)
            for name, seconds in step.timed().items():
                times.setdefault(name, []).append(1000 * seconds)
        speed = peak_flops()
    finally:
        torch.set_num_threads(threads)
    rows = ["| kernel | ms on one thread | share | floor of its arithmetic, ms |", "|---|---:|---:|---:|"]
    total = sum(min(values) for values in times.values())
    work = counted(step)
    for name, values in sorted(times.items(), key=lambda pair: -min(pair[1])):
        floor = f"{1000 * work[name] * FLOPS[name] / speed:.2f}" if name in FLOPS else "–"
        rows.append(f"| {name} | {min(values):.2f} | {100 * min(values) / total:.0f} % | {floor} |")
    rows.append(f"| all | {total:.2f} | 100 % | |")
    rows.append(f"\nA matrix product on one core reaches {speed / 1e9:.0f} GFLOP/s.")
    return "\n".join(rows)


def prepared(settings: Settings) -> tuple[FusedStep, tuple]:
    """A step of stage 2 on a ball that has moved a little, and what it compares."""
    generate = settings.generate
    gaussians, moved = (ball(settings.initialize.gaussians, shift) for shift in (0.0, 0.02))
    field = cast(NodeField, local_field(replace(generate.field, kind="node-table"), gaussians.means))
    step = FusedStep(Parameters.of(gaussians, True), field)
    cameras = [orbit(0.0, size=settings.size), orbit(60.0, size=settings.pseudo_size)]
    with torch.no_grad():
        targets = [render(moved, camera) for camera in cameras]
    terms = [
        photometric(1 - generate.l1, generate.alpha),
        pseudo_view(generate.pseudo_rgb, generate.pseudo_depth),
    ]
    rates = {"means": 3e-4, "colors": 2e-2, "table": 8e-3}
    return step, (rates, cameras, targets, terms)


def counted(step: FusedStep) -> dict[str, float]:
    """How many pixels, or colours of pixels, the kernels of the last step had to work on."""
    covered, similar = step.work()
    return {
        "blend_tiles": covered,
        "blend_tiles_backward": covered,
        "compare": similar,
        "compare_backward": similar,
    }


def peak_flops(size: int = 512) -> float:
    """Operations a second of a matrix product on one core."""
    a, times = torch.ones(size, size), []
    for _ in range(8):
        start = time.perf_counter()
        torch.mm(a, a)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


if __name__ == "__main__":
    main()
