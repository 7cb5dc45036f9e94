"""Measures the engine sv4d2 and its switches on objects with ground truth, from views of known quality.

    python -m benchmarks.multiview --views DIR --source true --variants full no-visibility

`DIR` is as for `benchmarks.bench4d`. Sources of the views at 90, 180 and 270 degrees: `true`, the truth;
`spoiled`, the truth with the faults of generated views; `embedded`, what the embedded expert guesses.
Finished lifts are kept in `OUT`, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from torch import Tensor

from ar4d.bench.objects import clip_of, objects_of
from ar4d.cameras import ORTHOGONAL_AZIMUTHS_DEG
from ar4d.clip.clip import Clip
from ar4d.engines.sv4d2.settings import SV4D2Settings
from ar4d.errors import UserError
from ar4d.evaluation import asset_renderer, evaluate_views, mean
from ar4d.evaluation.ground_truth import GroundTruth, read_ground_truth
from ar4d.events import Finished, drain
from ar4d.experts.played import PlayedViews
from ar4d.files import write_text
from ar4d.images import premultiply, unpremultiply
from ar4d.lifting import lift_events
from ar4d.presets import find
from ar4d.views import ViewGrid

UNSEEN_DEG = (-75.0, 15.0, 105.0, 195.0)
COLUMNS = ("psnr", "iou", "motion", "fog", "roughness")
AZIMUTH_ERROR_DEG, BLUR, COLOR = 3.0, (0.5, 2.0), 0.05
"""Faults of generated views: a turn, the range of a blur's σ in pixels of 256, and a shift of colour."""

VARIANTS: dict[str, Callable[[SV4D2Settings], SV4D2Settings]] = {
    "full": lambda s: s,
    "no-visibility": lambda s: replace(s, loss=replace(s.loss, visibility=False)),
    "no-static": lambda s: replace(s, static=replace(s.static, enabled=False)),
    "no-progressive": lambda s: replace(s, dynamic=replace(s.dynamic, progressive_frames=False)),
    "no-orthogonal": lambda s: replace(s, dynamic=replace(s.dynamic, orthogonal_views=False)),
    "no-second-stage": lambda s: replace(s, second_stage=replace(s.second_stage, enabled=False)),
    "no-rigidity": lambda s: replace(s, loss=replace(s.loss, rigidity=0.0)),
}


@dataclass(frozen=True)
class Options:
    """Measure the 4D optimisation of SV4D 2.0."""

    views: Path
    """Folder that holds a folder for each object."""
    objects: tuple[str, ...] = ()
    """Names of objects; all by default."""
    source: Literal["true", "spoiled", "embedded"] = "true"
    """Where the views from other sides come from."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Variants to measure."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the optimisation, and of the faults."""
    preset: str = "sv4d2-cpu"
    """Preset whose variants are lifted."""
    frames: int = 8
    """Number of frames of each clip, from the first."""
    steps: int | None = None
    """Steps of the dynamic phase; the preset's by default."""
    jobs: Literal[1, 2] = 1
    """Lifts at once; 2 gives each a process with one thread."""
    out: Path = Path("benchmarks/results")
    """Folder for multiview-SOURCE.json and multiview-SOURCE.md."""

    @property
    def settings(self) -> SV4D2Settings:
        """The settings that the variants change."""
        preset = find(self.preset).settings
        if not isinstance(preset, SV4D2Settings):
            raise UserError(f'The preset "{self.preset}" is not one of the engine sv4d2.')
        steps = self.steps or preset.dynamic.iterations
        return replace(preset, dynamic=replace(preset.dynamic, iterations=steps))


def main(argv: Sequence[str]) -> None:
    """Lifts every object in every variant that is not finished yet, and writes the table."""
    options = tyro.cli(Options, prog="python -m benchmarks.multiview", args=argv)
    path = options.out / f"multiview-{options.source}.json"
    finished: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    wanted = [
        (name, variant, seed)
        for variant in options.variants
        for name in objects_of(options.views, options.objects)
        for seed in options.seeds
    ]
    left = [lift for lift in wanted if _key(lift) not in finished]
    for key, result in _measured(options, left):
        finished[key] = result
        write_text(path, json.dumps(finished, indent=1))
        print(
            f"{key:32} {result['seconds']:6.1f} s  {result['psnr']:.2f} dB  {result['iou']:.3f}", flush=True
        )
    table = "\n".join(f"| {' | '.join(row)} |" for row in _with_rule(rows_of(finished)))
    command = shlex.join(["python", "-m", "benchmarks.multiview", *argv])
    write_text(path.with_suffix(".md"), f"Command: `{command}`\n\n{table}\n")
    print(table)


def _key(lift: tuple[str, str, int]) -> str:
    return "/".join(map(str, lift))


def _with_rule(rows: list[list[str]]) -> list[list[str]]:
    return [rows[0], ["---", *["---:"] * (len(rows[0]) - 1)], *rows[1:]]


def rows_of(finished: dict[str, Any]) -> list[list[str]]:
    """A header and a row per variant: means over objects and seeds, and the spread over seeds of PSNR."""
    rows = [["variant", "lifts", "reference", *COLUMNS, "± over seeds", "seconds"]]
    for variant in VARIANTS:
        of_it = {key: value for key, value in finished.items() if key.split("/")[1] == variant}
        if not of_it:
            continue
        by_seed: dict[str, list[float]] = {}
        for key, value in of_it.items():
            by_seed.setdefault(key.split("/")[2], []).append(value["psnr"])
        spread = pstdev([fmean(values) for values in by_seed.values()])
        means = [fmean(value[column] for value in of_it.values()) for column in ("reference", *COLUMNS)]
        seconds = fmean(value["seconds"] for value in of_it.values())
        shown = [f"{value:.3f}" if abs(value) < 5 else f"{value:.2f}" for value in means]
        rows.append([variant, str(len(of_it)), *shown, f"{spread:.2f}", f"{seconds:.0f}"])
    return rows


def _measured(options: Options, pairs: list[tuple[str, str, int]]) -> Iterator[tuple[str, dict]]:
    if options.jobs == 1:
        for pair in pairs:
            yield _key(pair), measure(options, *pair)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, context, torch.set_num_threads, (1,)) as pool:
        futures = {pool.submit(measure, options, *pair): pair for pair in pairs}
        for future in as_completed(futures):
            yield _key(futures[future]), future.result()


def measure(options: Options, name: str, variant: str, seed: int) -> dict[str, float]:
    """Lifts one object in one variant and measures it at views that no source shows."""
    folder = options.views / name
    truth = read_ground_truth(folder, options.frames)
    settings = replace(VARIANTS[variant](options.settings), seed=seed)
    clip = clip_of(folder / "input", truth.num_frames, settings.size)
    experts = (
        {} if options.source == "embedded" else {"clip_to_views": PlayedViews(_grid(options, truth, seed))}
    )
    finished, seconds = _lifted(clip, settings, experts)
    assert finished.asset is not None
    report = evaluate_views(asset_renderer(finished.asset), truth)
    scores = mean([report.views[view.name] for azimuth in UNSEEN_DEG for view in truth.at(azimuth)])
    assert scores is not None
    values = {name: value for name, value in dict(scores).items() if value is not None}
    return {"seconds": seconds, "reference": fmean(finished.psnr), **values}


def _lifted(clip: Clip, settings: SV4D2Settings, experts: Any) -> tuple[Finished, float]:
    seen: list[Finished] = []
    times: list[float] = []

    def note(event: Any) -> None:
        times.append(event.time)
        if isinstance(event, Finished):
            seen.append(event)

    drain(lift_events(clip, settings, experts=experts), note)
    return seen[0], times[-1] - times[0]


def _grid(options: Options, truth: GroundTruth, seed: int) -> ViewGrid:
    """The true views at the orthogonal azimuths, spoiled if that is asked for."""
    rows = [truth.at(azimuth)[0].rgba[: truth.num_frames].float() for azimuth in ORTHOGONAL_AZIMUTHS_DEG]
    if options.source == "spoiled":
        random = np.random.default_rng([seed, 2503])
        rows = [rows[0], *(spoiled(row, random) for row in rows[1:])]
    count = len(rows)
    azimuths = torch.tensor(ORTHOGONAL_AZIMUTHS_DEG)
    return ViewGrid(torch.stack(rows), azimuths, torch.zeros(count), torch.ones(count, truth.num_frames))


def spoiled(row: Tensor, random: np.random.Generator) -> Tensor:
    """One view with the faults of generated ones, the same in all frames: it is turned, blurred and tinted.

    A turn by a few degrees of azimuth about the middle of the object is, for its front, a shift to the
    side: 3 degrees at half a world unit are 0.026 world units, or 2 % of the picture's width.

    Args:
        row: [F, S, S, 4] straight alpha in [0, 1].
    """
    size = row.shape[1]
    shift = float(random.choice([-1, 1])) * math.radians(AZIMUTH_ERROR_DEG) * 0.5 * size / 1.37
    sigma = float(random.uniform(*BLUR)) * size / 256
    color = torch.tensor(1 + random.uniform(-COLOR, COLOR, 3), dtype=row.dtype)
    light = premultiply(row).permute(0, 3, 1, 2)
    theta = torch.tensor([[1.0, 0.0, 2 * shift / size], [0.0, 1.0, 0.0]]).expand(len(row), 2, 3)
    light = F.grid_sample(light, F.affine_grid(theta, list(light.shape), False), align_corners=False)
    radius = math.ceil(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=row.dtype)
    window = torch.exp(-offsets.square() / (2 * sigma**2))
    window = (window / window.sum()).expand(4, 1, 1, -1)
    light = F.conv2d(light, window, padding=(0, radius), groups=4)
    light = F.conv2d(light, window.transpose(2, 3), padding=(radius, 0), groups=4)
    straight = unpremultiply(light.permute(0, 2, 3, 1))
    return torch.cat([(straight[..., :3] * color).clamp(0, 1), straight[..., 3:]], dim=-1)


if __name__ == "__main__":
    main(sys.argv[1:])
