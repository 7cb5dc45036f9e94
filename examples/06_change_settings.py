"""Every setting can be changed: the paper's ablation of progressive view sampling on one clip."""

from dataclasses import replace
from pathlib import Path

import ar4d
from ar4d.settings import Settings

CLIP = Path(__file__).parents[1] / "assets" / "examples" / "fish.mp4"


def main(settings: Settings = ar4d.presets.CPU, num_frames: int = 6) -> None:
    clip = ar4d.load_clip(CLIP, ar4d.ClipSettings(num_frames=num_frames), settings.size)
    without = replace(settings, generate=replace(settings.generate, progressive_views=False))
    behind = ar4d.orbit(180.0, size=settings.size)
    for name, values in {"with pseudo-views": settings, "without": without}.items():
        asset = ar4d.lift(clip, values)
        alpha = ar4d.render(asset.at(1.0), behind).alpha
        print(f"{name}: from behind, {(alpha > 0.5).float().mean():.1%} of the picture is solid")


if __name__ == "__main__":
    main()
