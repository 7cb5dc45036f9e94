"""Named, frozen sets of settings.

`paper` keeps the paper's own numbers; the others say where they leave it and what that won.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

from ar4d import plugins
from ar4d.engines.star.settings import StarSettings
from ar4d.engines.sv4d2.settings import DynamicSettings, SecondStageSettings, StaticSettings, SV4D2Settings
from ar4d.errors import UserError
from ar4d.settings import (
    BodySettings,
    EngineSettings,
    FieldSettings,
    GenerateSettings,
    HoldSettings,
    InitializeSettings,
    LearningRates,
    RefineSettings,
    Settings,
)

PAPER = Settings(
    initialize=InitializeSettings(sigmoid_colors=False, preservation=0.0),
)

QUALITY = Settings(
    preset="quality",
    refine=RefineSettings(warm_start=2000, target="input", l1=0.8, rgb=1.0),
)

FAST = replace(
    QUALITY,
    preset="fast",
    initialize=replace(QUALITY.initialize, iterations=500),
    generate=replace(
        QUALITY.generate,
        iterations=400,
        field=FieldSettings(kind="node-mlp", lr=1e-3, lr_final=1e-5),
        steps_per_degree=2.0,
    ),
    refine=replace(
        QUALITY.refine,
        iterations=6000,
        field=FieldSettings(kind="node-mlp", lr=1e-3, lr_final=1e-5),
    ),
)

HOLD = HoldSettings(hidden_rate=0.1, rigidity_hidden=0.15, rigidity_seen=0.0003)
"""What the clip does not see is held to what it sees (docs/research/motion-and-body.md)."""

CPU = Settings(
    preset="cpu",
    size=256,
    pseudo_size=128,
    initialize=InitializeSettings(
        gaussians=8000,
        iterations=300,
        rates=LearningRates(means=2e-4, colors=0.05),
        body=BodySettings(loner_distance=2.5, closing=2.5),
        hidden_rate=HOLD.hidden_rate,
    ),
    generate=GenerateSettings(
        iterations=100,
        momentum=0.8,
        field=FieldSettings(kind="node-table", nodes=2048, lr=1.12e-2, lr_final=2.4e-4),
        rates=LearningRates(means=4.2e-4, colors=0.028),
        hold=HOLD,
        birth_residual=0.1,
        alpha=0.3,
        steps_per_degree=0.5,
        pseudo_rgb=0.3,
        pseudo_depth=0.3,
    ),
    refine=RefineSettings(
        iterations=1200,
        field=FieldSettings(kind="node-table", nodes=2048, colors=True, lr=2.8e-3, lr_final=6e-5),
        rates=LearningRates(means=7e-4, colors=0.014),
        hold=HOLD,
        color_change=0.003,
        warm_start=240,
        target="input",
        l1=0.8,
        rgb=1.0,
    ),
)

CPU_FINE = replace(
    CPU,
    preset="cpu-fine",
    size=512,
    pseudo_size=256,
    initialize=replace(CPU.initialize, gaussians=16000),
)

SV4D2 = SV4D2Settings()

SV4D2_CPU = SV4D2Settings(
    preset="sv4d2-cpu",
    size=256,
    view_size=128,
    gaussians=8000,
    static=StaticSettings(iterations=150),
    dynamic=DynamicSettings(iterations=1600, frames_per_step=1),
    second_stage=SecondStageSettings(iterations=600),
)

STAR = StarSettings()

STAR_REFINED = StarSettings(preset="star-refined", refine=CPU.refine)

CPU_DRAFT = replace(
    CPU,
    preset="cpu-draft",
    size=192,
    initialize=replace(CPU.initialize, gaussians=5000, iterations=150),
    generate=replace(CPU.generate, iterations=50, steps_per_degree=0.25),
    refine=replace(CPU.refine, iterations=400, warm_start=120),
)


@dataclass(frozen=True)
class Preset:
    """A named set of settings."""

    settings: EngineSettings
    label: str
    """A few words for people who choose."""
    device: Literal["cpu", "cuda"]
    """What it is made for; it runs on either."""

    @property
    def name(self) -> str:
        return self.settings.preset


PRESETS: dict[str, Preset] = {}
"""The built-in presets and those registered, by name; `known` adds those of installed packages."""


def register(preset: Preset) -> None:
    """Adds a preset, for the command line, the page and the API alike."""
    PRESETS[preset.name] = preset


for _preset in (
    Preset(PAPER, "paper: a GPU, the paper's own numbers", "cuda"),
    Preset(QUALITY, "quality: a GPU, the paper's schedule and a better refinement", "cuda"),
    Preset(FAST, "fast: a GPU, a few minutes", "cuda"),
    Preset(CPU_DRAFT, "cpu-draft: a first look, a third of the time", "cpu"),
    Preset(CPU, "cpu: minutes on two cores", "cpu"),
    Preset(CPU_FINE, "cpu-fine: twice the size, four times as long", "cpu"),
    Preset(SV4D2, "sv4d2: a GPU, fits views from all sides (SV4D 2.0)", "cuda"),
    Preset(SV4D2_CPU, "sv4d2-cpu: the same on two cores, with views of the embedded network", "cpu"),
    Preset(STAR, "star: experimental, predicts all frames in about a minute (4DSTAR), roughly", "cpu"),
    Preset(STAR_REFINED, "star-refined: the same, and the refinement", "cpu"),
):
    register(_preset)

DEFAULTS: dict[str, str] = {"cuda": "quality", "cpu": "cpu"}
"""The preset that a user gets without asking, by device."""


def default_for(device: str) -> Preset:
    """The preset to start from on a device, "cpu" or "cuda"."""
    return PRESETS[DEFAULTS[device]]


def known() -> Mapping[str, Preset]:
    """All presets by name: `PRESETS` and those of installed packages (group `ar4d.presets`)."""
    return {preset.name: preset for preset in installed().objects} | PRESETS


def installed() -> plugins.Plugins:
    """What installed packages bring, and what they fail to bring."""
    return plugins.load("ar4d.presets", Preset)


def find(name: str) -> Preset:
    """The preset called `name`.

    Raises:
        UserError: there is none.
    """
    presets = known()
    if name not in presets:
        raise UserError(plugins.unknown(f'preset "{name}"', presets, installed().failures))
    return presets[name]


def comparison(engine: str = "ar4d") -> list[list[str]]:
    """An engine's presets side by side: a header, then one row a setting; what all share is left out."""
    shown = {name: preset for name, preset in known().items() if preset.settings.engine == engine}
    flat = {name: dict(_flatten(preset.settings)) for name, preset in shown.items()}
    rows = [["", *flat]]
    for key in next(iter(flat.values())):
        values = [str(flat[name][key]) for name in flat]
        if key != "preset" and len(set(values)) > 1:
            rows.append([key, *values])
    return rows


def _flatten(settings: Any, prefix: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for f in fields(settings):
        value = getattr(settings, f.name)
        if is_dataclass(value):
            pairs += _flatten(value, f"{prefix}{f.name}.")
        else:
            pairs.append((prefix + f.name, value))
    return pairs
