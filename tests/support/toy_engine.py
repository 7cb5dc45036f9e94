"""A method from outside: it puts a ring of Gaussians where an expert of a new role finds the subject."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch

from ar4d.asset import Asset4D, FrameSequence
from ar4d.clip import Clip
from ar4d.engines.base import Experts
from ar4d.events import Event, ExpertChosen, Finished, FrameFinished, StageFinished, StageInfo, StageStarted
from ar4d.experts.registry import Entry, require
from ar4d.gaussians import Gaussians
from ar4d.presets import Preset
from ar4d.settings import EngineSettings

ROLE = "frame_to_place"


class FrameToPlace(Protocol):
    """The role that this engine adds: where in a frame the subject is."""

    @property
    def name(self) -> str: ...

    def locate(self, frame: np.ndarray) -> tuple[float, float]:
        """Centre (x, y) of a frame [S, S, 4] uint8, in [0, 1]."""
        ...


class Centroid:
    """`FrameToPlace` by the mean of the opaque pixels."""

    name = "centroid"

    def locate(self, frame: np.ndarray) -> tuple[float, float]:
        ys, xs = np.nonzero(frame[..., 3] > 127)
        return float(xs.mean() + 0.5) / frame.shape[1], float(ys.mean() + 0.5) / frame.shape[0]


EXPERT = Entry("centroid", (ROLE,), "finds the subject", lambda device: None, lambda device: Centroid())


@dataclass(frozen=True)
class ToySettings(EngineSettings):
    """Settings of the toy engine."""

    engine: Literal["toy"] = "toy"
    preset: str = "toy"
    size: int = 32
    points: int = 12
    """Gaussians in the ring."""
    expert: str = "auto"
    """Which expert finds the subject."""


class ToyEngine:
    """`Engine` of one stage and no optimisation."""

    name = "toy"
    settings_type = ToySettings

    def plan(self, settings: ToySettings, num_frames: int, given=()) -> tuple[StageInfo, ...]:
        return (StageInfo("place", "1 place", "placed", num_frames),)

    def check(self, settings: ToySettings, experts: Experts) -> None:
        if ROLE not in experts:
            require(ROLE, settings.expert, torch.device("cpu"))

    def run(
        self, clip: Clip, settings: ToySettings, finished: Sequence[Gaussians], experts: Experts
    ) -> Generator[Event, None, Asset4D]:
        expert: Any = experts.get(ROLE)
        reason = "given as an object"
        if expert is None:
            entry, reason = require(ROLE, settings.expert, torch.device("cpu"))
            expert = entry.build(torch.device("cpu"))
        yield ExpertChosen(ROLE, expert.name, reason)
        frames = list(finished)
        yield StageStarted("place", clip.num_frames - len(frames))
        for index in range(len(frames), clip.num_frames):
            x, y = expert.locate(clip.frames[index])
            frames.append(ring(x, y, settings.points))
            yield FrameFinished("place", index, frames[-1], psnr=20.0, ssim=0.5, seconds=0.1)
        yield StageFinished("place", 0.1)
        asset = FrameSequence(tuple(frames), clip.fps)
        yield Finished(asset, (20.0,) * len(frames), (0.5,) * len(frames))
        return asset


def ring(x: float, y: float, count: int) -> Gaussians:
    angle = torch.arange(count) * 2 * math.pi / count
    middle = torch.tensor([x - 0.5, 0.5 - y, 0.0])
    return Gaussians(
        means=middle + 0.2 * torch.stack([angle.cos(), angle.sin(), 0 * angle], -1),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        scales=torch.full((count, 3), 0.03),
        opacities=torch.full((count,), 0.8),
        colors=torch.rand(count, 3, generator=torch.Generator().manual_seed(0)),
    )


ENGINE = ToyEngine()
PRESET = Preset(ToySettings(preset="toy-five", points=5), "toy-five: a ring of five", "cpu")
