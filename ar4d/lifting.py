"""The front door: a clip becomes a 4D asset, by whichever engine the settings name."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from ar4d.asset import Asset4D
from ar4d.clip import Clip, ClipSettings, load_clip
from ar4d.devices import resolve_device
from ar4d.engines.base import Experts
from ar4d.engines.registry import engine_of
from ar4d.events import Event, Planned, drain
from ar4d.gaussians import Gaussians
from ar4d.presets import default_for
from ar4d.settings import EngineSettings, validated


def lift(
    clip: Clip | str | Path,
    settings: EngineSettings | None = None,
    *,
    on_event: Callable[[Event], object] | None = None,
    experts: Experts | None = None,
) -> Asset4D:
    """Turns a clip into a 4D asset.

    Args:
        clip: a clip, or the path of a video, a picture or a folder of pictures.
        settings: a preset's, changed or not; by default those of the preset for this machine.
        on_event: called with every event as it happens (see `ar4d.events`).
        experts: experts given as objects, by role (see `ar4d.experts.protocols`).

    Returns:
        Gaussians that move: `asset.at(t)` for t in [0, 1].

    Raises:
        UserError: the clip cannot be read, an expert or the device is unavailable, or memory runs out.
    """
    settings = settings or default_for(resolve_device("auto").type).settings
    if not isinstance(clip, Clip):
        clip = load_clip(Path(clip), ClipSettings(), settings.size)
    return drain(lift_events(clip, settings, experts=experts), on_event or (lambda event: None))


def lift_events(
    clip: Clip,
    settings: EngineSettings,
    finished: Sequence[Gaussians] = (),
    experts: Experts | None = None,
) -> Generator[Event, None, Asset4D]:
    """Turns a clip into a 4D asset, as a stream of events.

    Args:
        clip: the frames, at `settings.size`.
        settings: a preset's, changed or not.
        finished: frames of an interrupted run of the same clip and settings: the first ones of
            `clip.order`. The rest is bit for bit what the undisturbed run would have made.
        experts: experts given as objects, by role.

    Yields:
        Events: first the plan, last `Finished` with the asset.

    Raises:
        UserError: as `lift`.
    """
    engine, settings = engine_of(settings), validated(settings)
    yield Planned(engine.plan(settings, clip.num_frames, tuple(experts or ())))
    return (yield from engine.run(clip, settings, finished, experts or {}))


def check(settings: EngineSettings, experts: Experts | None = None) -> None:
    """Finds out at once what `lift` would only find out later.

    Raises:
        UserError: an expert or the device asked for is unavailable.
    """
    engine_of(settings).check(validated(settings), experts or {})
