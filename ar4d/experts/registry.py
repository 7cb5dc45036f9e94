"""Which experts this machine can run, in order of preference, and what they ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ar4d import plugins
from ar4d.errors import UserError
from ar4d.events import Role
from ar4d.experts.depth import INDOOR, OUTDOOR, DepthLift
from ar4d.experts.embedded import Embedded, EmbeddedViews
from ar4d.experts.embedded.expert import LICENCE as EMBEDDED_LICENCE
from ar4d.experts.grid import GridExpert
from ar4d.experts.imagedream import ImageDream, ImageDreamLGM
from ar4d.experts.lgm import LGM
from ar4d.experts.lgm.expert import GPU_GIB as LGM_GPU_GIB
from ar4d.experts.lgm.expert import WEIGHTS as LGM_WEIGHTS
from ar4d.experts.protocols import Unavailable
from ar4d.experts.silhouette import Silhouette
from ar4d.experts.splatt3r import LICENCE as SPLATT3R_LICENCE
from ar4d.experts.splatt3r import WEIGHTS as SPLATT3R_WEIGHTS
from ar4d.experts.splatt3r import Splatt3r
from ar4d.experts.star import Star4D
from ar4d.experts.sv4d2 import SV4D2, SV4D2_8VIEWS, Sv4d2
from ar4d.experts.sv4d2 import memory as sv4d2_memory
from ar4d.experts.sv4d2.config import LICENCE as SV4D2_LICENCE
from ar4d.experts.wan import WAN_2_1_SMALL, WAN_2_2, Wan
from ar4d.experts.wan.memory import least_gib
from ar4d.weights import licences
from ar4d.weights.release import Release, locate


@dataclass(frozen=True)
class Entry:
    """An expert as the registry knows it, before anything is loaded."""

    name: str
    roles: tuple[Role, ...]
    summary: str
    """One line: what it does."""
    check: Callable[[torch.device], Unavailable | None]
    """Why it cannot run on a device, or None if it can."""
    build: Callable[[torch.device], Any]
    """Makes the expert: an object with the methods of its roles (see `protocols`)."""
    releases: tuple[Release, ...] = ()
    """What it needs of the model hub."""
    gpu_gib: float = 0.0
    """GPU memory that has to be free; 0: it runs on the CPU as well."""
    acceptance: str | None = None
    """The licence that a user has to accept before it is used; None if there is none."""
    own_licence: str = "the project's own"
    """Licence of the bundled files."""

    def why_unavailable(self, device: torch.device) -> Unavailable | None:
        """Why it cannot run on a device, or None if it can.

        The licence is checked last, so that users accept one only for an expert that can run.
        """
        unavailable = self.check(device)
        if unavailable is None and self.acceptance is not None and not licences.is_accepted(self.name):
            return Unavailable(licences.refusal(self.name, self.acceptance))
        return unavailable

    @property
    def needs(self) -> str:
        return f"GPU, {math.ceil(self.gpu_gib)} GiB free" if self.gpu_gib else "CPU or GPU"

    @property
    def download(self) -> str:
        """Size of what it needs of the hub, and whether that is here already."""
        if not self.releases:
            return "none"
        here = all(locate(release) is not None for release in self.releases)
        return f"{sum(release.gib for release in self.releases):.1f} GiB{', here' if here else ''}"

    @property
    def licence(self) -> str:
        names = dict.fromkeys(release.licence for release in self.releases)
        licence = " + ".join(names) or self.acceptance or self.own_licence
        return f"{licence}, to be accepted" if self.acceptance else licence


ENTRIES = (
    Entry(
        name="imagedream-lgm",
        roles=("image_to_gaussians",),
        summary="the paper's: imagines four views of a picture and reconstructs them",
        check=ImageDreamLGM.available,
        build=ImageDreamLGM.load,
        releases=(ImageDream.release, LGM_WEIGHTS),
        gpu_gib=ImageDreamLGM.gpu_gib,
    ),
    Entry(
        name="lgm",
        roles=("views_to_gaussians",),
        summary="the paper's: reconstructs four views",
        check=LGM.available,
        build=LGM.load,
        releases=(LGM_WEIGHTS,),
        gpu_gib=LGM_GPU_GIB,
    ),
    Entry(
        name="embedded",
        roles=("image_to_gaussians", "views_to_gaussians"),
        summary="a small network that comes with the program; guesses the unseen side from one view",
        check=Embedded.available,
        build=Embedded.load,
        own_licence=EMBEDDED_LICENCE,
    ),
    Entry(
        name="silhouette",
        roles=("image_to_gaussians", "views_to_gaussians"),
        summary="inflates the outline into a closed body; knows nothing of the unseen side",
        check=lambda device: None,
        build=lambda device: Silhouette(),
    ),
    Entry(
        name="splatt3r",
        roles=("scene_to_gaussians",),
        summary="the paper's for scenes: Gaussians for every pixel; half a minute a frame on a CPU",
        check=Splatt3r.available,
        build=Splatt3r.load,
        releases=(SPLATT3R_WEIGHTS,),
        acceptance=SPLATT3R_LICENCE,
    ),
    Entry(
        name="depth-indoor",
        roles=("scene_to_gaussians",),
        summary="lifts a scene by Depth Anything V2 (metric, small; trained on rooms)",
        check=partial(DepthLift.available, INDOOR),
        build=partial(DepthLift.load, INDOOR),
        releases=(INDOOR,),
    ),
    Entry(
        name="depth-outdoor",
        roles=("scene_to_gaussians",),
        summary="the same, trained on streets",
        check=partial(DepthLift.available, OUTDOOR),
        build=partial(DepthLift.load, OUTDOOR),
        releases=(OUTDOOR,),
    ),
    Entry(
        name="sv4d2",
        roles=("clip_to_views",),
        summary="SV4D 2.0: draws a clip from four other sides, 12 frames at a time; 10 GiB free are faster",
        check=partial(Sv4d2.available, SV4D2),
        build=partial(Sv4d2.load, SV4D2, azimuths_deg=SV4D2.orthogonal_deg),
        releases=(SV4D2.release,),
        gpu_gib=sv4d2_memory.least_gib(SV4D2.name),
        acceptance=SV4D2_LICENCE,
    ),
    Entry(
        name="sv4d2-8views",
        roles=("clip_to_views",),
        summary="the same from eight sides, 5 frames at a time",
        check=partial(Sv4d2.available, SV4D2_8VIEWS),
        build=partial(Sv4d2.load, SV4D2_8VIEWS, azimuths_deg=SV4D2_8VIEWS.orthogonal_deg),
        releases=(SV4D2_8VIEWS.release,),
        gpu_gib=sv4d2_memory.least_gib(SV4D2_8VIEWS.name),
        acceptance=SV4D2_LICENCE,
    ),
    Entry(
        name="embedded-views",
        roles=("clip_to_views",),
        summary="a clip from four sides as the embedded network guesses each of its frames",
        check=EmbeddedViews.available,
        build=EmbeddedViews.load,
        own_licence=EMBEDDED_LICENCE,
    ),
    Entry(
        name="grid",
        roles=("clip_to_views",),
        summary="after 4Real-Video: refines these guesses over all views and times at once; a small network",
        check=GridExpert.available,
        build=GridExpert.load,
        own_licence=EMBEDDED_LICENCE,
    ),
    Entry(
        name="star",
        roles=("clip_to_gaussians",),
        summary="experimental, after 4DSTAR: predicts a clip's Gaussians frame by frame, coarsely",
        check=Star4D.available,
        build=Star4D.load,
        own_licence=EMBEDDED_LICENCE,
    ),
    Entry(
        name="wan-2.2",
        roles=("text_to_video", "text_to_image", "image_to_video"),
        summary="makes a clip, 1280×704 at 24 fps, of a prompt or a picture; 24 GiB free are faster",
        check=partial(Wan.available, WAN_2_2),
        build=partial(Wan.load, WAN_2_2),
        releases=(WAN_2_2.release,),
        gpu_gib=least_gib(WAN_2_2.name),
    ),
    Entry(
        name="wan-2.1-small",
        roles=("text_to_video", "text_to_image"),
        summary="makes a clip, 832×480 at 16 fps, of a prompt; for small GPUs",
        check=partial(Wan.available, WAN_2_1_SMALL),
        build=partial(Wan.load, WAN_2_1_SMALL),
        releases=(WAN_2_1_SMALL.release,),
        gpu_gib=least_gib(WAN_2_1_SMALL.name),
    ),
)


_registered: dict[str, Entry] = {}


def register(entry: Entry) -> None:
    """Adds an expert for this process; it is preferred to the program's own."""
    _registered[entry.name] = entry


def entries() -> tuple[Entry, ...]:
    """All experts in order of preference: registered, of installed packages (`ar4d.experts`), built-in."""
    return (*_registered.values(), *installed().objects, *ENTRIES)


def installed() -> plugins.Plugins:
    """What installed packages bring, and what they fail to bring."""
    return plugins.load("ar4d.experts", Entry)


def require(role: Role, name: str, device: torch.device) -> tuple[Entry, str]:
    """The expert called `name`, or for "auto" the first that can run, and why it is that one.

    Raises:
        UserError: there is no such expert for this role, or it cannot run on this machine.
    """
    candidates = of_role(role)
    if name != "auto":
        candidates = [entry for entry in candidates if entry.name == name]
        if not candidates:
            known = ["auto", *(entry.name for entry in of_role(role))]
            raise UserError(plugins.unknown(f'expert "{name}" for {role}', known, installed().failures))
    refusals = []
    for entry in candidates:
        unavailable = entry.why_unavailable(device)
        if unavailable is None:
            chosen = "asked for by name" if name != "auto" else "the best that runs here"
            return entry, "; ".join([chosen, *refusals])
        refusals.append(unavailable.reason)
    raise UserError(f'The expert "{name}" cannot run here. {" ".join(refusals)}')


def available_after(role: Role, name: str, device: torch.device) -> Iterator[Entry]:
    """The experts of a role that come after the one called `name` and can run: what is left without it."""
    candidates = of_role(role)
    place = [entry.name for entry in candidates].index(name)
    return (entry for entry in candidates[place + 1 :] if entry.why_unavailable(device) is None)


def of_role(role: Role) -> list[Entry]:
    """All experts of a role, the best first."""
    return [entry for entry in entries() if role in entry.roles]


def named(name: str) -> Entry:
    """The expert called `name`, whatever its role.

    Raises:
        UserError: there is none.
    """
    for entry in entries():
        if entry.name == name:
            return entry
    known = [entry.name for entry in entries()]
    raise UserError(plugins.unknown(f'expert "{name}"', known, installed().failures))
