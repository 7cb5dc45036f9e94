"""A clip becomes a 4D asset, which is saved and rendered at one time from one side."""

from pathlib import Path

import ar4d
from ar4d.settings import Settings

CLIP = Path(__file__).parents[1] / "assets" / "examples" / "fish.mp4"


def main(
    out: Path = Path("runs/examples/01"), settings: Settings = ar4d.presets.CPU, num_frames: int = 12
) -> None:
    clip = ar4d.load_clip(CLIP, ar4d.ClipSettings(num_frames=num_frames), settings.size)
    asset = ar4d.lift(clip, settings)
    out.mkdir(parents=True, exist_ok=True)
    asset.save(out / "fish.safetensors")

    again = ar4d.load_asset(out / "fish.safetensors")
    view = ar4d.render(again.at(0.5), ar4d.orbit(30.0, size=256))
    print(f"{again.num_frames} frames; at t = 0.5, {view.alpha.mean():.0%} of the picture is covered")


if __name__ == "__main__":
    main()
