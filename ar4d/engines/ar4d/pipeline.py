"""The engine AR4D: its stages in a row, as one stream of events."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ar4d.asset import Asset4D, FrameSequence
from ar4d.clip import Clip
from ar4d.devices import resolve_device
from ar4d.engines.ar4d.generate import generate
from ar4d.engines.ar4d.imagine_views import imagine_views
from ar4d.engines.ar4d.initialize import initialize
from ar4d.engines.ar4d.pseudo_views import GridViews, PseudoViews, RenderedViews, SceneViews
from ar4d.engines.ar4d.refine import refine
from ar4d.engines.base import Experts
from ar4d.engines.common import expert_for, facing_of, memory_in_words
from ar4d.engines.common import finished as finished_event
from ar4d.events import CanonicalChosen, Event, Role, StageInfo, Warned
from ar4d.experts.registry import require
from ar4d.gaussians import Gaussians
from ar4d.lifetimes import aligned
from ar4d.reporting import Inbox
from ar4d.settings import FACING_DEG, InitializeSettings, Settings
from ar4d.views import ViewGrid


class AR4D:
    """`Engine`: the paper's three stages (Sec. 4), and one before stage 2 where views are imagined."""

    name = "ar4d"
    settings_type = Settings

    def plan(
        self, settings: Settings, num_frames: int, given: Collection[Role] = ()
    ) -> tuple[StageInfo, ...]:
        first, later = settings.initialize, settings.generate
        stages = [StageInfo("initialize", "First frame", "Start", first.iterations if first.finetune else 0)]
        if num_frames > 1 and _imagines(settings, given):
            stages.append(StageInfo("imagine", "Views from other sides", "Views", 0))
        if num_frames > 1:
            steps = (num_frames - 1) * later.iterations
            stages.append(StageInfo("generate", "Motion", "Motion", steps))
        if num_frames > 1 and settings.refine.enabled:
            steps = settings.refine.warm_start + settings.refine.iterations
            stages.append(StageInfo("refine", "Refinement", "Refine", steps))
        return tuple(stages)

    def check(self, settings: Settings, experts: Experts) -> None:
        device = resolve_device(settings.device)
        for role, name in _needed(settings).items():
            if role not in experts:
                require(role, name, device)

    def run(
        self, clip: Clip, settings: Settings, finished: Sequence[Gaussians], experts: Experts
    ) -> Generator[Event, None, Asset4D]:
        inbox = Inbox()
        run = _Run(clip, settings, experts, resolve_device(settings.device), inbox)
        with memory_in_words(f"{settings.size} pixels and {settings.budget} Gaussians"):
            return (yield from inbox.joined(run.events(finished)))


@dataclass(eq=False)
class _Run:
    """One run of the engine."""

    clip: Clip
    settings: Settings
    given: Experts
    device: torch.device
    inbox: Inbox

    def __post_init__(self) -> None:
        self.rgba = self.clip.streamed_rgba(self.device)
        self.targets = self.clip.streamed_on_white(self.device)

    def events(self, finished: Sequence[Gaussians]) -> Generator[Event, None, Asset4D]:
        settings = self.settings
        for message in self.clip.warnings:
            yield Warned(message)
        if self.clip.canonical_reason:
            yield CanonicalChosen(self.clip.canonical, self.clip.canonical_reason)
        frames, canonical = [gaussians.to(self.device) for gaussians in finished], self.clip.canonical
        sigmoid_colors = settings.initialize.sigmoid_colors
        if not frames:
            expert = yield from self._expert(_first_role(settings), settings.initialize.expert)
            if settings.facing == "auto" and settings.elevation_deg == 0:  # else no plane is used
                yield from facing_of(expert)
            first = initialize(
                self.rgba[canonical],
                self.targets[canonical],
                expert,
                _first_options(settings, self.clip),
                settings.rig,
                settings.budget,
                settings.seed,
                canonical,
            )
            frames = [(yield from first)]
            del expert  # its networks leave the memory
        if len(frames) < self.clip.num_frames:
            pseudo_views = yield from self._pseudo_views(frames[0])
            frames = yield from generate(
                self.rgba,
                self.targets,
                frames,
                pseudo_views,
                settings.generate,
                settings.rig,
                settings.seed,
                sigmoid_colors,
                canonical,
            )
            del pseudo_views
        frames = aligned([frames[self.clip.order.index(k)] for k in range(len(frames))])
        asset: Asset4D = FrameSequence(tuple(frames), self.clip.fps)
        if settings.refine.enabled and len(frames) > 1:
            asset = yield from refine(
                self.targets,
                frames,
                self.clip.fps,
                settings.refine,
                settings.rig,
                settings.seed,
                sigmoid_colors,
                canonical,
            )
        yield finished_event(asset, self.targets, settings.elevation_deg)
        return asset

    def _expert(self, role: Role, name: str) -> Generator[Event, None, Any]:
        """The expert for a role, given as an object or by its name, having seen the clip."""
        return expert_for(
            role,
            name,
            self.given,
            self.device,
            self.inbox.put,
            self._whole_clip(),
            FACING_DEG.get(self.settings.facing),
            self.clip.opacity,
        )

    def _whole_clip(self) -> torch.Tensor:
        """[F, S, S, 4] all frames at once, for experts; nothing else should hold on to them."""
        return torch.from_numpy(self.clip.frames).to(self.device).float().div_(255)

    def _pseudo_views(self, first: Gaussians) -> Generator[Event, None, PseudoViews | None]:
        """The source of stage 2's pseudo-views that the settings ask for."""
        settings, options = self.settings, self.settings.generate
        if not options.progressive_views:
            return None
        grid = yield from self._grid(first)
        expert = yield from self._expert(_later_role(settings), options.expert)
        if settings.kind == "scene":
            return SceneViews(self.rgba, expert, settings.rig, settings.budget, options.pseudo_every)
        if grid is not None:
            return GridViews(grid, expert, settings.rig)
        return RenderedViews(self.rgba, expert, settings.rig, options.pseudo_every)

    def _grid(self, first: Gaussians) -> Generator[Event, None, ViewGrid | None]:
        settings = self.settings
        if not _imagines(settings, self.given):
            return None
        expert = yield from self._expert("clip_to_views", settings.views.expert)
        return (yield from imagine_views(self._whole_clip(), first, expert, settings.rig, settings.seed))


def _imagines(settings: Settings, given: Collection[Role] = ()) -> bool:
    """Whether stage 2 takes views of the whole clip: an expert is named for them, or given."""
    wanted = settings.views.expert != "none" or "clip_to_views" in given
    return wanted and settings.generate.progressive_views and settings.kind == "object"


def _first_options(settings: Settings, clip: Clip) -> InitializeSettings:
    """Stage 1's settings; what is translucent throughout is not closed as fog would be."""
    options = settings.initialize
    return options if clip.opacity == 1 else replace(options, body=replace(options.body, closing=1.0))


def _first_role(settings: Settings) -> Role:
    return "image_to_gaussians" if settings.kind == "object" else "scene_to_gaussians"


def _later_role(settings: Settings) -> Role:
    return "views_to_gaussians" if settings.kind == "object" else "scene_to_gaussians"


def _needed(settings: Settings) -> dict[Role, str]:
    """The experts of a run, by role."""
    needed = {_first_role(settings): settings.initialize.expert}
    if settings.generate.progressive_views:
        needed[_later_role(settings)] = settings.generate.expert
    if _imagines(settings):
        needed["clip_to_views"] = settings.views.expert
    return needed
