"""Estimates of a run's time and memory before it starts.

A cost model counts the work of each step. The runs that this machine has finished calibrate its speed.
"""

from __future__ import annotations

import json
import logging
import statistics
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ar4d.engines.registry import engine_of
from ar4d.engines.star.settings import StarSettings
from ar4d.records import first_problem
from ar4d.settings import EngineSettings, FieldSettings, Settings

_log = logging.getLogger(__name__)

REMEMBERED = 12  # latest runs that calibrate the model

# Milliseconds of a step on two cores of a server CPU (forward and backward), from benchmarks.
_STEP = 4.0  # Adam, loss and other constant work
_RENDER = (0.65, 0.13e-3, 2.1e-5)  # per view: constant, per Gaussian, per pixel
_SSIM = 2.6e-5  # per pixel
_BLEND = 0.15e-3  # per Gaussian that follows control nodes
_FRAME = 600.0  # a frame of stage 2 beside its steps: the expert's look, the graph of its nodes
_NETWORK = 3.8e-8  # per multiplication of a field's network
_PREDICTION_START = 3000.0  # of the engine star: its weights are read, the clip is encoded
_PREDICTED_FRAME = 2000.0  # of the engine star
_OTHER_STEP = 50.0  # of an engine that has no model here
_GPU = {"cpu": 1.0, "cuda": 0.08}  # share of that time, before calibration

_BASE_BYTES = {"cpu": 450e6, "cuda": 1.5e9}
_BYTES_PER_CHANNEL = 4 * (4 + 3 + 4)  # of a clip's pixel: RGBA, on white, alpha and copies
_BYTES_PER_GAUSSIAN = 14 * 4 * 8  # parameters, gradients, Adam's moments, this frame and the last


@dataclass(frozen=True)
class Estimate:
    """Time and memory of a run."""

    seconds: dict[str, float]
    """By stage."""
    memory: float
    """Bytes."""
    runs: int
    """Finished runs that calibrated it; 0 for an uncalibrated guess."""

    @property
    def total(self) -> float:
        """Seconds of all stages together."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Timing:
    """A line of timings.jsonl: what a finished run took, and what the model says about it."""

    device: str
    nominal: dict[str, float]
    """Modelled seconds by stage."""
    seconds: dict[str, float]
    """Measured seconds by stage."""
    memory: float
    """Measured peak, bytes."""
    nominal_memory: float
    """Modelled peak, bytes."""


_timing = TypeAdapter(Timing)


class Estimator:
    """Makes estimates and calibrates them with `timings.jsonl`, which lies beside the runs."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._timings: list[Timing] = []
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        for line in lines[-10 * REMEMBERED :]:
            try:
                self._timings.append(_timing.validate_json(line))
            except ValidationError as error:
                _log.warning("A line of %s was left out: %s", path, first_problem(error))

    def estimate(
        self, settings: EngineSettings, num_frames: int, device: str, first_frame: int = 0
    ) -> Estimate:
        """Estimates a run.

        Args:
            device: "cpu" or "cuda".
            first_frame: frames before this one exist already.
        """
        guess = nominal_seconds(settings, num_frames, device, first_frame)
        known = [t for t in self._timings if t.device == device][-REMEMBERED:]
        seconds = {stage: value * _factor(known, stage) for stage, value in guess.items()}
        memory = nominal_memory(settings, num_frames, device)
        ratios = [t.memory / t.nominal_memory for t in known if t.memory and t.nominal_memory]
        return Estimate(seconds, memory * (statistics.median(ratios) if ratios else 1.0), len(known))

    def learn(
        self,
        settings: EngineSettings,
        num_frames: int,
        device: str,
        seconds: Mapping[str, float],
        memory: int,
    ) -> None:
        """Records the timings of a finished run that was not interrupted.

        Args:
            seconds: of each stage that ran.
            memory: peak memory of its worker, bytes.
        """
        nominal = nominal_seconds(settings, num_frames, device)
        timing = Timing(device, nominal, dict(seconds), memory, nominal_memory(settings, num_frames, device))
        with self._lock, open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(timing)) + "\n")
            self._timings.append(timing)


def _factor(timings: list[Timing], stage: str) -> float:
    """Median of measured over modelled seconds of a stage."""
    ratios = [
        t.seconds[stage] / t.nominal[stage] for t in timings if t.nominal.get(stage) and stage in t.seconds
    ]
    return statistics.median(ratios) if ratios else 1.0


def nominal_seconds(
    settings: EngineSettings, num_frames: int, device: str, first_frame: int = 0
) -> dict[str, float]:
    """Seconds of each stage on the machine where the constants were measured."""
    if isinstance(settings, StarSettings):
        frames = max(num_frames - first_frame, 0)
        milliseconds = {"predict": _PREDICTION_START + _PREDICTED_FRAME * frames}
        if settings.refine.enabled and num_frames > 1:
            milliseconds["refine"] = _refinement(settings, settings.gaussians)
        return {stage: value * _GPU[device] / 1000 for stage, value in milliseconds.items()}
    if not isinstance(settings, Settings):
        stages = engine_of(settings).plan(settings, num_frames)
        return {stage.name: stage.steps * _OTHER_STEP * _GPU[device] / 1000 for stage in stages}
    n, size, pseudo = settings.initialize.gaussians, settings.size**2, settings.pseudo_size**2
    one, two = settings.initialize, settings.generate
    reference = _STEP + _render(n, size) + _SSIM * size
    view = _render(n, pseudo)
    first = one.iterations * (reference + (view if one.preservation else 0)) if one.finetune else 0.0
    step = reference + _field(two.field, n) + (view if two.progressive_views else 0)
    later = _FRAME + two.iterations * step
    refined = settings.refine.enabled and num_frames > 1
    milliseconds = {
        "initialize": first if first_frame == 0 else 0.0,
        "generate": later * max(num_frames - max(first_frame, 1), 0),
        "refine": _refinement(settings, n) if refined else 0.0,
    }
    return {stage: value * _GPU[device] / 1000 for stage, value in milliseconds.items()}


def _refinement(settings: Settings | StarSettings, gaussians: int) -> float:
    """Milliseconds of stage 3."""
    refine, size = settings.refine, settings.size**2
    reference = _STEP + _render(gaussians, size) + _SSIM * size
    step = reference + _field(refine.field, gaussians) + 1.5 * _render(gaussians, settings.pseudo_size**2)
    return refine.iterations * step + refine.warm_start * (_STEP + _field(refine.field, gaussians))


def nominal_memory(settings: EngineSettings, num_frames: int, device: str) -> float:
    """Bytes of memory that a run holds, by the model."""
    clip = num_frames * settings.size**2 * _BYTES_PER_CHANNEL
    if not isinstance(settings, Settings):
        return _BASE_BYTES[device] + clip
    frames = num_frames * settings.initialize.gaussians * 14 * 4
    fields = 0.0
    for field in (settings.generate.field, settings.refine.field):
        if field.kind == "mlp":  # every layer's activations are kept for the gradient
            fields = max(fields, settings.initialize.gaussians * field.depth * field.width * 4 * 3)
    own = settings.initialize.gaussians * _BYTES_PER_GAUSSIAN
    return _BASE_BYTES[device] + clip + frames + fields + own


def _render(gaussians: int, pixels: int) -> float:
    constant, per_gaussian, per_pixel = _RENDER
    return constant + per_gaussian * gaussians + per_pixel * pixels


def _field(field: FieldSettings, gaussians: int) -> float:
    if field.kind == "node-table":
        return _BLEND * gaussians
    points = gaussians if field.kind == "mlp" else field.nodes
    return _NETWORK * points * field.depth * field.width**2 + (
        _BLEND * gaussians if field.kind == "node-mlp" else 0.0
    )
