"""The events of a run: the only interface for its progress.

The command line, the page, the viewer, the run's folder and the tests all consume this stream.
`to_json` and `from_json` are the only code that turns events into text and back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Discriminator, Field, GetCoreSchemaHandler, Tag, TypeAdapter
from pydantic_core import CoreSchema, core_schema
from torch import Tensor

from ar4d.asset import Asset4D
from ar4d.gaussians import Gaussians
from ar4d.views import ViewGrid

T = TypeVar("T")
E = TypeVar("E")

Stage = str
"""Name of a stage of an engine, as `Planned` announces it ("initialize")."""
Role = str
"""Name of what an expert does for an engine ("image_to_gaussians"); see `ar4d.experts.protocols`."""


class _InMemory:
    """Marks a field that JSON leaves out: it is None in an event that was read back."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(core_schema.any_schema(), default=None)


@dataclass(frozen=True, kw_only=True)
class _Timed:
    time: float = field(default_factory=lambda: round(time.time(), 3), compare=False, repr=False)
    """When it happened, in seconds since the epoch."""


@dataclass(frozen=True)
class StageInfo:
    """One stage of an engine's plan."""

    name: Stage
    """The stage's name in all other events and in `run.json`."""
    title: str
    """A heading for people, as "First frame"."""
    short_title: str
    """A label for narrow places, as "Start"."""
    steps: int
    """Optimisation steps of the whole stage in an undisturbed run; 0 where nothing is optimised."""


@dataclass(frozen=True)
class Planned(_Timed):
    """The stages of the run in their order. The first event of every run, resumed ones included."""

    stages: tuple[StageInfo, ...]

    def __getitem__(self, name: Stage) -> StageInfo:
        """The stage called `name`.

        Raises:
            KeyError: the plan has no such stage.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


@dataclass(frozen=True)
class ExpertChosen(_Timed):
    """The expert that the run uses for a role, and why it is this one."""

    role: Role
    name: str
    reason: str


@dataclass(frozen=True)
class Progress(_Timed):
    """Progress of work that is not an optimisation: a download, an expert's sampling."""

    task: str
    """What is being done, in words for people."""
    done: int
    total: int
    """0 if it is not known."""
    unit: Literal["steps", "bytes"] = "steps"


@dataclass(frozen=True)
class FacingEstimated(_Timed):
    """An expert's estimate of the facing direction in the first frame, when none was given."""

    azimuth_deg: float
    """In [-90, 90): the object faces this azimuth or the opposite one."""
    probability: float
    """Probability that the estimate is right to within 22.5 degrees."""


@dataclass(frozen=True)
class CanonicalChosen(_Timed):
    """The frame that stage 1 lifts, where it is not the first one without a choice."""

    frame_index: int
    """From 0."""
    reason: str
    """One sentence for people that names the frame and says why."""


@dataclass(frozen=True)
class StageStarted(_Timed):
    """A stage begins to optimise."""

    stage: Stage
    num_steps: int
    """Optimisation steps of the stage that are left: fewer than planned if the run was resumed."""


@dataclass(frozen=True)
class Step(_Timed):
    """One optimisation step. Reported every few steps, and always for the last step of a frame."""

    stage: Stage
    frame_index: int | None
    """The frame being made, from 0; None if a step serves the whole clip."""
    step: int
    """From 1, within this frame (or this stage)."""
    num_steps: int
    loss: float
    psnr: float
    """Reference view against the clip's frame, dB; NaN if the step does not measure it."""


@dataclass(frozen=True)
class FrameImagined(_Timed):
    """An expert has made a frame that is yet to be fitted to the clip: a preview of it, within seconds."""

    stage: Stage
    frame_index: int
    """From 0."""
    gaussians: Annotated[Gaussians | None, Field(exclude=True), _InMemory]
    """What the expert made. None in an event that was read from JSON; the run's folder holds it."""


@dataclass(frozen=True)
class FrameFinished(_Timed):
    """The Gaussians of a frame exist."""

    stage: Stage
    frame_index: int
    """From 0."""
    gaussians: Annotated[Gaussians | None, Field(exclude=True), _InMemory]
    """The frame. None in an event that was read from JSON; the run's folder holds it."""
    psnr: float
    """Reference view, RGB on white, dB."""
    ssim: float
    """Reference view, RGB on white."""
    seconds: float
    """Time spent on this frame."""


@dataclass(frozen=True)
class Refined(_Timed):
    """A stage that serves the whole clip has come to an asset that can be looked at, and goes on."""

    stage: Stage
    step: int
    asset: Annotated[Asset4D | None, Field(exclude=True), _InMemory]
    """The asset so far. None in an event that was read from JSON; the run's folder holds the newest."""


@dataclass(frozen=True)
class StageFinished(_Timed):
    """A stage is complete."""

    stage: Stage
    seconds: float


@dataclass(frozen=True)
class Finished(_Timed):
    """The run is complete."""

    asset: Annotated[Asset4D | None, Field(exclude=True), _InMemory]
    """The result. None in an event that was read from JSON; the run's folder holds it."""
    psnr: tuple[float, ...]
    """The asset at the reference view against each frame of the clip, dB."""
    ssim: tuple[float, ...]
    """The asset at the reference view against each frame of the clip."""


@dataclass(frozen=True)
class ViewsDrawn(_Timed):
    """An expert has drawn some frames of the clip from other sides; the rest follows."""

    azimuths_deg: tuple[float, ...]
    """Of the V views, without the clip's own."""
    start: int
    """The first of the frames, from 0. Frames may come again, better than before."""
    num_frames: int
    rgba: Annotated[Tensor | None, Field(exclude=True), _InMemory]
    """[V, num_frames, S, S, 4] in [0, 1], straight alpha. None in an event that was read from JSON."""


@dataclass(frozen=True)
class ViewsImagined(_Timed):
    """An expert has drawn the clip from other sides."""

    grid: Annotated[ViewGrid | None, Field(exclude=True), _InMemory]
    """The views. None in an event that was read from JSON; the run's folder holds them in `views/`."""


@dataclass(frozen=True)
class TokensPredicted(_Timed):
    """An expert has predicted the tokens of a frame, from which its Gaussians are decoded."""

    frame_index: int
    """From 0."""
    codes: Annotated[Tensor | None, Field(exclude=True), _InMemory]
    """[V, N, K] codes of V unseen views, N tokens each, K codebooks. None in an event that was read from
    JSON; the run's folder holds them in `tokens/`."""


@dataclass(frozen=True)
class Warned(_Timed):
    """A problem that the user should know about and that does not stop the run."""

    message: str


@dataclass(frozen=True)
class ClipJudged(_Timed):
    """The verdict of the quality gate on a clip that an expert made from a prompt."""

    seed: int
    accepted: bool
    message: str


Event = (
    Planned
    | ExpertChosen
    | Progress
    | ClipJudged
    | FacingEstimated
    | CanonicalChosen
    | StageStarted
    | ViewsDrawn
    | ViewsImagined
    | TokensPredicted
    | Step
    | FrameImagined
    | FrameFinished
    | Refined
    | StageFinished
    | Finished
    | Warned
)

_RENAMED = {"FacingSeen": ("FacingEstimated", {"chance": "probability"})}
"""Events of earlier versions: their present name, and the present names of their fields."""


def _tag(value: Any) -> str:
    return str(value.get("event")) if isinstance(value, dict) else type(value).__name__


_tagged: Any = reduce(or_, (Annotated[kind, Tag(kind.__name__)] for kind in get_args(Event)))
_adapter: TypeAdapter[Event] = TypeAdapter(Annotated[_tagged, Discriminator(_tag)])  # type: ignore[arg-type]


def to_json(event: Event) -> str:
    """One line of JSON: the event's name as "event" and all of its fields but Gaussians and assets."""
    return json.dumps({"event": type(event).__name__, **_adapter.dump_python(event, mode="json")})


def from_json(line: str) -> Event:
    """Reads what `to_json` wrote, in this version or an earlier one.

    Raises:
        ValueError: the line is not JSON (`json.JSONDecodeError`), or describes no event that this
            version knows (`pydantic.ValidationError`).
    """
    values = json.loads(line)
    if (tag := _tag(values)) in _RENAMED:
        name, fields = _RENAMED[tag]
        values = {fields.get(key, key): value for key, value in values.items()} | {"event": name}
    return _adapter.validate_python(values)


def drain(stream: Generator[E, None, T], on_event: Callable[[E], object] = lambda _: None) -> T:
    """Passes every event of a stream to `on_event`; returns what the stream returns.

    If `on_event` raises, the stream is closed.
    """
    with closing(stream):
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                return end.value
            on_event(event)
