"""AR4D: a video goes in, an animated set of 3D Gaussians comes out.

    import ar4d

    asset = ar4d.lift("clip.mp4", on_event=print)  # a 4D asset, by the preset for this machine
    gaussians = asset.at(0.5)                      # means, quats, scales, opacities, colors at t = 0.5
    view = ar4d.render(gaussians, ar4d.orbit(30.0, size=512))  # rgb, depth, alpha
    ar4d.export(asset, "html", "player.html")

Input
    load_clip, ClipSettings     a video, animation, picture or folder becomes RGBA frames
Making
    lift, lift_events           a clip becomes an asset; with all events, as a generator
    Settings, presets           every setting; named sets of them (`presets.CPU`, `presets.find`)
    Run                         the same in a folder: it can be stopped, resumed and repeated
Result
    Asset4D, load_asset         Gaussians that move, for t in [0, 1]; read from a file
    Gaussians                   one set: means, quats (wxyz), scales, opacities, colors
    Cameras, orbit, render      pinhole cameras; on an orbit around the object; what they see
    export, evaluate            files for other programs; comparison with ground-truth views
Errors
    UserError                   something the user can mend, in a sentence

World axes are right-handed with y up. The clip's camera is at azimuth 0, and the object at the origin.
Names are imported when they are first used, so that `import ar4d` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from ar4d import presets as presets
    from ar4d.asset import Asset4D as Asset4D
    from ar4d.asset import load_asset as load_asset
    from ar4d.cameras import Cameras as Cameras
    from ar4d.cameras import orbit as orbit
    from ar4d.clip import ClipSettings as ClipSettings
    from ar4d.clip import load_clip as load_clip
    from ar4d.errors import UserError as UserError
    from ar4d.evaluation import evaluate as evaluate
    from ar4d.formats import export as export
    from ar4d.gaussians import Gaussians as Gaussians
    from ar4d.lifting import lift as lift
    from ar4d.lifting import lift_events as lift_events
    from ar4d.rendering import render as render
    from ar4d.runs import Run as Run
    from ar4d.settings import Settings as Settings

_HOMES = {
    "load_clip": "ar4d.clip",
    "ClipSettings": "ar4d.clip",
    "Settings": "ar4d.settings",
    "presets": "",
    "lift": "ar4d.lifting",
    "lift_events": "ar4d.lifting",
    "Run": "ar4d.runs",
    "Asset4D": "ar4d.asset",
    "load_asset": "ar4d.asset",
    "Gaussians": "ar4d.gaussians",
    "Cameras": "ar4d.cameras",
    "orbit": "ar4d.cameras",
    "render": "ar4d.rendering",
    "export": "ar4d.formats",
    "evaluate": "ar4d.evaluation",
    "UserError": "ar4d.errors",
}

__all__ = [
    "Asset4D",
    "Cameras",
    "ClipSettings",
    "Gaussians",
    "Run",
    "Settings",
    "UserError",
    "__version__",
    "evaluate",
    "export",
    "lift",
    "lift_events",
    "load_asset",
    "load_clip",
    "orbit",
    "presets",
    "render",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ar4d' has no attribute '{name}'")
    value = import_module(f"ar4d.{name}") if home == "" else getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
