"""The engine SV4D2: views of the clip, the static and the dynamic phase, and the second stage."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ar4d.asset import Asset4D, DeformedGaussians, FrameSequence
from ar4d.cameras import FOV_Y_DEG
from ar4d.clip import Clip
from ar4d.devices import resolve_device
from ar4d.engines.base import Experts
from ar4d.engines.common import expert_for, facing_of, memory_in_words
from ar4d.engines.common import finished as finished_event
from ar4d.engines.draw_views import draw_views
from ar4d.engines.sv4d2.agreement import leave_out_strangers
from ar4d.engines.sv4d2.field_of_view import with_best_fov
from ar4d.engines.sv4d2.imagine import draw_over
from ar4d.engines.sv4d2.losses import load_lpips
from ar4d.engines.sv4d2.optimize import Fit
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.settings import SV4D2Settings
from ar4d.errors import UserError
from ar4d.events import Event, Role, StageInfo, Warned
from ar4d.experts.protocols import draws_over
from ar4d.experts.registry import require
from ar4d.gaussians import Gaussians
from ar4d.reporting import Inbox
from ar4d.settings import FACING_DEG
from ar4d.views import ViewGrid


class SV4D2:
    """`Engine`: Sec. 4 of SV4D 2.0, for views from any source."""

    name = "sv4d2"
    settings_type = SV4D2Settings

    def plan(
        self, settings: SV4D2Settings, num_frames: int, given: Collection[Role] = ()
    ) -> tuple[StageInfo, ...]:
        stages = [
            StageInfo("imagine", "Views from other sides", "Views", 0),
            StageInfo("initialize", "First frame", "Start", _static_steps(settings)),
        ]
        if num_frames > 1:
            stages.append(StageInfo("generate", "Motion", "Motion", settings.dynamic.iterations))
        if num_frames > 1 and settings.second_stage.enabled:
            steps = settings.second_stage.iterations
            stages += [
                StageInfo("imagine-again", "Views drawn over the renders", "Views again", 0),
                StageInfo("refine", "Refinement", "Refine", steps),
            ]
        return tuple(stages)

    def check(self, settings: SV4D2Settings, experts: Experts) -> None:
        _require_object(settings)
        load_lpips(settings.loss, settings.view_size)
        device = resolve_device(settings.device)
        for role, name in _needed(settings).items():
            if role not in experts:
                require(role, name, device)

    def run(
        self, clip: Clip, settings: SV4D2Settings, finished: Sequence[Gaussians], experts: Experts
    ) -> Generator[Event, None, Asset4D]:
        _require_object(settings)
        inbox = Inbox()
        run = _Run(clip, settings, experts, resolve_device(settings.device), inbox, len(finished))
        with memory_in_words(f"{settings.size} pixels and {settings.gaussians} Gaussians"):
            return (yield from inbox.joined(run.events()))


@dataclass(eq=False)
class _Run:
    """One run of the engine. An interrupted one begins again with the views that were drawn."""

    clip: Clip
    settings: SV4D2Settings
    given: Experts
    device: torch.device
    inbox: Inbox
    num_reported: int

    def __post_init__(self) -> None:
        self.rgba = torch.from_numpy(self.clip.frames).to(self.device).float() / 255  # [F, S, S, 4]

    def events(self) -> Generator[Event, None, Asset4D]:
        settings = self.settings
        for message in self.clip.warnings:
            yield Warned(message)
        if self.clip.canonical:
            yield Warned(
                f"This engine starts from the clip's first frame: frame {self.clip.canonical} is not taken "
                "as the canonical one."
            )
        artist = yield from self._expert("clip_to_views", settings.views.expert)
        grid = yield from draw_views(self.rgba, None, artist, settings.elevation_deg, settings.seed)
        fit = yield from self._first_frame(grid)
        pictures = fit.pictures
        if pictures.num_frames == 1:
            asset: Asset4D = FrameSequence((fit.gaussians(0).detach(),), self.clip.fps)
        else:
            yield from fit.dynamic()
            if settings.second_stage.enabled:
                yield from self._second_stage(fit, artist, grid)
            asset = self._asset(fit)
        yield finished_event(asset, self.clip.rgb_on_white().to(self.device), settings.elevation_deg)
        return asset

    def _first_frame(self, grid: ViewGrid) -> Generator[Event, None, Fit]:
        settings = self.settings
        expert = yield from self._expert("image_to_gaussians", settings.expert)
        if settings.facing == "auto" and settings.elevation_deg == 0:
            yield from facing_of(expert)
        first = expert.lift(self.rgba[0], settings.gaussians, settings.elevation_deg)
        if settings.view_fov == "auto":
            pictures = yield from with_best_fov(first, self._pictures(grid, FOV_Y_DEG), settings)
        else:
            pictures = self._pictures(grid, settings.view_fov)
        fit = Fit.of(first, pictures, settings, self.num_reported)
        yield from fit.static()
        fit.pictures = yield from leave_out_strangers(fit.gaussians(0), pictures, settings.least_agreement)
        return fit

    def _second_stage(self, fit: Fit, artist: Any, grid: ViewGrid) -> Generator[Event, None, None]:
        settings = self.settings
        if not draws_over(artist):
            yield Warned(
                f'The expert "{artist.name}" cannot draw over renders, so the second stage was left out.'
            )
            return
        again = yield from draw_over(self.rgba, fit, grid, artist, settings)
        fit.pictures = self._pictures(again, fit.pictures.view_fov_deg)
        yield from fit.second_stage()

    def _pictures(self, grid: ViewGrid, view_fov_deg: float) -> Pictures:
        settings, grid = self.settings, grid.to(self.device)
        return Pictures.of(self.rgba, grid, settings.view_size, settings.elevation_deg, view_fov_deg)

    def _asset(self, fit: Fit) -> Asset4D:
        for tensor in fit.parameters.state().values():
            tensor.requires_grad_(False)
        assert fit.field is not None
        options = self.settings.dynamic.field
        count, fps = fit.pictures.num_frames, self.clip.fps
        return DeformedGaussians(fit.parameters, fit.field.requires_grad_(False), options, count, fps)

    def _expert(self, role: Role, name: str) -> Generator[Event, None, Any]:
        facing_deg = FACING_DEG.get(self.settings.facing)
        emit, opacity = self.inbox.put, self.clip.opacity
        return expert_for(role, name, self.given, self.device, emit, self.rgba, facing_deg, opacity)


def _static_steps(settings: SV4D2Settings) -> int:
    return settings.static.iterations if settings.static.enabled else 0


def _needed(settings: SV4D2Settings) -> dict[Role, str]:
    return {"clip_to_views": settings.views.expert, "image_to_gaussians": settings.expert}


def _require_object(settings: SV4D2Settings) -> None:
    """
    Raises:
        UserError: the settings ask for a scene.
    """
    if settings.kind == "scene":
        raise UserError(
            "The engine sv4d2 makes objects, which have a back; take the engine ar4d for a scene."
        )
