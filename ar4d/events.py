"""What a run reports while it works: the only interface for progress.

The command line, the page, the run's folder and the tests all consume this stream. Nothing else
says how far a run is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from ar4d.gaussians import Gaussians

if TYPE_CHECKING:
    from ar4d.asset import Asset4D
    from ar4d.views import ViewGrid

Stage = str
"""Name of a stage; `Planned` says which there are."""
Role = str
"""Name of what an expert does; `ar4d.experts.protocols.ROLES` lists the program's own."""

T = TypeVar("T")


@dataclass(frozen=True)
class StageInfo:
    """One stage of a run, as its engine plans it."""

    name: Stage
    title: str
    """For people, as "Initialize: lift the first frame"."""
    short_title: str
    """The same in one word."""
    steps: int
    """Optimisation steps of the whole stage; 0 if it has none."""


@dataclass(frozen=True)
class Planned:
    """The first event of a run: its stages, in order."""

    stages: tuple[StageInfo, ...]


@dataclass(frozen=True)
class ExpertChosen:
    """An expert that this run really uses, and why it is not another one."""

    role: Role
    name: str
    reason: str


@dataclass(frozen=True)
class Progress:
    """How far something is that is no optimisation: a download, an expert's sampling."""

    task: str  # what is being done, as the user should read it
    done: int
    total: int  # 0 where it is not known
    unit: Literal["steps", "bytes"] = "steps"


@dataclass(frozen=True)
class FacingEstimated:
    """Which way an expert takes the object to look in the first frame, if nobody said it."""

    azimuth_deg: float  # in [-90, 90): towards it or away from it, half a turn further
    chance: float  # that it is right to 22.5 degrees


@dataclass(frozen=True)
class StageStarted:
    stage: Stage
    num_steps: int  # optimisation steps of the whole stage that are still to come


@dataclass(frozen=True)
class Step:
    """One optimisation step. Reported every few steps, the last one of a frame always."""

    stage: Stage
    frame_index: int | None  # the frame being made; None where a step serves the whole clip
    step: int  # 1-based, within this frame (or this stage)
    num_steps: int
    loss: float
    psnr: float  # dB, reference view against the clip's frame


@dataclass(frozen=True)
class FrameFinished:
    """A frame's Gaussians exist (stage 1: frame 0; stage 2: each later frame)."""

    stage: Stage
    frame_index: int  # 0-based
    gaussians: Gaussians
    psnr: float  # dB, reference view, RGB on white
    ssim: float
    seconds: float  # spent on this frame


@dataclass(frozen=True)
class StageFinished:
    stage: Stage
    seconds: float


@dataclass(frozen=True)
class Finished:
    """The run is whole. `psnr` and `ssim`: the asset at the reference view, one value a frame."""

    asset: Asset4D
    psnr: tuple[float, ...]
    ssim: tuple[float, ...]


@dataclass(frozen=True)
class ViewsImagined:
    """The clip as an expert sees it from other sides."""

    grid: ViewGrid


@dataclass(frozen=True)
class Warned:
    """Something the user should know that does not stop the run."""

    message: str


@dataclass(frozen=True)
class ClipJudged:
    """What the gate says about a clip that an expert made from a prompt."""

    seed: int
    accepted: bool
    message: str


Event = (
    Planned
    | ExpertChosen
    | Progress
    | ClipJudged
    | FacingEstimated
    | StageStarted
    | ViewsImagined
    | Step
    | FrameFinished
    | StageFinished
    | Finished
    | Warned
)


def drain(stream: Generator[Event, None, T], on_event: Callable[[Event], object]) -> T:
    """Calls `on_event` with every event of a stream; returns what the stream returns."""
    try:
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                return end.value
            on_event(event)
    finally:
        stream.close()
