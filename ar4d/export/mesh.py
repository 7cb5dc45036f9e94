"""A GLB for 3D programs: a vertex-coloured mesh that moves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ar4d.asset import Asset4D
from ar4d.errors import UserError
from ar4d.export import paths, timeline
from ar4d.export.glb import encode_glb
from ar4d.export.motion import Attachment
from ar4d.export.surface import extract

MIN_RESOLUTION, MAX_RESOLUTION = 16, 256


@dataclass(frozen=True)
class MeshOptions:
    """What the mesh is made from."""

    time: float = 0.0
    """The moment in [0, 1] whose surface and colours the mesh takes. Best is one where the parts
    that move apart are apart: what touches here stays joined."""

    animated: bool = True
    """Morph targets carry the mesh through the clip; otherwise it stands still at `time`."""

    num_frames: int | None = None
    """Keys of the animation, evenly spaced in time; the clip's own number of frames if not given."""

    resolution: int = 128
    """Cells along the object's longest side; doubling it makes four times as many triangles."""


def export_mesh(asset: Asset4D, out: Path, options: MeshOptions) -> list[Path]:
    """Extracts one surface and lets its vertices follow the Gaussians around them.

    Every frame has the same triangles, so that programs can sculpt, paint and retime it. Colours
    are those of `time` throughout.
    """
    if not MIN_RESOLUTION <= options.resolution <= MAX_RESOLUTION:
        raise UserError(
            f"A resolution of {options.resolution} cells is out of range;"
            f" choose one from {MIN_RESOLUTION} to {MAX_RESOLUTION}."
        )
    paths.single_file(out, ".glb")
    rest = timeline.evaluate(asset, options.time)
    surface = extract(rest, options.resolution)
    if not options.animated:
        return [paths.write(out, encode_glb(surface.vertices, surface.faces, surface.colors))]
    attachment = Attachment(surface.vertices, rest)
    times = timeline.evenly_spaced(asset, options.num_frames)
    positions = np.stack([attachment.follow(timeline.evaluate(asset, t)) for t in times])  # [F, V, 3]
    seconds = np.array(times) * timeline.duration(asset)
    return [paths.write(out, encode_glb(positions[0], surface.faces, surface.colors, positions, seconds))]
