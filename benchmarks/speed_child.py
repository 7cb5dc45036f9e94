"""One measurement in one build, for benchmarks/speed.py: `python -P benchmarks/speed_child.py WHAT …`.

Uses only what the builds that are compared have in common. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported, as the program does it

import itertools

import torch

from ar4d.cameras import orbit
from ar4d.clip import ClipSettings, load_clip
from ar4d.engines.ar4d.fitting import ViewCache
from ar4d.engines.ar4d.generate import generate
from ar4d.engines.ar4d.refine import refine
from ar4d.events import Event, Finished, FrameFinished, StageFinished, Step
from ar4d.gaussians import Gaussians
from ar4d.lifting import lift_events
from ar4d.presets import find
from ar4d.rendering import render
from ar4d.settings import Settings
from ar4d.warmup import warm_up

STEPS = 60  # of each stage
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("steps", "clip"))
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help="of steps")
    parser.add_argument("--started", type=float, help="start of the process, seconds since the epoch")
    parser.add_argument("--iterations", type=int, help="a frame in stage 2; stage 3 takes 12 times as many")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = find(arguments.preset).settings
    assert isinstance(settings, Settings)
    settings = replace(settings, device="cpu")
    found = (
        steps(settings, CLOCKS[arguments.clock])
        if arguments.what == "steps"
        else whole_clip(settings, arguments)
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)
    print(json.dumps(found | {"memory": peak}), flush=True)


def whole_clip(settings: Settings, arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of a whole lift, of its stages, to the first frame and of all cores; the asset's quality."""
    started = arguments.started or time.time()
    if arguments.iterations:
        later = replace(settings.generate, iterations=arguments.iterations)
        last = replace(settings.refine, iterations=12 * arguments.iterations)
        settings = replace(settings, generate=later, refine=last)
    clip = load_clip(arguments.clip, ClipSettings(num_frames=arguments.frames), settings.size)
    found = {"clip": time.time() - started}
    for event in lift_events(clip, settings):
        if isinstance(event, FrameFinished) and event.frame_index == 0:
            found["first frame"] = time.time() - started
        elif isinstance(event, StageFinished):
            found[event.stage] = event.seconds
        elif isinstance(event, Finished):
            found["psnr"] = sum(event.psnr) / len(event.psnr)
            found["ssim"] = sum(event.ssim) / len(event.ssim)
    return found | {"whole clip": time.time() - started, "processor time": time.process_time()}


def steps(settings: Settings, clock: Callable[[], float]) -> dict[str, float]:
    """Milliseconds of a step of stages 2 and 3, and of both passes of the rasteriser."""
    warm_up()
    frames = [ball(settings.initialize.gaussians, shift) for shift in (0.0, 0.02)]
    reference = orbit(0.0, size=settings.size)
    with torch.no_grad():
        views = [render(frame, reference) for frame in frames]
    targets = torch.cat([view.rgb for view in views])
    rgba = torch.cat([targets, torch.cat([view.alpha for view in views])[..., None]], -1)
    source = OneSource(frames[1], settings)

    def second() -> Iterable[Event]:
        options = replace(settings.generate, iterations=STEPS)
        return generate(rgba, targets, frames[:1], source, options, settings.rig, 0, True)  # pyright: ignore[reportArgumentType]

    def third() -> Iterable[Event]:
        options = replace(settings.refine, iterations=STEPS, warm_start=0)
        return refine(targets, frames, 10.0, options, settings.rig, 0, True)

    return {
        "step of stage 2": milliseconds(second(), clock),
        "step of stage 3": milliseconds(third(), clock),
        "rasteriser, 16k, 256²": rasterizer(16384, 256, clock),
    }


class OneSource:
    """Pseudo-views of known Gaussians; all views are rendered before the clock starts."""

    def __init__(self, known: Gaussians, settings: Settings) -> None:
        self.cache = ViewCache(known, 0.0, settings.pseudo_size)
        for azimuth_deg in range(-180, 181):
            self.cache.at(azimuth_deg)

    def at(self, *_: object) -> ViewCache:
        return self.cache


def milliseconds(events: Iterable[Event], clock: Callable[[], float]) -> float:
    """Of one step: the least time between two reports, which other load on the machine disturbs least."""
    times = [(clock(), event.step) for event in events if isinstance(event, Step)]
    return min(1000 * (b[0] - a[0]) / (b[1] - a[1]) for a, b in itertools.pairwise(times))


def rasterizer(count: int, size: int, clock: Callable[[], float]) -> float:
    leaves = ball(count, 0.0).map(lambda x: x.requires_grad_())
    camera, times = orbit(20.0, 10.0, size=size), []
    for _ in range(15):
        start = clock()
        view = render(leaves, camera)
        torch.autograd.backward([view.rgb, view.depth, view.alpha], [x.detach() for x in vars(view).values()])
        times.append(clock() - start)
    return 1000 * min(times)


def ball(count: int, shift: float, radius: float = 0.46) -> Gaussians:
    """Flat Gaussians on a bumpy, striped ball that covers 40 % of the image, moved to the right."""
    g = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=-1)
    bumps = 1 + 0.08 * torch.sin(5 * normals[:, 0]) * torch.cos(4 * normals[:, 1])
    spacing = math.sqrt(4 * math.pi * radius**2 / count)
    scales = 0.6 * spacing * torch.exp(0.35 * torch.randn(count, 3, generator=g))
    scales[:, 2] *= 0.35
    w = 1 + normals[:, 2:]  # the shortest turn from z to the normal
    quats = torch.cat([w, -normals[:, 1:2], normals[:, :1], torch.zeros_like(w)], -1)
    return Gaussians(
        means=radius * bumps[:, None] * normals + torch.tensor([shift, 0.0, 0.0]),
        quats=torch.nn.functional.normalize(quats, dim=-1),
        scales=scales,
        opacities=torch.sigmoid(2.5 + torch.randn(count, generator=g)),
        colors=0.5 + 0.4 * torch.sin(torch.tensor([9.0, 12.0, 15.0]) * normals),
    )


if __name__ == "__main__":
    main()
