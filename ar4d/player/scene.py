"""The empty scene that viser's client shows; each browser fills its nodes (web/bridge.js names them)."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ar4d.cameras import FOV_Y_DEG, RADIUS
from ar4d.player.packing import WORLD_SCALE

if TYPE_CHECKING:
    import viser

SPLATS = ("/left", "/right")  # the right one is for comparing two stages
REFERENCE = "/reference"  # the clip's camera with its frame
FLOOR = "/floor"  # a grid under the object, hidden until a visitor asks for it


@cache
def empty_scene() -> str:
    """viser's serialized scene in base64, as its client reads it from a page without a server."""
    with _silent_server() as server:
        build(server)
        return base64.b64encode(server.get_scene_serializer().serialize()).decode("ascii")


def build(server: viser.ViserServer) -> None:
    """Adds the nodes, and the camera's first pose."""
    server.scene.set_up_direction("+y")
    server.scene.world_axes.visible = False
    server.initial_camera.position = (0.0, 0.0, RADIUS)
    server.initial_camera.look_at = (0.0, 0.0, 0.0)
    server.initial_camera.fov = math.radians(FOV_Y_DEG)
    for name in SPLATS:
        nothing = np.zeros((1, 3))
        server.scene.add_gaussian_splats(
            name, nothing, np.zeros((1, 3, 3)), nothing, np.zeros((1, 1)), scale=1 / WORLD_SCALE
        )
    server.scene.add_camera_frustum(
        REFERENCE,
        fov=math.radians(FOV_Y_DEG),
        aspect=1.0,
        scale=0.15,
        thickness=1.5,
        thickness_units="screen",
        color=(140, 140, 150),
        visible=False,
    )
    lines = (150, 150, 160)
    server.scene.add_grid(
        FLOOR,
        width=4.0,
        height=4.0,
        plane="xz",
        cell_size=0.1,
        cell_color=lines,
        cell_thickness=0.6,
        section_size=0.5,
        section_color=lines,
        fade_distance=4.0,
        fade_from="origin",
        shadow_opacity=0.0,
        visible=False,
    )


@contextmanager
def _silent_server() -> Iterator[viser.ViserServer]:
    """A server whose start and end are not printed (its own `verbose` leaves two lines)."""
    import rich
    import viser  # takes half a second

    console = rich.get_console()
    console.quiet, quiet = True, console.quiet
    try:
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        try:
            yield server
        finally:
            server.stop()
    finally:
        console.quiet = quiet
