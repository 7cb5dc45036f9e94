"""Measures objects × variants × seeds; what is finished is never measured again."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ar4d.bench.objects import clip_of, objects_of
from ar4d.bench.pictures import save_turntable
from ar4d.bench.results import Pair, open_results, write_pair
from ar4d.bench.variants import BASELINES, baseline, settings_of
from ar4d.errors import UserError
from ar4d.evaluation import ViewRenderer, asset_renderer, metrics, protocols, registry, shapes
from ar4d.evaluation.ground_truth import GroundTruth, read_ground_truth
from ar4d.evaluation.registry import Frames
from ar4d.evaluation.scores import Scores
from ar4d.lifting import lift
from ar4d.warmup import warm_up


@dataclass(frozen=True)
class Plan:
    """What a benchmark measures."""

    views: Path
    """Folder that holds a folder for each object."""
    out: Path
    objects: tuple[str, ...]
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    preset: str
    protocols: tuple[str, ...]
    frames: int | None = None
    """Number of frames of each clip, from the first; None: all."""
    size: int | None = None
    """Width and height at which clips are fitted; None: the preset's."""

    @property
    def facts(self) -> dict[str, Any]:
        """What must not differ between the pairs of one report."""
        return {
            "preset": self.preset,
            "frames": self.frames or "all",
            "size": self.size or "the preset's",
            "protocols": list(self.protocols),
            "settings": asdict(settings_of("full", self.preset, 0, self.size)),
        }

    def pairs(self) -> list[Pair]:
        """All pairs; baselines have no randomness, hence one seed."""
        return [
            Pair(variant, name, seed)
            for variant in self.variants
            for name in self.objects
            for seed in (self.seeds[:1] if variant in BASELINES else self.seeds)
        ]


def run(plan: Plan, jobs: int, command: str, ray: str | None = None) -> Iterator[tuple[Pair, dict[str, Any]]]:
    """Measures every pair that is not finished and yields it.

    Args:
        jobs: processes at once; more than one gives each a single thread.
        command: the one that runs, for the report.
        ray: address of a Ray cluster that measures in place of this machine.

    Raises:
        UserError: a name is unknown, the folder holds results of other settings, or a pair cannot be
            measured; what was finished is kept.
    """
    objects_of(plan.views, plan.objects)
    for name in plan.protocols:
        protocols.find(name)
    for variant in plan.variants:
        if variant not in BASELINES:
            settings_of(variant, plan.preset)
    open_results(plan.out, plan.facts, command)
    open_pairs = [pair for pair in plan.pairs() if not pair.path(plan.out).exists()]
    if ray is not None:
        from ar4d.bench.on_ray import measure_on_cluster

        yield from measure_on_cluster(plan, open_pairs, ray)
        return
    if jobs == 1:
        for pair in open_pairs:
            yield pair, measure(plan, pair)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, torch.set_num_threads, (1,)) as pool:
        futures = {pool.submit(measure, plan, pair): pair for pair in open_pairs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def measure(plan: Plan, pair: Pair) -> dict[str, Any]:
    """Lifts one object, measures it and writes the result; returns what was written."""
    folder = plan.views / pair.name
    truth = read_ground_truth(folder, plan.frames)
    begin, shape = time.perf_counter(), Scores()
    if pair.variant in BASELINES:
        show = baseline(pair.variant, folder, truth)
        seconds = time.perf_counter() - begin
    else:
        settings = settings_of(pair.variant, plan.preset, pair.seed, plan.size)
        settings = replace(settings, elevation_deg=truth.elevation_deg)
        warm_up()
        begin = time.perf_counter()
        asset = lift(clip_of(folder / "input", truth.num_frames, settings.size), settings)
        seconds = time.perf_counter() - begin
        show = asset_renderer(asset)
        shape = shapes.measure_shape(asset, truth.times, shapes.read_points(folder, truth.num_frames))
    found = rendered(show, truth)
    if not all(f.rgb.isfinite().all() and f.alpha.isfinite().all() for f in found.values()):
        raise UserError(f"A render of {pair.name} in {pair.variant} holds values that are no numbers.")
    result, features = measured(plan.protocols, found, truth)
    result |= {"seconds": seconds, "shape": dict(shape)}
    save_turntable(found, truth, pair.path(plan.out).with_suffix(".webp"))
    write_pair(plan.out, pair, result, features)
    return result


@torch.no_grad()
def rendered(show: ViewRenderer, truth: GroundTruth) -> dict[str, Frames]:
    """What is shown at all cameras and times of the truth, by the view's name."""
    renders = {view.name: show(truth.times, view.camera) for view in truth.views}
    return {name: Frames(r.rgb.clamp(0, 1).cpu(), r.alpha.cpu()) for name, r in renders.items()}


def measured(
    names: tuple[str, ...], found: Mapping[str, Frames], truth: GroundTruth
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The numbers of one object by protocol and view, and the features of its clips."""
    measures, _ = registry.ready({})
    views = {
        view.name: registry.measure(measures, found[view.name], Frames(view.rgb, view.rgba[..., 3]))
        for view in truth.views
    }
    scores, features, notes = {}, {}, {}
    for name in names:
        result = protocols.measure_protocol(protocols.find(name), found, truth)
        scores[name] = dict(result.scores)
        notes[name] = list(result.notes)
        for side, values in (("found", result.found), ("truth", result.truth)):
            features |= {f"{name}/{metric}/{side}": value for metric, value in values.items()}
    curves = {view.name: metrics.psnr(found[view.name].rgb, view.rgb).tolist() for view in truth.views}
    return {
        "protocols": scores,
        "views": {name: dict(values) for name, values in views.items()},
        "curves": curves,
        "reference": truth.reference,
        "notes": notes,
    }, features
