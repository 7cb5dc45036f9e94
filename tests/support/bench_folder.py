"""A tiny object with ground truth, as the tests of the evaluation and the benchmark need it."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ar4d.asset import FrameSequence, frame_time
from ar4d.cameras import orbit
from ar4d.gaussians import Gaussians
from ar4d.rendering import render

SIZE = 48
AZIMUTHS_DEG = (0, 15, 90, 105, 180, 195, 270, -75)


def moving_gaussians(num_frames: int, seed: int = 0) -> FrameSequence:
    """A few Gaussians that drift at constant speed: the same motion for any number of frames."""
    generator = torch.Generator().manual_seed(seed)
    means = 0.2 * torch.randn(40, 3, generator=generator)
    speed = 0.3 * torch.randn(40, 3, generator=generator)
    still = Gaussians(
        means=means,
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(40, 1),
        scales=torch.full((40, 3), 0.06),
        opacities=torch.full((40,), 0.9),
        colors=torch.rand(40, 3, generator=generator),
    )
    times = [frame_time(k, num_frames) for k in range(num_frames)]
    frames = [Gaussians(**{**still.state(), "means": means + t * speed}) for t in times]
    return FrameSequence(tuple(frames), fps=10)


def name_of(azimuth_deg: float) -> str:
    return f"az{azimuth_deg:+04d}"


def write_object(folder: Path, asset: FrameSequence) -> Path:
    """Writes the asset's renders as ground truth, and the reference view's at twice the size as the clip."""
    cameras = {}
    for azimuth in AZIMUTHS_DEG:
        camera = orbit(azimuth, size=SIZE)
        cameras[name_of(azimuth)] = {
            "azimuth_deg": azimuth,
            "elevation_deg": 0.0,
            "size": SIZE,
            "K": camera.Ks[0].tolist(),
            "viewmat": camera.viewmats[0].tolist(),
        }
        write_frames(folder / "views" / name_of(azimuth), asset, azimuth, SIZE)
    write_frames(folder / "input", asset, 0, 2 * SIZE)
    meta = {"cameras": cameras, "input_camera": {"azimuth_deg": 0, "elevation_deg": 0.0}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def write_frames(folder: Path, asset: FrameSequence, azimuth_deg: float, size: int) -> None:
    folder.mkdir(parents=True)
    for k, gaussians in enumerate(asset.frames):
        rendering = render(gaussians, orbit(azimuth_deg, size=size), background=None)
        alpha = rendering.alpha[0].numpy()[..., None]
        straight = np.concatenate([rendering.rgb[0].numpy() / np.maximum(alpha, 1e-6), alpha], -1)
        pixels = np.round(255 * np.clip(straight, 0, 1)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:04}.png")
