"""How far a run is: its events, folded into what a page shows."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from ar4d.events import Stage
from ar4d.settings import facing_words

STAGES: tuple[Stage, ...] = get_args(Stage)
SPEED_SECONDS = 5.0  # over which the speed is averaged


@dataclass
class StageProgress:
    """Steps of one stage, counted since it was last started."""

    done: int = 0
    total: int = 0
    started: float = 0.0  # seconds since the epoch
    finished: bool = False
    seconds: float = 0.0  # once it is finished

    @property
    def fraction(self) -> float:
        return 1.0 if self.finished else self.done / self.total if self.total else 0.0


def spoken_task(message: Mapping) -> str:
    """A `Progress` event in words."""
    done, total = message["done"], message["total"]
    if message["unit"] == "bytes":
        amount = f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{done / 1e6:.0f} MB"
    else:
        amount = f"{done} of {total} steps" if total else f"{done} steps"
    return f"{message['task']}: {amount}"


@dataclass
class Progress:
    """One run. `on` takes the events as `ar4d.runs.describe` writes them."""

    num_frames: int
    stages: dict[str, StageProgress] = field(default_factory=lambda: {s: StageProgress() for s in STAGES})
    stage: Stage | None = None  # at work
    frame_index: int | None = None
    step: int = 0  # within the frame, or within a stage that has none
    num_steps: int = 0
    task: str = ""  # what an expert does before the steps, as "Sampling views: 12 of 30 steps"
    psnr: dict[int, float] = field(default_factory=dict)  # per finished frame
    ssim: dict[int, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    loss: dict[int, float] = field(default_factory=dict)  # the frame's last
    curve: list[tuple[float, float]] = field(default_factory=list)  # (loss, psnr) within stage 3
    experts: dict[str, tuple[str, str]] = field(default_factory=dict)  # role: name, reason
    facing: str = ""  # which way the object was taken to look
    warnings: list[str] = field(default_factory=list)
    log: list[tuple[float, str]] = field(default_factory=list)
    _before: int = 0  # steps of this stage's earlier frames
    _recent: list[tuple[float, int]] = field(default_factory=list)

    @staticmethod
    def read(folder: Path, num_frames: int) -> Progress:
        """From a run's events.jsonl; a last line that was cut off is left out."""
        progress = Progress(num_frames)
        path = folder / "events.jsonl"
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    message = json.loads(line)
                except json.JSONDecodeError:  # the process was killed while it wrote
                    continue
                progress.on(message)
        return progress

    @property
    def frames_done(self) -> int:
        count = 0
        while count in self.psnr:
            count += 1
        return count

    @property
    def speed(self) -> float | None:
        """Steps a second, lately."""
        if len(self._recent) < 2:
            return None
        (t0, done0), (t1, done1) = self._recent[0], self._recent[-1]
        return (done1 - done0) / (t1 - t0) if t1 > t0 and done1 > done0 else None

    def say(self, text: str, at: float | None = None) -> None:
        self.log.append((time.time() if at is None else at, text))

    def on(self, message: Mapping) -> None:
        at = message["time"]
        self.task = ""
        match message["event"]:
            case "Progress":
                self.task = spoken_task(message)
            case "ClipJudged":
                self.say(message["message"], at)
            case "ExpertChosen":
                role, name, reason = message["role"], message["name"], message["reason"]
                self.experts[role] = name, reason
                self.say(f"{role.replace('_', ' ')}: {name} ({reason})", at)
            case "FacingEstimated":
                self.facing = f"faces {facing_words(message['azimuth_deg'])}"
                self.say(f"The object {self.facing} ({message['chance']:.0%} sure); Facing corrects it", at)
            case "Warned":
                if message["message"] not in self.warnings:
                    self.warnings.append(message["message"])
                    self.say(f"Note: {message['message']}", at)
            case "StageStarted":
                self._start(message["stage"], message["num_steps"], at)
            case "Step":
                self._step(message)
            case "FrameFinished":
                k = message["frame_index"]
                self.psnr[k], self.ssim[k] = message["psnr"], message["ssim"]
                self.seconds[k] = message["seconds"]
                self.say(f"Frame {k + 1} of {self.num_frames}: {message['psnr']:.2f} dB", at)
            case "StageFinished":
                stage = self.stages[message["stage"]]
                stage.finished, stage.seconds = True, stage.seconds + message["seconds"]
                self.say(f"Stage “{message['stage']}” finished in {message['seconds']:.1f} s", at)
            case "Finished":
                self.psnr = dict(enumerate(message["psnr"]))
                self.ssim = dict(enumerate(message["ssim"]))
                self.stage = None
                self.say(f"Finished: {sum(message['psnr']) / len(message['psnr']):.2f} dB on average", at)

    def seconds_left(self, expected: Mapping[str, float], now: float) -> float | None:
        """Until the run is whole: this stage at its present speed, later ones as `expected` says."""
        if self.stage is None:
            return sum(expected.values()) if not any(s.finished for s in self.stages.values()) else None
        stage = self.stages[self.stage]
        later = STAGES[STAGES.index(self.stage) + 1 :]
        speed, left = self.speed, stage.total - stage.done
        if speed is None:
            here = max(expected.get(self.stage, 0.0) - (now - stage.started), 0.0)
        else:
            here = left / speed
        return here + sum(expected.get(name, 0.0) for name in later)

    def _start(self, stage: Stage, num_steps: int, at: float) -> None:
        self.stage, self._before, self._recent = stage, 0, []
        self.frame_index, self.step, self.num_steps = None, 0, 0
        self.stages[stage] = StageProgress(total=num_steps, started=at)
        if stage == "refine":
            self.curve = []
        self.say(f"Stage “{stage}”: {num_steps} steps", at)

    def _step(self, message: Mapping) -> None:
        self.frame_index = message["frame_index"]
        self.step, self.num_steps = message["step"], message["num_steps"]
        stage = self.stages[message["stage"]]
        stage.done = self._before + self.step
        if message["stage"] == "refine":
            if message["psnr"] == message["psnr"]:  # not while the field learns the motion
                self.curve.append((message["loss"], message["psnr"]))
        elif self.frame_index is not None:
            self.loss[self.frame_index] = message["loss"]
        if message["stage"] == "generate" and self.step == self.num_steps:
            self._before = stage.done
        self._recent.append((message["time"], stage.done))
        while len(self._recent) > 2 and self._recent[-1][0] - self._recent[0][0] > SPEED_SECONDS:
            self._recent.pop(0)
