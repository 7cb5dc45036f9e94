"""The viser server behind a viewer, and the nodes of its scene.

The server holds no frame: each browser asks the viewer for its own time (protocol.py), so that visitors
do not disturb each other. The nodes below are empty, and each browser fills them (web/bridge.js knows
their names).
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
    """Starts a viser server with the empty scene on a free port of this machine."""
    rich.get_console().quiet = True  # viser prints every start and stop there
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
    """Places the clip's camera, and the visitors' initial camera, at an elevation in degrees."""
    elevation = math.radians(elevation_deg)
    position = (0.0, RADIUS * math.sin(elevation), RADIUS * math.cos(elevation))
    server.initial_camera.position = position
    frustum = server.scene.get_handle_by_name(REFERENCE)
    assert frustum is not None
    half = (math.pi - elevation) / 2  # a rotation about x to OpenCV's axes: y down, z into the scene
    frustum.wxyz = (math.cos(half), math.sin(half), 0.0, 0.0)
    frustum.position = position
