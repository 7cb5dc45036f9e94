"""The clip from other sides as a `ViewGrid`: here the views are rendered from an asset that is known."""

from pathlib import Path

import torch

import ar4d
from ar4d.asset import frame_time
from ar4d.experts.played import PlayedViews
from ar4d.images import unpremultiply
from ar4d.settings import Settings
from ar4d.views import ViewGrid

RUN = Path(__file__).parents[1] / "assets" / "example_run"
AZIMUTHS_DEG = [0.0, 90.0, 180.0, 270.0]


def views_of(asset: ar4d.Asset4D, num_frames: int, size: int) -> ViewGrid:
    """What four cameras around the asset see."""
    cameras, frames = ar4d.orbit(AZIMUTHS_DEG, size=size), []
    for k in range(num_frames):
        view = ar4d.render(asset.at(frame_time(k, num_frames)), cameras, background=None)
        frames.append(unpremultiply(torch.cat([view.rgb, view.alpha[..., None]], -1)))
    rgba = torch.stack(frames, dim=1)  # [V, F, S, S, 4]
    azimuths = torch.tensor(AZIMUTHS_DEG)
    return ViewGrid(rgba, azimuths, torch.zeros_like(azimuths), torch.ones(rgba.shape[:2]))


def main(settings: Settings = ar4d.presets.CPU, num_frames: int = 4) -> None:
    run = ar4d.Run.open(RUN)
    clip = ar4d.load_clip(
        RUN / "input", ar4d.ClipSettings(num_frames=num_frames, framing="keep"), settings.size
    )
    grid = views_of(run.asset(), num_frames, settings.size)
    asset = ar4d.lift(clip, settings, experts={"clip_to_views": PlayedViews(grid)})
    print(f"{asset.num_frames} frames, with true views from {AZIMUTHS_DEG[1:]} degrees")


if __name__ == "__main__":
    main()
