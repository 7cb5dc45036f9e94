"""The README.txt that goes with exported geometry: axes, time, values, and where it stands upright."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ar4d.asset import Asset4D
from ar4d.formats import paths, timeline
from ar4d.formats.viewers import VIEWERS, Up

SPLATS = """\
{what}
The same {num_gaussians} Gaussians in the same order in every frame, already deformed.
Axes: right-handed, {up} is up, the clip was seen from +z; the object lies within [-1, 1].
{viewers}
{values}
"""
STORED = """\
Values as 3D Gaussian splatting stores them: logit opacity, log scales, rotations w x y z,
rgb = 0.28209479 * f_dc + 0.5 (sRGB, as it is displayed), no view-dependent colour."""
GLTF = """\
Values as KHR_gaussian_splatting has them: opacity in 0..1, linear scales, rotations x y z w,
rgb = 0.28209479 * SH_DEGREE_0_COEF_0 + 0.5 (sRGB, as it is displayed)."""
USD = """\
Values as UsdVol.ParticleField3DGaussianSplat has them: opacity in 0..1, linear scales,
rgb = 0.28209479 * the harmonics of degree 0 + 0.5 (sRGB, as it is displayed)."""
SCENE = """\
{what}
Axes: right-handed, y is up, the clip was seen from +z; the object lies within [-1, 1].
Programs that read this format know these axes; it stands upright in all of them.
{values}
"""


def write(out: Path, text: str) -> Path:
    """Writes the text into the folder `out`, or beside the file `out`; returns its path."""
    path = out / "README.txt" if out.is_dir() else out.with_name(f"{out.name}.README.txt")
    return paths.write(path, text.encode())


def splats(asset: Asset4D, times: Sequence[float], num_gaussians: int, suffix: str, up: Up) -> str:
    """The text for splat files at `times`."""
    what = f"{len(times)} splat files from ar4d, one per frame, {_rate(asset, len(times))}"
    if len(times) == 1:
        what = f"One splat file from ar4d, at the time {times[0]:g} of a clip that lasts from 0 to 1."
    is_gltf = suffix.endswith(".glb")
    values = GLTF if is_gltf else STORED
    viewers = "glTF has y up by definition: it stands upright everywhere." if is_gltf else _viewers(up)
    return SPLATS.format(what=what, num_gaussians=num_gaussians, up=up, viewers=viewers, values=values)


def scene(asset: Asset4D, num_frames: int, what: str, values: str) -> str:
    """The text for one file of a format that fixes its axes."""
    if num_frames > 1:
        what = f"{what}, {num_frames} frames, {_rate(asset, num_frames)}"
    return SCENE.format(what=f"{what}", values=values)


def _rate(asset: Asset4D, num_frames: int) -> str:
    seconds = timeline.duration(asset)
    return f"{max(num_frames - 1, 1) / seconds:g} frames a second ({seconds:.3g} s in all)."


def _viewers(up: Up) -> str:
    upright = [viewer.title for viewer in VIEWERS.values() if viewer.up == up]
    turned = {name: viewer.title for name, viewer in VIEWERS.items() if viewer.up != up}
    return (
        f"Upright in: {', '.join(upright)}.\n"
        f"Upside down in: {', '.join(turned.values())}; for those, export with --for {next(iter(turned))}."
    )
