"""Render the moving object from a camera of your own, along a path and through time at once."""

from pathlib import Path

import numpy as np
from PIL import Image

import ar4d
from ar4d.images import to_uint8

ASSET = Path(__file__).parents[1] / "assets" / "example_run" / "refined.safetensors"


def main(out: Path = Path("runs/examples/03"), steps: int = 36, size: int = 256) -> None:
    asset = ar4d.load_asset(ASSET)
    out.mkdir(parents=True, exist_ok=True)
    for k in range(steps):
        azimuth, elevation = 360 * k / steps, 20 * np.sin(2 * np.pi * k / steps)
        camera = ar4d.orbit(azimuth, elevation, size=size)
        view = ar4d.render(asset.at(k / max(steps - 1, 1)), camera)
        Image.fromarray(to_uint8(view.rgb[0])).save(out / f"{k:04d}.png")
    print(f"{steps} pictures in {out}")


if __name__ == "__main__":
    main()
