"""How many pixels a phone's GPU blends for each picture of the player: an estimate from an asset's splats.

    python -m benchmarks.overdraw [--run assets/example_run] [--width 780]

The renderer draws each splat as a quad of ±2√2 standard deviations along both axes of its ellipse, which is
widened by 0.3 square pixels: 32 √det(Σ') pixels, where Σ' is its covariance on the screen (EWA splatting,
Zwicker et al. 2001, Eq. 31). All of them are blended, one over the other. The camera stands where the clip's
stood, with the object's square as wide as the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from ar4d.asset import frame_time, load_asset
from ar4d.cameras import Cameras, orbit
from ar4d.gaussians import Gaussians, rotation_matrices

QUAD = 32.0  # area of a quad over the product of both standard deviations
WIDENED = 0.3  # square pixels
SEEN = 1 / 255  # opacity below which a splat is not drawn


@dataclass(frozen=True)
class Options:
    run: Path = Path("assets/example_run")
    """Folder of a finished run."""
    width: int = 780
    """Pixels of the screen's width: 390 points at two pixels each."""


def blended(gaussians: Gaussians, cameras: Cameras) -> float:
    """Pixels that the quads of all splats cover together."""
    seen = gaussians.opacities > SEEN
    world_to_camera, focal = cameras.viewmats[0, :3], cameras.Ks[0, 0, 0]
    x, y, z = (gaussians.means[seen] @ world_to_camera[:, :3].T + world_to_camera[:, 3]).unbind(-1)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([focal / z, zero, -focal * x / z**2, zero, focal / z, -focal * y / z**2], -1)
    axes = rotation_matrices(gaussians.quats[seen]) * gaussians.scales[seen, None, :]
    halves = jacobian.reshape(-1, 2, 3) @ world_to_camera[:, :3] @ axes
    covariances = halves @ halves.transpose(1, 2) + WIDENED * torch.eye(2)
    return float((QUAD * torch.linalg.det(covariances).sqrt()).sum())


def main(options: Options) -> None:
    asset = load_asset(options.run)
    cameras = orbit(0.0, size=options.width)
    totals = [blended(asset.at(frame_time(k, asset.num_frames)), cameras) for k in range(asset.num_frames)]
    most = max(totals)
    print(f"{len(asset.at(0.0)):,} splats, {options.width} pixels wide, {len(totals)} frames")
    print(
        f"blended pixels a picture: {sum(totals) / len(totals) / 1e6:.1f} million, at most {most / 1e6:.1f}"
    )
    print(f"{most / options.width**2:.1f} for each pixel of the square")
    print(f"{30 * most / 1e6:.0f} million blended pixels a second at 30 pictures a second")


if __name__ == "__main__":
    main(tyro.cli(Options))
