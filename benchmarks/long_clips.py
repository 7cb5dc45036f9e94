"""What a long clip costs: `python -m benchmarks.long_clips [--engine star] --frames 24 300`.

A made clip of each length is lifted with the preset `cpu`, all its Gaussians and nodes but few steps, in a
process of its own on one thread. Processor time is that of a frame of stage 2 and of a step of stage 3; steps
are the same for any length, so that what grows with the frames shows. The engine star is measured as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import torch

from ar4d.clip.clip import Clip
from ar4d.clip.framing import Crop
from ar4d.events import FrameFinished, Step
from ar4d.lifting import lift_events
from ar4d.presets import CPU, STAR
from ar4d.warmup import warm_up

STEPS = 4  # of a frame in stage 2
REFINE_STEPS = 100
PERIOD = 24  # frames of one turn of the motion


def main() -> None:
    """Measure every length and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[24, 300])
    parser.add_argument("--expert", default="silhouette")
    parser.add_argument("--engine", choices=["ar4d", "star"], default="ar4d")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    predicts = arguments.engine == "star"
    if arguments.one:
        found = predicted(arguments.one) if predicts else measured(arguments.one, arguments.expert)
        print(json.dumps(found))
        return
    parts = ("first frame", "a later frame") if predicts else ("stage 2, a frame", "stage 3, a step")
    print(f"| frames | {' | '.join(parts)} | peak memory |")
    print("|---:|---:|---:|---:|", flush=True)
    for count in arguments.frames:
        command = [sys.executable, "-m", "benchmarks.long_clips", "--one", str(count)]
        command += ["--expert", arguments.expert, "--engine", arguments.engine]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        first, second, memory = json.loads(done.stdout.splitlines()[-1])
        print(f"| {count} | {first:.2f} s | {1000 * second:.0f} ms | {memory:.0f} MB |", flush=True)


def predicted(count: int) -> tuple[float, float, float]:
    """Seconds until star's first frame and of a later one, and the peak of the memory in MB."""
    torch.set_num_threads(1)
    warm_up()
    settings = replace(STAR, device="cpu")
    clip, began, frames = made_clip(count, settings.size), time.process_time(), []
    for event in lift_events(clip, settings):
        if isinstance(event, FrameFinished):
            frames.append(time.process_time())
    return frames[0] - began, (frames[-1] - frames[0]) / max(len(frames) - 1, 1), peak_memory()


def measured(count: int, expert: str) -> tuple[float, float, float]:
    """Seconds of a frame in stage 2 and of a step in stage 3, and the peak of the memory in MB."""
    torch.set_num_threads(1)
    warm_up()
    settings = replace(
        CPU,
        device="cpu",
        initialize=replace(CPU.initialize, expert=expert, iterations=STEPS),
        generate=replace(CPU.generate, expert=expert, iterations=STEPS, birth_residual=0.0),
        refine=replace(CPU.refine, iterations=REFINE_STEPS, warm_start=STEPS),
    )
    frames, steps = [], []
    for event in lift_events(made_clip(count, settings.size), settings):
        if isinstance(event, FrameFinished):
            frames.append(time.process_time())
        elif isinstance(event, Step) and event.stage == "refine" and event.step > STEPS:
            steps.append((event.step, time.process_time()))
    (first, began), (last, ended) = steps[0], steps[-1]
    a_frame = (frames[-1] - frames[0]) / (len(frames) - 1)
    return a_frame, (ended - began) / (last - first), peak_memory()


def peak_memory() -> float:
    """The most that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)


def made_clip(count: int, size: int) -> Clip:
    """A striped ellipse that goes round in a circle."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    frames = np.zeros((count, size, size, 4), np.uint8)
    for k in range(count):
        turn = 2 * np.pi * k / PERIOD
        u, v = x - 0.1 * np.sin(turn), y - 0.05 * np.cos(turn)
        colors = [
            120 + 80 * np.sin(28 * u),
            90 + 60 * np.cos(36 * v),
            np.full_like(u, 60),
            np.full_like(u, 255),
        ]
        inside = (u / 0.21) ** 2 + (v / 0.29) ** 2 < 1
        frames[k][inside] = np.stack(colors, -1)[inside].astype(np.uint8)
    return Clip(frames, 10.0, Crop(0, 0, size, size, size), "made", "alpha", ())


if __name__ == "__main__":
    main()
