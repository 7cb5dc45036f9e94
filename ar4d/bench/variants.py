"""What a benchmark compares: presets of any engine, ablations, experts, and baselines that lift nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

from ar4d.cameras import Cameras
from ar4d.errors import UserError
from ar4d.evaluation import ViewRenderer
from ar4d.evaluation.ground_truth import GroundTruth, View, read_rgba
from ar4d.presets import find
from ar4d.rendering import Rendering
from ar4d.settings import BodySettings, EngineSettings, HoldSettings, Settings

FULL = "full"
"""The preset as it is."""
BASELINES = ("truth", "white", "input-frame", "nearest-view")
"""Variants that lift nothing."""
ABLATIONS: dict[str, Callable[[Settings], Settings]] = {
    "no-finetuning": lambda s: replace(s, initialize=replace(s.initialize, finetune=False)),
    "no-autoregression": lambda s: replace(s, generate=replace(s.generate, autoregressive=False)),
    "no-pseudo-views": lambda s: replace(s, generate=replace(s.generate, progressive_views=False)),
    "no-refinement": lambda s: replace(s, refine=replace(s.refine, enabled=False)),
}
"""The switches of AR4D's Table 3."""


def _with_hold(settings: Settings, hold: HoldSettings) -> Settings:
    return replace(
        settings,
        generate=replace(settings.generate, hold=hold),
        refine=replace(settings.refine, hold=hold),
    )


def _without_rigidity(settings: Settings) -> Settings:
    hold = replace(settings.generate.hold, rigidity_hidden=0.0, rigidity_seen=0.0)
    return _with_hold(settings, hold)


def _untidied(settings: Settings) -> Settings:
    return replace(settings, initialize=replace(settings.initialize, body=BodySettings(), hidden_rate=1.0))


def _fixed_colors(settings: Settings) -> Settings:
    field = replace(settings.refine.field, colors=False)
    return replace(settings, refine=replace(settings.refine, field=field))


ADDITIONS: dict[str, Callable[[Settings], Settings]] = {
    "no-hold": lambda s: _with_hold(s, HoldSettings()),
    "no-rigidity": _without_rigidity,
    "untidied": _untidied,
    "fixed-colors": _fixed_colors,
    "no-births": lambda s: replace(s, generate=replace(s.generate, birth_residual=0.0)),
}
"""A preset without one of the things that the paper does not have (docs/research/motion-and-body.md)."""
SWITCHES = {**ABLATIONS, **ADDITIONS}
EXPERT, PRESET = "expert:", "preset:"
"""How variants begin that name an expert for both stages, or another preset, of any engine."""
DEFAULT_VARIANTS = (*BASELINES, FULL, *ABLATIONS)


def with_experts(settings: Settings, first: str, later: str) -> Settings:
    """The settings with one expert for the first frame and one for the pseudo-views."""
    return replace(
        settings,
        initialize=replace(settings.initialize, expert=first),
        generate=replace(settings.generate, expert=later),
    )


def settings_of(variant: str, preset: str, seed: int = 0, size: int | None = None) -> EngineSettings:
    """The settings that a variant is lifted with.

    Args:
        variant: "full", one of SWITCHES, "expert:NAME" or "preset:NAME".
        preset: the one that "full" means and the others change.
        size: of the clip; None: the preset's.

    Raises:
        UserError: there is no such variant or preset, or the preset's engine lacks the switch.
    """
    name = variant.removeprefix(PRESET) if variant.startswith(PRESET) else preset
    settings = find(name).settings
    if variant != FULL and not variant.startswith(PRESET):
        if variant not in SWITCHES and not variant.startswith(EXPERT):
            raise UserError(
                f'There is no variant "{variant}"; choose from: {", ".join(DEFAULT_VARIANTS)}, '
                "expert:NAME, preset:NAME."
            )
        if not isinstance(settings, Settings):
            raise UserError(
                f'The variant "{variant}" is one of the engine ar4d, and "{name}" is not its preset.'
            )
        if variant in SWITCHES:
            settings = SWITCHES[variant](settings)
        else:
            expert = variant.removeprefix(EXPERT)
            settings = with_experts(settings, expert, expert)
    return replace(settings, seed=seed, size=size or settings.size)


def baseline(variant: str, folder: Path, truth: GroundTruth) -> ViewRenderer:
    """A renderer that lifts nothing.

    Args:
        variant: "truth", "white", "input-frame" (the clip's own frame at every camera) or "nearest-view"
            (the true view whose azimuth is nearest, the camera's own left out).
        folder: the object's.
    """
    clip = sorted((folder / "input").glob("*.png"))[: truth.num_frames]
    own = torch.stack([read_rgba(path) for path in clip]) if variant == "input-frame" else torch.empty(0)

    def show(times: Sequence[float], camera: Cameras) -> Rendering:
        if variant == "white":
            rgba = torch.zeros(len(times), camera.height, camera.width, 4)
        else:
            view = next(view for view in truth.views if view.camera is camera)
            seen = _nearest(view, truth) if variant == "nearest-view" else view
            frames = own if variant == "input-frame" else seen.rgba
            rgba = frames[[round(t * (truth.num_frames - 1)) for t in times]]
        return as_rendering(rgba, camera)

    return show


def _nearest(view: View, truth: GroundTruth) -> View:
    """The other view whose azimuth is nearest."""
    others = [other for other in truth.views if other is not view]
    return min(others, key=lambda v: abs((v.azimuth_deg - view.azimuth_deg + 180) % 360 - 180))


def as_rendering(rgba: torch.Tensor, camera: Cameras) -> Rendering:
    """Straight-alpha pictures [F, S, S, 4] as a rendering on white at the camera's size."""
    premultiplied = torch.cat([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], dim=-1).permute(0, 3, 1, 2)
    resized = F.interpolate(premultiplied, (camera.height, camera.width), mode="area").permute(0, 2, 3, 1)
    alpha = resized[..., 3]
    return Rendering(resized[..., :3] + 1 - alpha[..., None], torch.zeros_like(alpha), alpha)
