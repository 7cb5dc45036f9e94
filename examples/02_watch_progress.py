"""Everything that happens in a run is an event: print each frame as it is finished."""

from pathlib import Path

import ar4d
from ar4d.events import Event, Finished, FrameFinished, Planned
from ar4d.settings import Settings

CLIP = Path(__file__).parents[1] / "assets" / "examples" / "fish.mp4"


def show(event: Event) -> None:
    match event:
        case Planned():
            print("stages:", ", ".join(f"{stage.title} ({stage.steps} steps)" for stage in event.stages))
        case FrameFinished():
            print(f"frame {event.frame_index}: {event.psnr:.1f} dB after {event.seconds:.1f} s")
        case Finished():
            print(f"asset: {sum(event.psnr) / len(event.psnr):.1f} dB at the clip's own view")


def main(settings: Settings = ar4d.presets.CPU, num_frames: int = 12) -> None:
    clip = ar4d.load_clip(CLIP, ar4d.ClipSettings(num_frames=num_frames), settings.size)
    ar4d.lift(clip, settings, on_event=show)


if __name__ == "__main__":
    main()
