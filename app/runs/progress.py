"""The progress of a run: its events, folded into what the page shows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile

from ar4d import events
from ar4d.clip import generation_order
from ar4d.events import (
    CanonicalChosen,
    ClipJudged,
    Event,
    ExpertChosen,
    FacingEstimated,
    Finished,
    FrameFinished,
    Planned,
    Stage,
    StageFinished,
    StageInfo,
    StageStarted,
    Step,
    Warned,
)
from ar4d.runs import Run
from ar4d.settings import facing_words

SPEED_SECONDS = 5.0  # over which the speed is averaged
SMOOTHING_SECONDS = 15.0  # in which the time left follows a new estimate


@dataclass
class StageProgress:
    """Steps of one stage, counted since it was last started."""

    title: str
    short_title: str
    planned: int = 0
    """Steps of the whole stage in an undisturbed run; 0 if it was not planned."""
    done: int = 0
    total: int = 0
    started: float = 0.0
    """Seconds since the epoch."""
    finished: bool = False
    seconds: float = 0.0
    """Duration, once it is finished."""

    @property
    def fraction(self) -> float:
        """The completed share in [0, 1], with the steps before an interruption."""
        if self.finished or not self.total:
            return float(self.finished)
        whole = max(self.planned, self.total)
        return 1 - (self.total - self.done) / whole


def task_in_words(event: events.Progress) -> str:
    """A `Progress` event as a phrase, as "Sampling views: 12 of 30 steps"."""
    if event.unit == "bytes":
        done, total, unit = f"{event.done / 1e6:.0f}", f"{event.total / 1e6:.0f}", "MB"
    else:
        done, total, unit = str(event.done), str(event.total), "steps"
    return f"{event.task}: {done} of {total} {unit}" if event.total else f"{event.task}: {done} {unit}"


@dataclass
class Progress:
    """One run's progress. `on` takes its events."""

    num_frames: int
    stages: dict[Stage, StageProgress] = field(default_factory=dict)
    """In the order of the run's plan."""
    stage: Stage | None = None
    """The stage at work."""
    frame_index: int | None = None
    step: int = 0
    """Within the frame, or within a stage that serves the whole clip."""
    num_steps: int = 0
    task: str = ""
    """What an expert does before the steps, as "Sampling views: 12 of 30 steps"."""
    psnr: dict[int, float] = field(default_factory=dict)
    """dB, by finished frame."""
    ssim: dict[int, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    made_by: dict[int, Stage] = field(default_factory=dict)
    """The stage that made each finished frame."""
    loss: dict[int, float] = field(default_factory=dict)
    """Last loss, by frame."""
    curve: list[tuple[float, float]] = field(default_factory=list)
    """(loss, psnr) of the steps that serve the whole clip, within the stage at work."""
    experts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name and reason, by role."""
    canonical: int = 0
    """Index of the frame that stage 1 lifts."""
    facing: str = ""
    """Estimated facing direction in words."""
    facing_guess: tuple[float, float] | None = None
    """The estimate: azimuth in degrees, right up to 180, and the probability that it is."""
    warnings: list[str] = field(default_factory=list)
    log: list[tuple[float, str]] = field(default_factory=list)
    generated: dict[int, float] = field(default_factory=dict)
    """dB, by frame, as the stages before a refinement of the whole clip left it."""
    _before: int = 0  # steps of this stage's earlier frames
    _recent: list[tuple[float, int]] = field(default_factory=list)
    _left: tuple[float, float] | None = None  # when the time left was asked for, and what was said

    @staticmethod
    def read(run: Run) -> Progress:
        """The progress that a run has recorded.

        Raises:
            UserError: as `Run.events`.
        """
        progress = Progress(run.num_frames, canonical=run.record.canonical)
        for event in run.events():
            progress.on(event)
        return progress

    @property
    def frames_done(self) -> int:
        """Number of finished frames, in the order of their generation without a gap."""
        return len(list(takewhile(self.psnr.__contains__, self.order)))

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the frames in the order of their generation."""
        return generation_order(self.num_frames, self.canonical)

    @property
    def speed(self) -> float | None:
        """Steps per second over the last seconds; None if it is not known."""
        if len(self._recent) < 2:
            return None
        (t0, done0), (t1, done1) = self._recent[0], self._recent[-1]
        return (done1 - done0) / (t1 - t0) if t1 > t0 and done1 > done0 else None

    def title(self, stage: Stage) -> str:
        """A stage's title."""
        return self.stages[stage].title if stage in self.stages else stage

    def say(self, text: str, at: float | None = None) -> None:
        """Adds a line to the log.

        Args:
            at: seconds since the epoch; now if it is None.
        """
        self.log.append((time.time() if at is None else at, text))

    def on(self, event: Event) -> None:
        """Takes the next event."""
        self.task = ""
        match event:
            case Planned():
                self.stages = {s.name: self._planned(s) for s in event.stages}
            case events.Progress():
                self.task = task_in_words(event)
            case ClipJudged():
                self.say(event.message, event.time)
            case ExpertChosen():
                self.experts[event.role] = event.name, event.reason
                self.say(f"{event.role.replace('_', ' ')}: {event.name} ({event.reason})", event.time)
            case CanonicalChosen():
                self.canonical = event.frame_index
                self.say(event.reason, event.time)
            case FacingEstimated():
                self.facing = f"faces {facing_words(event.azimuth_deg)}"
                self.facing_guess = event.azimuth_deg, event.probability
                sure = f"{event.probability:.0%} sure"
                self.say(f"The object {self.facing} ({sure}); the arrows correct it", event.time)
            case Warned() if event.message not in self.warnings:
                self.warnings.append(event.message)
                self.say(f"Note: {event.message}", event.time)
            case StageStarted():
                self._start(event)
            case Step():
                self._step(event)
            case FrameFinished():
                k = event.frame_index
                self.psnr[k], self.ssim[k], self.seconds[k] = event.psnr, event.ssim, event.seconds
                self.made_by[k] = event.stage
                self.say(f"Frame {k + 1} of {self.num_frames}: {event.psnr:.2f} dB", event.time)
            case StageFinished():
                stage = self._of(event.stage)
                stage.finished, stage.seconds = True, stage.seconds + event.seconds
                self.say(f"{stage.title} finished in {event.seconds:.1f} s", event.time)
            case Finished():
                self.generated = dict(self.psnr)
                self.psnr, self.ssim = dict(enumerate(event.psnr)), dict(enumerate(event.ssim))
                self.stage = None
                mean = sum(event.psnr) / max(len(event.psnr), 1)
                self.say(f"Finished: {mean:.2f} dB on average", event.time)

    def seconds_left(self, expected: Mapping[Stage, float], now: float) -> float | None:
        """Seconds until the run is finished; None if it is not known.

        Args:
            expected: seconds of each stage, by an estimate. The stage at work is judged by its speed.
            now: seconds since the epoch.
        """
        if self.stage is None:
            return sum(expected.values()) if not any(s.finished for s in self.stages.values()) else None
        stage, names = self.stages[self.stage], list(self.stages)
        later = names[names.index(self.stage) + 1 :]
        speed, left = self.speed, stage.total - stage.done
        if speed is None:
            here = max(expected.get(self.stage, 0.0) - (now - stage.started), 0.0)
        else:
            here = left / speed
        return here + sum(expected.get(name, 0.0) for name in later)

    def smooth_seconds_left(self, expected: Mapping[Stage, float], now: float) -> float | None:
        """`seconds_left` without jumps: it counts down, and follows a new estimate within seconds.

        With the time Δ since it was last asked for and the estimate e, it is l + (e − l)(1 − exp(−Δ/τ)),
        where l is the last answer less Δ and τ is `SMOOTHING_SECONDS`.
        """
        estimate = self.seconds_left(expected, now)
        if estimate is None:
            self._left = None
            return None
        if self._left is None:
            self._left = now, estimate
            return estimate
        at, said = self._left
        passed = max(now - at, 0.0)
        due = max(said - passed, 0.0)
        left = due + (estimate - due) * (1 - math.exp(-passed / SMOOTHING_SECONDS))
        self._left = now, left
        return left

    def _planned(self, info: StageInfo) -> StageProgress:
        """A stage of the plan, with what is known of it from before an interruption."""
        known = self.stages.get(info.name) or StageProgress("", "")
        return replace(known, title=info.title, short_title=info.short_title, planned=info.steps)

    def _of(self, stage: Stage) -> StageProgress:
        return self.stages.setdefault(stage, StageProgress(stage, stage))

    def _start(self, event: StageStarted) -> None:
        self.stage, self._before, self._recent, self.curve = event.stage, 0, [], []
        self.frame_index, self.step, self.num_steps = None, 0, 0
        stage = replace(self._of(event.stage), done=0, total=event.num_steps, started=event.time)
        self.stages[event.stage] = replace(stage, finished=False, seconds=0.0)
        self.say(f"{stage.title}: {event.num_steps} steps", event.time)

    def _step(self, event: Step) -> None:
        self.frame_index, self.step, self.num_steps = event.frame_index, event.step, event.num_steps
        stage = self._of(event.stage)
        stage.done = self._before + self.step
        if self.frame_index is not None:
            self.loss[self.frame_index] = event.loss
            if self.step == self.num_steps:
                self._before = stage.done
        elif event.psnr == event.psnr:  # not NaN, as while the field learns the motion
            self.curve.append((event.loss, event.psnr))
        self._recent.append((event.time, stage.done))
        while len(self._recent) > 2 and self._recent[-1][0] - self._recent[0][0] > SPEED_SECONDS:
            self._recent.pop(0)
