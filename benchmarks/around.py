"""Lifts clips without ground truth in variants of the method and shows them from all around.

    python -m benchmarks.around CLIP... --variants full loose

It prints a table of `ar4d.evaluation.look` and draws a sheet per clip and variant: columns are azimuths,
rows are times.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from PIL import Image

from ar4d.asset import Asset4D
from ar4d.bench.variants import ADDITIONS
from ar4d.cameras import orbit
from ar4d.clip import Clip, ClipSettings, load_clip
from ar4d.errors import UserError
from ar4d.evaluation.look import Look, look
from ar4d.events import FrameFinished, drain
from ar4d.files import write_text
from ar4d.gaussians import Gaussians
from ar4d.images import to_uint8
from ar4d.lifting import lift_events
from ar4d.presets import PRESETS
from ar4d.rendering import render
from ar4d.settings import Settings

AZIMUTHS_DEG = (0.0, 30.0, 60.0, 90.0, 135.0, 180.0, 250.0)
ROWS = 4


def _fields(settings: Settings, **changes: object) -> Settings:
    generate = replace(settings.generate, field=replace(settings.generate.field, **changes))
    return replace(
        settings,
        generate=generate,
        refine=replace(settings.refine, field=replace(settings.refine.field, **changes)),
    )


def _loose(settings: Settings) -> Settings:
    for change in ADDITIONS.values():
        settings = change(settings)
    return _fields(settings, nodes=512)


VARIANTS: dict[str, Callable[[Settings], Settings]] = {
    "full": lambda s: s,
    **ADDITIONS,
    "512-nodes": lambda s: _fields(s, nodes=512),
    "loose": _loose,
}
"""`full` is the preset; each other one goes without a part; `loose` goes without all of them."""


@dataclass(frozen=True)
class Options:
    """Lift clips in variants, measure them and draw them from all around."""

    clips: tyro.conf.Positional[tuple[Path, ...]]
    """Videos, pictures or folders of frames."""
    variants: tuple[str, ...] = ("full", "loose")
    """What to lift, see VARIANTS."""
    preset: str = "cpu"
    """Preset whose variants are lifted."""
    frames: int = 8
    """Frames that are taken from each clip."""
    end: float | None = None
    """Seconds of each clip that are used; all by default."""
    size: int | None = None
    """Width and height at which clips are fitted; the preset's by default."""
    gaussians: int | None = None
    """About how many Gaussians are wanted; the preset's by default."""
    pseudo_size: int | None = None
    """Width and height of pseudo-views; in the preset's proportion to `size` by default."""
    nodes: int | None = None
    """Control nodes of both fields; the preset's by default. Variants that name a number keep it."""
    refine_steps: int | None = None
    """Steps of stage 3; the preset's by default."""
    warm_start: int | None = None
    """Of those before it that learn stage 2's motion; the preset's by default."""
    out: Path = Path("runs/around")
    """Folder for sheets and numbers."""


def main(argv: Sequence[str]) -> None:
    """Lifts every clip in every variant, prints a line for each and draws its sheet."""
    options = tyro.cli(Options, prog="python -m benchmarks.around", args=argv)
    unknown = [name for name in options.variants if name not in VARIANTS]
    if unknown or options.preset not in PRESETS:
        raise UserError(f"Choose variants from {', '.join(VARIANTS)} and a preset from {', '.join(PRESETS)}.")
    for path in options.clips:
        for variant in options.variants:
            settings = VARIANTS[variant](settings_of(options))
            clip = load_clip(path, ClipSettings(num_frames=options.frames, end=options.end), settings.size)
            generated: list[Gaussians] = []
            asset = lift(clip, settings, generated)
            folder = options.out / path.stem / variant
            folder.mkdir(parents=True, exist_ok=True)
            seen = look(asset, clip, generated, settings.elevation_deg)
            write_text(folder / "look.json", seen.to_json())
            sheet(asset, settings).save(folder / "sheet.png")
            print(f"{path.stem:20} {variant:14} {line(seen)}", flush=True)


def settings_of(options: Options) -> Settings:
    """The preset at the size and length that the options ask for.

    Raises:
        UserError: the preset is another engine's.
    """
    preset = PRESETS[options.preset].settings
    if not isinstance(preset, Settings):
        raise UserError(f"The preset {options.preset} is for the engine {preset.engine}; choose one of AR4D.")
    size, refine = options.size or preset.size, preset.refine
    smaller = replace(
        preset,
        size=size,
        pseudo_size=options.pseudo_size or preset.pseudo_size * size // preset.size,
        initialize=replace(preset.initialize, gaussians=options.gaussians or preset.initialize.gaussians),
        refine=replace(
            refine,
            iterations=options.refine_steps or refine.iterations,
            warm_start=refine.warm_start if options.warm_start is None else options.warm_start,
        ),
    )
    return _fields(smaller, nodes=options.nodes) if options.nodes else smaller


def lift(clip: Clip, settings: Settings, generated: list[Gaussians]) -> Asset4D:
    """The asset of a clip; the frames of stages 1 and 2 are appended to `generated`."""

    def on_event(event: object) -> None:
        if isinstance(event, FrameFinished) and event.gaussians is not None:
            generated.append(event.gaussians)

    return drain(lift_events(clip, settings), on_event)


@torch.no_grad()
def sheet(asset: Asset4D, settings: Settings) -> Image.Image:
    """Rows: four times from the first to the last frame. Columns: AZIMUTHS_DEG."""
    cameras = orbit(AZIMUTHS_DEG, settings.elevation_deg, size=settings.size)
    rows = []
    for k in range(ROWS):
        rgb = render(asset.at(k / (ROWS - 1)), cameras).rgb
        rows.append(np.concatenate(list(to_uint8(rgb)), axis=1))
    return Image.fromarray(np.concatenate(rows))


def line(seen: Look) -> str:
    """The numbers in one line."""
    values = json.loads(seen.to_json())
    return "  ".join(
        f"{name} {'–' if value is None else format(value, '.3f')}" for name, value in values.items()
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"around: {error}")
