"""A web page that plays the asset: one HTML file, opened from disk, without a network."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ar4d.asset import Asset4D
from ar4d.cameras import FOV_Y_DEG, RADIUS
from ar4d.formats import paths, timeline
from ar4d.gaussians import Gaussians, rotation_matrices

if TYPE_CHECKING:
    import viser

# The page stores covariances as 16-bit floats, whose steps are coarse below a standard deviation of
# about 1e-3: it holds the scene enlarged and shrinks it again when it draws.
ENLARGEMENT = 16.0
# Positions are rounded to 1/8192, a twentieth of a pixel at 512², which makes the file smaller.
STEPS = 8192.0
PAGE_TITLE = "<title>Viser</title>"
# viser sorts its splats in a module worker that it starts from a blob. Browsers refuse that to a page
# opened from disk or in a sandbox, and without a word the splats stay in the order of the file. Told
# at once that a blob will not do, viser's page starts the same worker from a data address instead.
SORTER_FROM_DISK = """<script>
if (origin === "null") {
  window.Worker = class extends Worker {
    constructor(address, options) {
      if (String(address).startsWith("blob:")) throw new Error("no workers from blobs here");
      super(address, options);
    }
  };
}
</script>"""


@dataclass(frozen=True)
class PlayerOptions:
    """What the page holds."""

    num_frames: int | None = None
    """Frames, evenly spaced in time; the clip's own number if not given. More play smoother and
    make the page larger in proportion."""

    elevation_deg: float = 0.0
    """Of the camera of the clip, where the page starts; positive is above."""

    title: str = "ar4d"
    """The title of the page."""

    dark: bool = False
    """A dark page."""


def export_player(asset: Asset4D, out: Path, options: PlayerOptions) -> list[Path]:
    """Writes a page with play, scrubbing, speed and loop; the first camera is that of the clip."""
    paths.single_file(out, ".html")
    times = timeline.evenly_spaced(asset, options.num_frames)
    buffers = [pack(timeline.evaluate(asset, t)) for t in times]
    page = _page(buffers, timeline.duration(asset) / max(len(times) - 1, 1), options)
    page = page.replace(PAGE_TITLE, f"<title>{html.escape(options.title)}</title>{SORTER_FROM_DISK}", 1)
    return [paths.write(out, page.encode())]


def pack(gaussians: Gaussians) -> np.ndarray:
    """The bytes that viser's page draws: [N, 8] uint32.

    0..2 the centre as three floats, 3 unused, 4..6 the upper triangle of the covariance as six half
    floats, 7 RGBA with red in the lowest byte. Lengths are `ENLARGEMENT` times the asset's.
    """
    g = gaussians.to("cpu").map(torch.Tensor.float)
    factors = rotation_matrices(g.quats) * (g.scales * ENLARGEMENT)[:, None, :]  # [N, 3, 3]
    covariances = (factors @ factors.mT).flatten(1)[:, [0, 1, 2, 4, 5, 8]]
    centers = (g.means * STEPS).round() * (ENLARGEMENT / STEPS)
    rgba = torch.cat([g.colors, g.opacities[:, None]], dim=1).clamp(0, 1) * 255
    buffer = np.zeros((len(g), 8), np.uint32)
    buffer[:, 0:3] = centers.numpy().view(np.uint32)
    buffer[:, 4:7] = covariances.half().numpy().view(np.uint32)
    buffer[:, 7:8] = rgba.round().byte().numpy().view(np.uint32)
    return buffer


def _page(buffers: list[np.ndarray], seconds_per_frame: float, options: PlayerOptions) -> str:
    """Records the frames with a viser server that nobody connects to, and returns its page."""
    elevation = math.radians(options.elevation_deg)
    with _server() as server:
        server.scene.set_up_direction("+y")
        server.initial_camera.position = (0.0, RADIUS * math.sin(elevation), RADIUS * math.cos(elevation))
        server.initial_camera.look_at = (0.0, 0.0, 0.0)
        server.initial_camera.fov = math.radians(FOV_Y_DEG)
        one = np.zeros((1, 3))
        splats = server.scene.add_gaussian_splats(
            "/asset", centers=one, covariances=np.eye(3)[None], rgbs=one, opacities=one[:, :1],
            scale=1 / ENLARGEMENT,
        )  # fmt: skip
        splats.buffer = buffers[0]
        recording = server.get_scene_serializer()
        for buffer in buffers:
            splats.buffer = buffer
            recording.insert_sleep(seconds_per_frame)
        return recording.as_html(dark_mode=options.dark)


@contextmanager
def _server() -> Iterator[viser.ViserServer]:
    """A server whose comings and goings are not printed (its own `verbose` leaves two lines)."""
    import rich
    import viser  # takes half a second, and only this export needs it

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
