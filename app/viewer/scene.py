"""The viser server behind a viewer, and the few nodes of its scene.

The server holds no frame: what a visitor sees at which time is between that visitor's browser and
the viewer (protocol.py), so that nobody scrubs for anybody else. The nodes below are the empty
places that each browser fills for itself (web/bridge.js knows them by these names).
"""

from __future__ import annotations

import math

import numpy as np
import rich
import viser

from app.viewer.splats import WORLD_SCALE
from ar4d.cameras import FOV_Y_DEG, RADIUS

SPLATS = ("/left", "/right")  # the right one is for comparing two stages
REFERENCE = "/reference"  # the clip's camera with its frame


def start_server() -> viser.ViserServer:
    """A viser server on a free port of this machine, with the empty scene."""
    rich.get_console().quiet = True  # viser announces every start and stop there; a page has hundreds
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    server.scene.set_up_direction("+y")
    server.scene.world_axes.visible = False
    server.gui.configure_theme(show_logo=False, show_share_button=False)

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
    return server


def place_reference(server: viser.ViserServer, elevation_deg: float) -> None:
    """Puts the clip's camera, and with it the first look of a visitor, at an elevation."""
    elevation = math.radians(elevation_deg)
    position = (0.0, RADIUS * math.sin(elevation), RADIUS * math.cos(elevation))
    server.initial_camera.position = position
    frustum = server.scene.get_handle_by_name(REFERENCE)
    assert frustum is not None
    half = (math.pi - elevation) / 2  # a turn about x to OpenCV's axes: y down, z into the scene
    frustum.wxyz = (math.cos(half), math.sin(half), 0.0, 0.0)
    frustum.position = position
