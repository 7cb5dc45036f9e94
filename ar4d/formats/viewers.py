"""Which way up other programs take a splat file to be.

The files have no field that says which axis points up, and programs disagree: editors of captured scenes
expect a file with -y up, as cameras see the world, and turn it by 180° about z when they load it; others
show the coordinates as they are. Both then look at the object from +z, so that it faces the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ar4d.errors import UserError

Up = Literal["y", "-y"]
ViewerName = Literal["supersplat", "three", "spark", "viser", "adobe-spz"]


@dataclass(frozen=True)
class Viewer:
    """A program that shows splat files."""

    title: str
    up: Up
    """What must be up in a file so that it stands upright there; the same for all splat formats."""


VIEWERS: dict[ViewerName, Viewer] = {
    "supersplat": Viewer("SuperSplat and PlayCanvas' viewer", "-y"),
    "three": Viewer("three.js", "y"),
    "spark": Viewer("Spark", "y"),
    "viser": Viewer("viser", "y"),
    "adobe-spz": Viewer("Adobe's SPZ tools", "y"),
}


def up_for(viewer: str | None, up: str | None) -> Up:
    """Which way is up in a file that is made for a viewer, or that was asked for by its axis; else y.

    Raises:
        UserError: there is no such viewer or axis, or the two contradict each other.
    """
    if up is not None and up not in get_args(Up):
        raise UserError(f'There is no up "{up}"; choose y or -y.')
    if viewer is None:
        return up or "y"  # pyright: ignore[reportReturnType] (checked above)
    if viewer not in VIEWERS:
        raise UserError(f'There is no viewer "{viewer}"; choose one of: {", ".join(VIEWERS)}.')
    wanted = VIEWERS[viewer].up
    if up not in (None, wanted):
        raise UserError(
            f"A file for {VIEWERS[viewer].title} has {wanted} up, not {up}; give only one of the two."
        )
    return wanted
