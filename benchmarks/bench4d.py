"""Lifts objects with ground truth in several variants of the method and measures the results.

    python -m benchmarks.bench4d --views DIR

`DIR/NAME/input` holds an object's clip, already framed for the reference camera, and `DIR/NAME` its ground
truth in the layout of `ar4d.evaluation.ground_truth`. Each result is stored in `OUT/bench4d.json` when it is
finished, so the same command resumes a stopped run.
"""

from __future__ import annotations

import json
import multiprocessing
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro
from PIL import Image

from ar4d.bench.objects import clip_of, objects_of, require_known
from ar4d.bench.results import machine
from ar4d.bench.variants import ABLATIONS, ADDITIONS, baseline, with_experts
from ar4d.errors import UserError
from ar4d.evaluation import ViewRenderer, asset_renderer, evaluate_views, mean
from ar4d.evaluation.ground_truth import GroundTruth, read_ground_truth
from ar4d.files import write_text
from ar4d.lifting import lift
from ar4d.presets import find
from ar4d.settings import FACING_DEG, Facing, Settings
from ar4d.warmup import warm_up
from benchmarks.tables import markdown
from benchmarks.true_views import TrueViews

SIDES_DEG = (90.0, 180.0, 270.0, -75.0)
"""Azimuths at which a weak prior shows as roughness and fog."""
EDGES_DEG = (90.0, 270.0)
"""Azimuths at which a front and a back sheet meet in a seam."""

HINTED = "embedded-hinted"
"""The variant whose settings name each object's facing direction."""
TRUE_VIEWS = "true-views"
"""The variant whose pseudo-views are reconstructed from ground truth."""


def _with_views(settings: Settings, expert: str) -> Settings:
    """The settings with an expert that draws the clip from other sides in place of pseudo-views."""
    return replace(settings, views=replace(settings.views, expert=expert))


VARIANTS: dict[str, Callable[[Settings], Settings]] = {
    "full": lambda s: s,
    **ABLATIONS,
    **ADDITIONS,
    "silhouette": lambda s: with_experts(s, "silhouette", "silhouette"),
    "embedded-first": lambda s: with_experts(s, "embedded", "silhouette"),
    "embedded-later": lambda s: with_experts(s, "silhouette", "embedded"),
    "embedded": lambda s: with_experts(s, "embedded", "embedded"),
    HINTED: lambda s: with_experts(s, "embedded", "embedded"),
    TRUE_VIEWS: lambda s: with_experts(s, "embedded", "embedded"),
    "embedded-views": lambda s: _with_views(s, "embedded-views"),
    "grid": lambda s: _with_views(s, "grid"),
}
BASELINES = ("truth", "white", "input-frame")
"""Variants that lift nothing."""


@dataclass(frozen=True)
class Options:
    """Measure the method on objects with ground truth."""

    views: Path
    """Folder that holds a folder for each object."""
    objects: tuple[str, ...] = ()
    """Names of objects; all by default."""
    variants: tuple[str, ...] = (*BASELINES, *VARIANTS)
    """Variants to measure; see benchmarks/README.md."""
    preset: str = "cpu"
    """Preset whose variants are lifted."""
    frames: int | None = None
    """Number of frames of each clip, from the first; all by default."""
    size: int | None = None
    """Width and height at which clips are fitted; the preset's by default."""
    canonical: Literal["auto"] | int = 0
    """Index of the frame that stage 1 lifts, or auto."""
    refinement: bool = True
    """Off: stages 1 and 2 only, which takes a third of the time and changes unseen views little."""
    jobs: Literal[1, 2] = 1
    """Pairs of object and variant measured at once; 2 gives each a process with one thread."""
    lpips: Path | None = None
    """LPIPS weights file; the environment variable AR4D_LPIPS by default."""
    out: Path = Path("benchmarks/results")
    """Folder for bench4d.json and bench4d.md."""
    renders: Path = Path("runs/bench4d")
    """Folder for the pictures that benchmarks/contact_sheet.py arranges on sheets."""

    @property
    def settings(self) -> Settings:
        """The settings that the variants change."""
        preset = find(self.preset).settings
        if not isinstance(preset, Settings):
            raise UserError(
                f'The preset "{self.preset}" is not one of the engine ar4d, whose variants these are.'
            )
        refine = replace(preset.refine, enabled=preset.refine.enabled and self.refinement)
        return replace(preset, size=self.size or preset.size, refine=refine)


def main(argv: Sequence[str]) -> None:
    """Measure every pair that is not finished yet and write the tables."""
    options = tyro.cli(Options, prog="python -m benchmarks.bench4d", args=argv)
    objects = objects_of(options.views, options.objects)
    require_known("variant", options.variants, (*BASELINES, *VARIANTS))
    results = _read_results(options)
    results["commands"].append("python -m benchmarks.bench4d " + shlex.join(argv))
    finished = results["finished"]
    pairs = [(n, v) for v in options.variants for n in objects if n not in finished.get(v, {})]
    for name, variant, result in _measure_all(options, pairs):
        finished.setdefault(variant, {})[name] = result
        write_text(options.out / "bench4d.json", json.dumps(results, indent=1))
        unseen = result["report"]["unseen"]
        quality = f"{unseen['psnr']:.2f} dB at unseen views" if unseen else ""
        print(f"{variant:18} {name:12} {result['seconds']:7.1f} s  {quality}", flush=True)
    text = markdown(results, [*BASELINES, *VARIANTS])
    write_text(options.out / "bench4d.md", text)
    print(f"\n{text}")


def measure(options: Options, name: str, variant: str) -> dict:
    """Lift one object in one variant and measure it.

    Returns:
        The pair's entry in bench4d.json.
    """
    folder = options.views / name
    truth = read_ground_truth(folder, options.frames)
    warm_up()
    begin = time.perf_counter()
    if variant in BASELINES:
        show = baseline(variant, folder, truth)
    else:
        settings = VARIANTS[variant](options.settings)
        if variant == HINTED:
            settings = replace(settings, facing=facing_of(folder))
        clip = clip_of(folder / "input", truth.num_frames, settings.size, options.canonical)
        experts = {"views_to_gaussians": TrueViews.of(truth)} if variant == TRUE_VIEWS else {}
        show = asset_renderer(lift(clip, settings, experts=experts))
    seconds = time.perf_counter() - begin
    report = evaluate_views(show, truth, {"lpips": options.lpips})
    _save_renders(show, truth, options.renders / name / variant)
    groups = {"sides": SIDES_DEG, "edges": EDGES_DEG}
    means = {
        group: mean([report.views[v.name] for azimuth in azimuths for v in truth.at(azimuth)])
        for group, azimuths in groups.items()
    }
    return {
        "seconds": seconds,
        "report": asdict(report),
        **{group: scores and dict(scores) for group, scores in means.items()},
    }


def facing_of(folder: Path) -> Facing:
    """The named direction nearest to an object's yaw (`yaw_deg` in meta.json)."""
    yaw = json.loads((folder / "meta.json").read_text())["yaw_deg"]
    return min(FACING_DEG, key=lambda name: abs((FACING_DEG[name] - yaw + 180) % 360 - 180))


def _measure_all(options: Options, pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str, dict]]:
    if options.jobs == 1:
        for name, variant in pairs:
            yield name, variant, measure(options, name, variant)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, context, torch.set_num_threads, (1,)) as pool:
        futures = {pool.submit(measure, options, *pair): pair for pair in pairs}
        for future in as_completed(futures):
            yield *futures[future], future.result()


@torch.no_grad()
def _save_renders(show: ViewRenderer, truth: GroundTruth, folder: Path) -> None:
    """Save the middle and the last frame from every camera."""
    kept = sorted({truth.num_frames // 2, truth.num_frames - 1})
    for view in truth.views:
        rgb = show([truth.times[k] for k in kept], view.camera).rgb
        (folder / view.name).mkdir(parents=True, exist_ok=True)
        for k, pixels in zip(kept, (rgb.clamp(0, 1) * 255).round().byte().cpu().numpy(), strict=True):
            Image.fromarray(pixels).save(folder / view.name / f"{k:04}.png")


def _read_results(options: Options) -> dict:
    """Results of earlier runs with the same settings and frames, or an empty record."""
    path = options.out / "bench4d.json"
    frames, settings = options.frames or "all", asdict(options.settings)
    if options.canonical != 0:
        settings["canonical"] = options.canonical
    fresh = {"frames": frames, "settings": settings, "machine": machine(), "commands": [], "finished": {}}
    if not path.exists():
        return fresh
    results = json.loads(path.read_text())
    lifted = not set(results["finished"]) <= set(BASELINES)  # baselines do not depend on settings
    if results["frames"] != frames or (lifted and results["settings"] != settings):
        raise UserError(f"{path} holds results of other settings or frames: choose another --out.")
    return {**results, "settings": settings}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"bench4d: {error}")
