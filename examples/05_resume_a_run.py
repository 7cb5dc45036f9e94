"""A run in a folder can be stopped at any time; it continues from its last whole frame."""

from pathlib import Path

import ar4d
from ar4d.events import FrameFinished
from ar4d.runs import Recipe
from ar4d.settings import Settings

CLIP = Path(__file__).parents[1] / "assets" / "examples" / "fish.mp4"


def main(
    out: Path = Path("runs/examples/05"), settings: Settings = ar4d.presets.CPU, num_frames: int = 6
) -> None:
    clip_settings = ar4d.ClipSettings(num_frames=num_frames)
    clip = ar4d.load_clip(CLIP, clip_settings, settings.size)
    run = ar4d.Run.create(out, Recipe(str(CLIP), clip_settings, settings), clip)

    stream = run.work()
    for event in stream:
        if isinstance(event, FrameFinished) and event.frame_index == 1:
            stream.close()  # the same as Ctrl-C
    print(f"{run.status}: {run.num_finished} of {num_frames} frames are finished")

    run = ar4d.Run.open(out)
    for _ in run.work():
        pass
    print(f"{run.status}: {run.asset().num_frames} frames")


if __name__ == "__main__":
    main()
