"""Writes run folders in the layout of the first version, which wrote no plan and tagged no engine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from ar4d.clip import Clip
from ar4d.gaussians import Gaussians

RATES = {"means": 0.0003, "colors": 0.02, "scales": 0.001, "opacities": 0.01, "quats": 0.001}
FIELD = {
    "kind": "node-table",
    "width": 32,
    "depth": 8,
    "frequencies": 10,
    "time_frequencies": 10,
    "nodes": 48,
    "neighbours": 4,
    "lr": 0.008,
    "lr_final": 0.00024,
}
SETTINGS = {
    "preset": "cpu",
    "size": 64,
    "pseudo_size": 32,
    "elevation_deg": 0.0,
    "facing": "auto",
    "kind": "object",
    "scene_azimuth": 20.0,
    "seed": 0,
    "device": "cpu",
    "initialize": {
        "expert": "silhouette",
        "gaussians": 600,
        "finetune": True,
        "iterations": 10,
        "rates": RATES,
        "sigmoid_colors": True,
        "preservation": 0.3,
        "decay": 0.1,
    },
    "generate": {
        "expert": "silhouette",
        "autoregressive": True,
        "progressive_views": True,
        "iterations": 10,
        "field": FIELD,
        "rates": RATES,
        "decay": 0.03,
        "l1": 0.8,
        "alpha": 0.3,
        "max_azimuth": 180.0,
        "start_azimuth": 1.0,
        "steps_per_degree": 0.1,
        "pseudo_every": 10,
        "pseudo_rgb": 0.3,
        "pseudo_depth": 0.3,
    },
    "refine": {
        "enabled": True,
        "iterations": 20,
        "field": FIELD,
        "rates": RATES,
        "decay": 0.03,
        "warm_start": 10,
        "target": "input",
        "l1": 0.8,
        "depth": 1.0,
        "rgb": 1.0,
    },
}
CLIP_SETTINGS = {
    "start": None,
    "end": None,
    "num_frames": 4,
    "framing": "union",
    "background": "auto",
    "threshold": 0.5,
    "largest_component": True,
    "fps": None,
}


def write_old_run(folder: Path, clip: Clip, frames: Sequence[Gaussians], finished: bool) -> None:
    """A run that has made `frames`, and if `finished` also an asset that interpolates them."""
    (folder / "input").mkdir(parents=True)
    _write_clip(folder / "input", clip)
    Image.new("RGB", (64, 64)).save(folder / "cutout.png")
    (folder / "frames").mkdir()
    for k, gaussians in enumerate(frames):
        name = f"frames/{k:04d}.safetensors" if k else "stage1.safetensors"
        save_file(_tensors(gaussians), folder / name)
    if finished:
        _write_asset(folder / "refined.safetensors", frames, clip.fps)
        psnr, ssim = [30.0] * len(frames), [0.9] * len(frames)
        (folder / "metrics.json").write_text(json.dumps({"reference": {"psnr": psnr, "ssim": ssim}}))
    record = {
        "recipe": {"source": "ball.mp4", "clip": CLIP_SETTINGS, "settings": SETTINGS},
        "status": "finished" if finished else "stopped",
        "experts": {"image_to_gaussians": "silhouette", "views_to_gaussians": "silhouette"},
        "warnings": [],
        "seconds": {"initialize": 1.5},
        "versions": {"torch": "2.13.0+cpu"},
        "machine": "x86_64",
        "error": None,
    }
    (folder / "run.json").write_text(json.dumps(record, indent=1))
    lines = [json.dumps(event) for event in _events(len(frames), finished)]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")


def _write_clip(folder: Path, clip: Clip) -> None:
    for k, frame in enumerate(clip.frames):
        Image.fromarray(np.asarray(frame)).save(folder / f"{k:04d}.png")
    crop = {"x": 0.0, "y": 0.0, "side": 64.0, "source_width": 64, "source_height": 64}
    facts = {
        "num_frames": clip.num_frames,
        "size": clip.size,
        "fps": clip.fps,
        "crop": crop,
        "source": "ball",
        "matting": "alpha",
        "warnings": [],
    }
    (folder / "clip.json").write_text(json.dumps(facts, indent=2))


def _tensors(g: Gaussians) -> dict[str, torch.Tensor]:
    named = {
        "means": g.means,
        "quats": g.quats,
        "scales": g.scales,
        "opacities": g.opacities,
        "colors": g.colors,
    }
    return {name: tensor.contiguous() for name, tensor in named.items()}


def _write_asset(path: Path, frames: Sequence[Gaussians], fps: float) -> None:
    parts = [_tensors(gaussians) for gaussians in frames]
    tensors = {f"frames.{name}": torch.stack([part[name] for part in parts]) for name in parts[0]}
    facts = {"kind": "frames", "num_frames": len(frames), "fps": fps}
    save_file(tensors, path, metadata={"ar4d": json.dumps(facts)})


def _events(num_frames: int, finished: bool) -> list[dict]:
    events: list[dict] = [
        {
            "event": "ExpertChosen",
            "time": 1.0,
            "role": "image_to_gaussians",
            "name": "silhouette",
            "reason": "the best here",
        },
        {"event": "FacingSeen", "time": 1.5, "azimuth_deg": -45.0, "chance": 0.75},
        {"event": "StageStarted", "time": 2.0, "stage": "initialize", "num_steps": 10},
    ]
    for k in range(num_frames):
        stage = "generate" if k else "initialize"
        if k == 1:
            events.append({"event": "StageStarted", "time": 4.0, "stage": "generate", "num_steps": 30})
        step = {"stage": stage, "frame_index": k, "step": 10, "num_steps": 10, "loss": 0.1, "psnr": 25.0 + k}
        events.append({"event": "Step", "time": 4.0 + k, **step})
        made = {"stage": stage, "frame_index": k, "psnr": 25.0 + k, "ssim": 0.9, "seconds": 1.0}
        events.append({"event": "FrameFinished", "time": 4.5 + k, **made})
        if k == 0:
            done = {"event": "StageFinished", "time": 3.0, "stage": "initialize", "seconds": 1.0}
            events.append(done)
    if finished:
        psnr, ssim = [30.0] * num_frames, [0.9] * num_frames
        events.append({"event": "Finished", "time": 20.0, "psnr": psnr, "ssim": ssim})
    return events
