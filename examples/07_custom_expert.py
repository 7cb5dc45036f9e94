"""An expert of your own lifts the first frame: here every pixel becomes a Gaussian on a flat card."""

from pathlib import Path

import torch
from torch import Tensor

import ar4d
from ar4d.cameras import RADIUS, intrinsics
from ar4d.settings import Settings

CLIP = Path(__file__).parents[1] / "assets" / "examples" / "fish.mp4"


class Card:
    """`ImageToGaussians`: the picture on a card through the origin that faces the reference camera."""

    name = "card"

    def lift(self, rgba: Tensor, budget: int, elevation_deg: float = 0.0) -> ar4d.Gaussians:
        size = rgba.shape[0]
        stride = max(1, round((float((rgba[..., 3] > 0.5).sum()) / budget) ** 0.5))
        picture = rgba[::stride, ::stride]
        ys, xs = torch.nonzero(picture[..., 3] > 0.5, as_tuple=True)
        K = intrinsics(size)
        pixel = RADIUS / float(K[0, 0])  # world units per pixel at the origin
        centers = torch.stack([xs, ys], -1) * stride + stride / 2 - size / 2
        means = torch.stack([centers[:, 0], -centers[:, 1], torch.zeros(len(xs))], -1) * pixel
        return ar4d.Gaussians(
            means=means,
            quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(len(means), 1),
            scales=torch.tensor([[1.0, 1, 0.2]]).repeat(len(means), 1) * 0.6 * stride * pixel,
            opacities=torch.full((len(means),), 0.9),
            colors=picture[ys, xs, :3],
        )


def main(settings: Settings = ar4d.presets.CPU, num_frames: int = 6) -> None:
    clip = ar4d.load_clip(CLIP, ar4d.ClipSettings(num_frames=num_frames), settings.size)
    asset = ar4d.lift(clip, settings, experts={"image_to_gaussians": Card()})
    print(f"{len(asset.at(0.0))} Gaussians, from a card")


if __name__ == "__main__":
    main()
