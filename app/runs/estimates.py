"""How long a run will take and how much memory it will hold, before it is started.

A model of the cost counts what each step does; how fast that is here is learnt from the runs that
this machine has finished.
"""

from __future__ import annotations

import json
import statistics
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ar4d.settings import FieldSettings, Settings

REMEMBERED = 12  # runs whose timings count

# Milliseconds of a step on two cores of a server CPU (forward and backward), from benchmarks.
_STEP = 4.0  # Adam, loss and everything else that does not grow
_RENDER = (0.65, 0.13e-3, 2.1e-5)  # per view: constant, per Gaussian, per pixel
_SSIM = 2.6e-5  # per pixel
_BLEND = 0.15e-3  # per Gaussian that follows control nodes
_NETWORK = 3.8e-8  # per multiplication of a field's network
_GPU = {"cpu": 1.0, "cuda": 0.08}  # of that time, until a run has shown better

_BASE_BYTES = {"cpu": 450e6, "cuda": 1.5e9}
_BYTES_PER_CHANNEL = 4 * (4 + 3 + 4)  # of a clip's pixel: RGBA, on white, alpha and copies
_BYTES_PER_GAUSSIAN = 14 * 4 * 8  # parameters, gradients, Adam's moments, this frame and the last


@dataclass(frozen=True)
class Estimate:
    seconds: dict[str, float]  # per stage
    memory: float  # bytes
    runs: int  # finished runs that it was learnt from; 0: a first guess

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


class Estimator:
    """Estimates, and what they are learnt from: `timings.jsonl` beside the runs."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._timings: list[dict] = []
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()[-10 * REMEMBERED :]
            self._timings = [json.loads(line) for line in lines if line.endswith("}")]

    def estimate(self, settings: Settings, num_frames: int, device: str, first_frame: int = 0) -> Estimate:
        """
        Args:
            device: "cpu" or "cuda".
            first_frame: frames before this one exist already.
        """
        guess = nominal_seconds(settings, num_frames, device, first_frame)
        known = [t for t in self._timings if t["device"] == device][-REMEMBERED:]
        seconds = {stage: value * _factor(known, "seconds", stage) for stage, value in guess.items()}
        memory = nominal_memory(settings, num_frames, device)
        ratios = [t["memory"] / t["nominal_memory"] for t in known if t["memory"]]
        return Estimate(seconds, memory * (statistics.median(ratios) if ratios else 1.0), len(known))

    def learn(
        self, settings: Settings, num_frames: int, device: str, seconds: Mapping[str, float], memory: int
    ) -> None:
        """Takes note of a whole run that nothing interrupted.

        Args:
            seconds: of each stage that ran.
            memory: bytes that its worker held at most.
        """
        timing = {
            "device": device,
            "nominal": nominal_seconds(settings, num_frames, device),
            "seconds": dict(seconds),
            "memory": memory,
            "nominal_memory": nominal_memory(settings, num_frames, device),
        }
        with self._lock, open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(timing) + "\n")
            self._timings.append(timing)


def _factor(timings: list[dict], key: str, stage: str) -> float:
    ratios = [t[key][stage] / t["nominal"][stage] for t in timings if t["nominal"][stage] and stage in t[key]]
    return statistics.median(ratios) if ratios else 1.0


def nominal_seconds(
    settings: Settings, num_frames: int, device: str, first_frame: int = 0
) -> dict[str, float]:
    """What each stage should take on the machine where the constants were measured."""
    n, size, pseudo = settings.initialize.gaussians, settings.size**2, settings.pseudo_size**2
    one, two, three = settings.initialize, settings.generate, settings.refine
    reference = _STEP + _render(n, size) + _SSIM * size
    view = _render(n, pseudo)
    first = one.iterations * (reference + (view if one.preservation else 0)) if one.finetune else 0.0
    later = two.iterations * (reference + _field(two.field, n) + (view if two.progressive_views else 0))
    shared = three.iterations * (reference + _field(three.field, n) + 1.5 * view)
    refined = three.enabled and num_frames > 1
    milliseconds = {
        "initialize": first if first_frame == 0 else 0.0,
        "generate": later * max(num_frames - max(first_frame, 1), 0),
        "refine": shared + three.warm_start * (_STEP + _field(three.field, n)) if refined else 0.0,
    }
    return {stage: value * _GPU[device] / 1000 for stage, value in milliseconds.items()}


def nominal_memory(settings: Settings, num_frames: int, device: str) -> float:
    """Bytes."""
    clip = num_frames * settings.size**2 * _BYTES_PER_CHANNEL
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
