"""A surface that moves: made once, carried through the clip by the Gaussians around it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ar4d.asset import Asset4D
from ar4d.errors import UserError
from ar4d.formats import paths, readme, timeline
from ar4d.formats.mesh.glb import encode_glb
from ar4d.formats.mesh.motion import Attachment
from ar4d.formats.mesh.surface import AnimatedSurface, Surface, extract
from ar4d.formats.mesh.texture import textured
from ar4d.formats.mesh.usd import write_mesh
from ar4d.formats.progress import track
from ar4d.formats.usd import SUFFIX as USD_SUFFIX
from ar4d.formats.usd import new_stage
from ar4d.gaussians import Gaussians

MIN_RESOLUTION, MAX_RESOLUTION = 16, 256
RESOLUTION, TEXTURED_RESOLUTION = 128, 64  # a texture carries the detail that vertices carry otherwise
MIN_TEXTURE, MAX_TEXTURE = 64, 4096
Colors = Literal["vertex", "vertex-8bit", "texture"]

GLB_VALUES = """\
The colours hold the light of the clip: the material is unlit."""
USD_VALUES = """\
Colours are the primvar displayColor, linear light; they hold the light of the clip."""


@dataclass(frozen=True)
class MeshOptions:
    """What the mesh is made from."""

    time: float = 0.0
    """The moment in [0, 1] whose surface and colours the mesh takes. Best is one where the parts
    that move apart are apart: what touches here stays joined."""

    animated: bool = True
    """The vertices follow the clip; otherwise the mesh stands still at `time`."""

    num_frames: int | None = None
    """Keys of the animation, evenly spaced in time; the clip's own number of frames if not given."""

    resolution: int | None = None
    """Cells along the object's longest side; doubling it makes four times as many triangles. If not given:
    128, or 64 under a texture."""


@dataclass(frozen=True)
class GlbOptions(MeshOptions):
    """What a GLB mesh holds."""

    colors: Colors = "vertex"
    """vertex: 16 bits for each vertex; vertex-8bit: 8 bits, which also survive trimesh 5.2's loading and
    writing again; texture: a picture that is finer than the triangles, and a UV map."""

    texture_size: int = 1024
    """Width and height of the texture in pixels."""

    quantize: bool = False
    """16-bit positions and morph targets (KHR_mesh_quantization): about a third smaller, exact to a
    thirty-thousandth of the object, for programs that know this extension."""


def export_glb(asset: Asset4D, out: Path, options: GlbOptions) -> list[Path]:
    """Writes the surface as a GLB; morph targets carry it through the clip.

    Every frame has the same triangles, so that programs can sculpt, paint and retime it. Colours
    are those of `time` throughout.
    """
    if options.colors not in get_args(Colors):
        raise UserError(f'There are no colors "{options.colors}"; choose {", ".join(get_args(Colors))}.')
    if not MIN_TEXTURE <= options.texture_size <= MAX_TEXTURE:
        raise UserError(
            f"A texture of {options.texture_size} pixels is out of range; "
            f"choose {MIN_TEXTURE} to {MAX_TEXTURE}."
        )
    paths.single_file(out, ".glb")
    has_texture = options.colors == "texture"
    surface, rest = _surface(asset, options, TEXTURED_RESOLUTION if has_texture else RESOLUTION)
    if has_texture:
        surface = textured(surface, rest, options.texture_size)
    moving = _animated(asset, surface, rest, options)
    bits = 8 if options.colors == "vertex-8bit" else 16
    paths.write(out, encode_glb(moving, color_bits=bits, quantized=options.quantize))
    text = readme.scene(asset, len(moving.positions), "A mesh from ar4d", GLB_VALUES)
    return [out, readme.write(out, text)]


def export_usd_mesh(asset: Asset4D, out: Path, options: MeshOptions) -> list[Path]:
    """Writes the surface as a USD mesh whose points vary in time."""
    paths.single_file(out, USD_SUFFIX)
    surface, rest = _surface(asset, options, RESOLUTION)
    moving = _animated(asset, surface, rest, options)
    with new_stage(asset, out, len(moving.positions)) as stage:
        write_mesh(stage, moving)
    text = readme.scene(asset, len(moving.positions), "A mesh from ar4d", USD_VALUES)
    return [out, readme.write(out, text)]


def _surface(asset: Asset4D, options: MeshOptions, default: int) -> tuple[Surface, Gaussians]:
    resolution = default if options.resolution is None else options.resolution
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise UserError(
            f"A resolution of {resolution} cells is out of range;"
            f" choose one from {MIN_RESOLUTION} to {MAX_RESOLUTION}."
        )
    rest = timeline.evaluate(asset, options.time)
    return extract(rest, resolution), rest


def _animated(asset: Asset4D, surface: Surface, rest: Gaussians, options: MeshOptions) -> AnimatedSurface:
    if not options.animated:
        return AnimatedSurface(surface, surface.vertices[None], np.zeros(1))
    attachment = Attachment(surface.vertices, rest)
    times = timeline.evenly_spaced(asset, options.num_frames)
    moments = track(times, len(times), "Moving the mesh")
    positions = np.stack([attachment.follow(timeline.evaluate(asset, t)) for t in moments])
    return AnimatedSurface(surface, positions, np.array(times) * timeline.duration(asset))
