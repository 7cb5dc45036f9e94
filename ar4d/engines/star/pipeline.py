"""The engine star: a clip becomes Gaussians that move without optimisation, and is refined if wanted."""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ar4d.asset import Asset4D, FrameSequence
from ar4d.cameras import orbit
from ar4d.clip import Clip
from ar4d.devices import resolve_device
from ar4d.engines.ar4d.refine import refine
from ar4d.engines.base import Experts
from ar4d.engines.common import expert_for, memory_in_words
from ar4d.engines.common import finished as finished_event
from ar4d.engines.star.settings import StarSettings
from ar4d.errors import UserError
from ar4d.events import (
    Event,
    ExpertChosen,
    FrameFinished,
    Progress,
    Role,
    StageFinished,
    StageInfo,
    StageStarted,
    TokensPredicted,
    Warned,
)
from ar4d.experts.played import KnownTokens
from ar4d.experts.registry import require
from ar4d.experts.star import Star4D
from ar4d.experts.star.expert import PredictedFrame
from ar4d.experts.star.sampling import Sampler
from ar4d.experts.star.weights import found_weights
from ar4d.gaussians import Gaussians
from ar4d.losses import psnr, ssim
from ar4d.rendering import render
from ar4d.reporting import Inbox
from ar4d.settings import ReferenceRig

ROLE: Role = "clip_to_gaussians"
SOLID = 0.5


class StarEngine:
    """`Engine`: prediction by STAR, and AR4D's stage 3 where it is wanted."""

    name = "star"
    settings_type = StarSettings

    def plan(
        self, settings: StarSettings, num_frames: int, given: Collection[Role] = ()
    ) -> tuple[StageInfo, ...]:
        stages = [StageInfo("predict", "Prediction", "Predict", 0)]
        if num_frames > 1 and settings.refine.enabled:
            steps = settings.refine.warm_start + settings.refine.iterations
            stages.append(StageInfo("refine", "Refinement", "Refine", steps))
        return tuple(stages)

    def check(self, settings: StarSettings, experts: Experts) -> None:
        _require_object(settings)
        device = resolve_device(settings.device)
        if settings.weights:
            found_weights(Path(settings.weights))
        elif ROLE not in experts or isinstance(experts[ROLE], KnownTokens):
            require(ROLE, settings.expert, device)

    def run(
        self, clip: Clip, settings: StarSettings, finished: Sequence[Gaussians], experts: Experts
    ) -> Generator[Event, None, Asset4D]:
        _require_object(settings)
        inbox = Inbox()
        run = _Run(clip, settings, experts, resolve_device(settings.device), inbox)
        with memory_in_words(f"{settings.size} pixels and {settings.gaussians} Gaussians"):
            return (yield from inbox.joined(run.events(finished)))


@dataclass(eq=False)
class _Run:
    """One run of the engine."""

    clip: Clip
    settings: StarSettings
    given: Experts
    device: torch.device
    inbox: Inbox

    def __post_init__(self) -> None:
        self.rgba = torch.from_numpy(self.clip.frames).to(self.device).float() / 255  # [F, S, S, 4]
        self.targets = self.clip.streamed_on_white(self.device)  # frames [S, S, 3]

    def events(self, finished: Sequence[Gaussians]) -> Generator[Event, None, Asset4D]:
        settings, clip = self.settings, self.clip
        for message in clip.warnings:
            yield Warned(message)
        if clip.canonical:
            yield Warned(
                f"This engine starts from the clip's first frame: frame {clip.canonical} is not taken "
                "as the canonical one."
            )
            finished = ()  # they are the first ones of another order
        for k, frame in enumerate(clip.frames):
            if k > 0 and frame[..., 3].max() < 255 * SOLID:
                yield Warned(f"Frame {k + 1} of the clip is empty, and so it is in the asset.")
        expert = yield from self._expert()
        frames = yield from self._predict(expert, [frame.to(self.device) for frame in finished])
        del expert  # its networks leave the memory
        asset: Asset4D = FrameSequence(tuple(frames), clip.fps)
        if settings.refine.enabled and len(frames) > 1:
            rig = ReferenceRig(settings.size, settings.pseudo_size, settings.elevation_deg, 180)
            asset = yield from refine(
                self.targets, frames, clip.fps, settings.refine, rig, settings.seed, sigmoid_colors=True
            )
        yield finished_event(asset, self.targets, settings.elevation_deg)
        return asset

    def _predict(self, expert: Any, frames: list[Gaussians]) -> Generator[Event, None, list[Gaussians]]:
        """The frames in order, each as soon as it exists.

        Args:
            frames: the first ones, of an interrupted run.
        """
        started = since = time.perf_counter()
        yield StageStarted("predict", 0)
        known, count = self._known_tokens(), self.clip.num_frames
        finished = len(frames)
        for k, frame in enumerate(self._frames(expert, known, finished)):
            if frame.codes is not None and k >= (0 if known is None else len(known)):
                yield TokensPredicted(k, frame.codes)
            if frame.gaussians is not None:
                gaussians = frame.gaussians.to(self.device)
                frames.append(gaussians)
                yield self._frame_finished(k, gaussians, time.perf_counter() - since)
            yield Progress("predicting frames", k + 1, count)
            since = time.perf_counter()
        yield StageFinished("predict", time.perf_counter() - started)
        return frames

    def _frames(self, expert: Any, known: Tensor | None, finished: int) -> Iterator[PredictedFrame]:
        settings = self.settings
        common = self.rgba, settings.gaussians, settings.elevation_deg, settings.seed
        if hasattr(expert, "predict"):
            sampler = Sampler(settings.sampling.temperature, settings.sampling.top_p)
            yield from expert.predict(*common, known, finished, sampler)
            return
        for k, gaussians in enumerate(expert.animate(*common)):
            yield PredictedFrame(None, gaussians if k >= finished else None)

    @torch.no_grad()
    def _frame_finished(self, k: int, gaussians: Gaussians, seconds: float) -> FrameFinished:
        camera = orbit(0.0, self.settings.elevation_deg, size=self.settings.size)
        view, target = render(gaussians, camera).rgb, self.targets[k][None]
        return FrameFinished(
            "predict", k, gaussians, psnr(view, target).item(), ssim(view, target).item(), seconds
        )

    def _known_tokens(self) -> Tensor | None:
        known = self.given.get(ROLE)
        return known.codes if isinstance(known, KnownTokens) else None

    def _expert(self) -> Generator[Event, None, Any]:
        settings = self.settings
        if settings.weights:
            expert = Star4D.load(self.device, Path(settings.weights))
            yield ExpertChosen(ROLE, expert.name, f"with the weights {Path(settings.weights).name}")
            return expert
        given = {role: expert for role, expert in self.given.items() if not isinstance(expert, KnownTokens)}
        emit, opacity = self.inbox.put, self.clip.opacity
        return (
            yield from expert_for(ROLE, settings.expert, given, self.device, emit, self.rgba, None, opacity)
        )


def _require_object(settings: StarSettings) -> None:
    """
    Raises:
        UserError: the settings ask for a scene.
    """
    if settings.kind == "scene":
        raise UserError("The engine star makes objects, which have a back; take the engine ar4d for a scene.")
