"""Measures everything that needs a CUDA machine in one call: `python -m benchmarks.gpu_check --out DIR`.

It compiles gsplat's kernels, compares them with the CPU kernels (images and gradients), times one training
iteration part by part, takes training steps with and without CUDA graphs side by side, lifts a clip with a
shortened `paper` schedule and with the whole schedule of the presets that `--whole` names, and measures the
frames per second that viewers could receive. With `--asset FILE` it uses that finished asset and leaves the
shortened schedule out. `--device cpu` runs the same with the CPU kernels on both sides, to check this script.

    python -m benchmarks.gpu_check --out DIR --whole paper quality
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from app.viewer.live import View, draw, encode
from ar4d.asset import Asset4D, frame_time, load_asset
from ar4d.cameras import FOV_Y_DEG, Cameras, orbit
from ar4d.clip import ClipSettings, load_clip
from ar4d.deformation import local_field
from ar4d.engines.ar4d.captured import CapturedFit
from ar4d.engines.ar4d.fitting import AutogradFit, Comparison, Fit, Fitted
from ar4d.engines.ar4d.hold import Hold
from ar4d.events import Finished, StageFinished
from ar4d.gaussians import Gaussians
from ar4d.lifting import lift_events
from ar4d.losses import photometric, photometric_loss, pseudo_view
from ar4d.parameters import Parameters
from ar4d.presets import PAPER, find
from ar4d.rendering import render
from ar4d.settings import Settings
from benchmarks.speed_child import ball


def main() -> None:
    """Measure everything, print the results and write them to OUT/gpu.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--clip", type=Path, default=Path("assets/examples/dinosaur.mp4"))
    parser.add_argument("--asset", type=Path, help="refined.safetensors of a run")
    parser.add_argument("--whole", nargs="*", default=[], help="presets whose whole schedule is measured")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the work, for checking the script")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    rows: list[tuple[str, str]] = [("machine", f"{name}, torch {torch.__version__}")]

    def report(what: str, value: str) -> None:
        rows.append((what, value))
        print(f"{what:<44} {value}", flush=True)
        table = "\n".join(["| what | measured |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows)])
        (arguments.out / "gpu.md").write_text(table + "\n")

    num_gaussians = int(65536 * arguments.scale)
    first = time.perf_counter()
    render(random_gaussians(64).to(device), orbit(0.0, size=64))
    report("first render, with compilation if needed", f"{time.perf_counter() - first:.1f} s")
    scenes = {
        "a random scene": (random_gaussians(int(4000 * arguments.scale)), orbit([0.0, 70.0], 20.0, size=128))
    }
    if arguments.asset:
        asset = load_asset(arguments.asset)
        scenes["the asset"] = asset.at(0.5), orbit([0.0, 70.0], 20.0, size=512)
    for name, scene in scenes.items():
        for what, error in agreement(*scene, device).items():
            report(f"relative difference to the CPU, {name}: {what}", f"{error:.1e}")
    for what, ms in iteration(random_gaussians(num_gaussians).to(device), device).items():
        report(f"one iteration, {num_gaussians} Gaussians: {what}", f"{ms:.2f} ms")
    for what, value in steps_side_by_side(num_gaussians, device).items():
        report(f"training steps, {num_gaussians} Gaussians: {what}", value)
    if not arguments.asset:
        shortened = shorten(PAPER, 0.05 * arguments.scale)
        asset = whole_run(
            arguments.clip, shortened, device, arguments.out / "short.json", "5 % of paper", report
        )
    for name in arguments.whole:
        settings = find(name).settings
        assert isinstance(settings, Settings)
        if arguments.scale < 1:
            settings = shorten(settings, 0.05 * arguments.scale)
        asset = whole_run(arguments.clip, settings, device, arguments.out / f"{name}.json", name, report)
    asset = asset.to(device)
    for size in (512, 1024):
        for viewers in (1, 4):
            rate = frames_per_second(asset, size, viewers)
            report(f"{viewers} viewers of {size} px, each", f"{rate:.0f} frames/s")


def random_gaussians(count: int) -> Gaussians:
    """A speckled ball."""
    g = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=-1)
    return Gaussians(
        means=0.5 * directions,
        quats=torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=-1),
        scales=torch.rand(count, 3, generator=g) * 1.5 / max(count, 1) ** 0.5 + 1e-3,
        opacities=torch.rand(count, generator=g) * 0.9 + 0.05,
        colors=torch.rand(count, 3, generator=g),
    )


def agreement(gaussians: Gaussians, cameras: Cameras, device: torch.device) -> dict[str, float]:
    """Relative differences ‖a - b‖ / ‖a‖ between the CPU and the device, of images and gradients."""
    results = []
    for where in (torch.device("cpu"), device):
        leaves = gaussians.to(where).map(lambda x: x.detach().clone().requires_grad_())
        view = render(leaves, cameras)
        (view.rgb.square().mean() + view.depth.mean() + view.alpha.square().mean()).backward()
        values = {"rgb": view.rgb, "depth": view.depth, "alpha": view.alpha}
        values |= {f"gradient of {name}": x.grad for name, x in leaves.state().items()}
        results.append({name: x.detach().cpu() for name, x in values.items() if x is not None})
    ours, theirs = results
    return {name: float((ours[name] - theirs[name]).norm() / ours[name].norm()) for name in ours}


def iteration(gaussians: Gaussians, device: torch.device) -> dict[str, float]:
    """Median times in milliseconds of the parts of an iteration of stage 2 with the preset `paper`."""
    parameters = Parameters.of(gaussians, False)
    field = local_field(PAPER.generate.field, gaussians.means)
    leaves = [tensor.requires_grad_() for tensor in parameters.state().values()]
    adam = torch.optim.Adam([*leaves, *field.parameters()], lr=1e-9, fused=True)
    reference, side = orbit(0.0, size=512), orbit(40.0, size=256)
    target = torch.rand(1, 512, 512, 3, device=device)
    moved = parameters.activated(field).detach()

    def step() -> None:
        now = parameters.activated(field)
        loss = photometric_loss(render(now, reference).rgb, target, 0.2) + render(now, side).depth.mean()
        adam.zero_grad()
        loss.backward()
        adam.step()

    def field_only() -> None:
        now = parameters.activated(field)
        (now.means.sum() + now.scales.sum() + now.opacities.sum()).backward()

    def raster_only() -> None:
        leaf = moved.map(lambda x: x.clone().requires_grad_())
        (render(leaf, reference).rgb.sum() + render(leaf, side).depth.sum()).backward()

    view = render(moved, reference).rgb.detach().requires_grad_()
    parts = {
        "whole": step,
        "field": field_only,
        "two renders": raster_only,
        "loss": lambda: photometric_loss(view, target, 0.2).backward(),
        "Adam": adam.step,
    }
    return {name: milliseconds(part, device) for name, part in parts.items()}


def steps_side_by_side(count: int, device: torch.device, steps: int = 40) -> dict[str, str]:
    """Steps of stage 2 with the preset `paper`: plain autograd, the step for CUDA graphs, and with graphs.

    Each fits a moved ball from the same start; the last losses and views say how far apart they end.
    """
    gaussians, options = ball(count, 0.0).to(device), PAPER.generate
    cameras = [orbit(0.0, size=PAPER.size), orbit(40.0, size=PAPER.pseudo_size)]
    moved, terms = ball(count, 0.02).to(device), (photometric(1 - options.l1), pseudo_view(1.0, 1.0))
    with torch.no_grad():
        comparisons = [Comparison(c, render(moved, c), t) for c, t in zip(cameras, terms, strict=True)]
    found: dict[str, str] = {}
    views = []
    for name, make in FITS.items():
        torch.manual_seed(0)
        hold = Hold.of([gaussians], cameras[0], options.hold)
        fitted = Fitted(
            Parameters.of(gaussians, False),
            options.rates,
            options.decay,
            steps,
            hold,
            local_field(options.field, gaussians.means),
            options.field,
        )
        fit, times = make(fitted), []
        for u in range(steps):
            started = time.perf_counter()
            fit.step(u, comparisons)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - started))
        views.append(fit.view)
        apart = (views[-1] - views[0]).abs().max().item()
        found[name] = f"{median(times[-20:]):.2f} ms, loss {fit.loss:.6f}, last view {apart:.1e} from plain"
        if fit.note is not None:
            found[f"{name}, note"] = fit.note
    return found


FITS: dict[str, Callable[[Fitted], Fit]] = {
    "plain autograd": AutogradFit,
    "one rasterisation, no graphs": lambda fitted: CapturedFit(fitted, capture=False),
    "with graphs": CapturedFit,
}


def milliseconds(work: Callable[[], object], device: torch.device, repeats: int = 15) -> float:
    """Median time of `repeats` calls after three warm-up calls."""
    times = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - started))
    return median(times[3:])


def shorten(settings: Settings, share: float) -> Settings:
    """The schedule with a share of its iterations and the expert `silhouette`."""
    generate, refine = settings.generate, settings.refine
    return replace(
        settings,
        initialize=replace(
            settings.initialize,
            expert="silhouette",
            iterations=max(int(settings.initialize.iterations * share), 1),
            gaussians=max(int(settings.initialize.gaussians * min(1, 20 * share)), 500),
        ),
        generate=replace(
            generate,
            expert="silhouette",
            iterations=max(int(generate.iterations * share), 1),
            steps_per_degree=generate.steps_per_degree * share,
        ),
        refine=replace(refine, iterations=max(int(refine.iterations * share), 1)),
    )


def whole_run(
    clip: Path,
    settings: Settings,
    device: torch.device,
    out: Path,
    name: str,
    report: Callable[[str, str], None],
) -> Asset4D:
    """Lift the clip and report stage times, quality and peak memory."""
    settings = replace(settings, device=device.type)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    frames = load_clip(clip, ClipSettings(), settings.size)
    last, seconds, started = None, {}, time.perf_counter()
    for event in lift_events(frames, settings):
        if isinstance(event, StageFinished):
            seconds[event.stage] = event.seconds
            report(f"{name}: {event.stage}", f"{event.seconds:.1f} s")
        last = event
    assert isinstance(last, Finished)
    assert last.asset is not None
    report(f"{name}: all", f"{time.perf_counter() - started:.1f} s")
    report(f"{name}: asset at the reference view", f"{sum(last.psnr) / len(last.psnr):.2f} dB")
    if device.type == "cuda":
        report(f"{name}: peak memory", f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    out.write_text(json.dumps({"seconds": seconds, "psnr": last.psnr, "ssim": last.ssim}, indent=1))
    return last.asset


def frames_per_second(asset: Asset4D, size: int, viewers: int, frames: int = 60) -> float:
    """Frames per second of each of `viewers` threads that deform, draw and encode a playing asset."""

    def watch(viewer: int) -> None:
        camera = orbit(30.0 + 90 * viewer, 10.0, size=size)
        matrix = tuple(camera.viewmats.flatten().tolist())
        view = View(matrix, FOV_Y_DEG, size, size, "rgb", (1.0, 1.0, 1.0))
        for k in range(frames):
            encode(draw(asset.at(frame_time(k, frames)), view, 0.7), quality=85)

    watch(0)
    started = time.perf_counter()
    with ThreadPoolExecutor(viewers) as pool:
        list(pool.map(watch, range(viewers)))
    return frames / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
