"""OpenUSD: moving Gaussians and moving meshes as time samples in one binary file.

The schema `ParticleField3DGaussianSplat` needs OpenUSD 26.03. Every attribute has a value of its own besides
its samples, for programs that read only one moment.
"""

# pyright: reportAttributeAccessIssue=false
# (usd-core has no type stubs)

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ar4d.asset import Asset4D
from ar4d.files import atomic
from ar4d.formats import paths, readme, timeline
from ar4d.formats.splats.stored import StoredGaussians, stored_gaussians, z_order

if TYPE_CHECKING:
    from pxr import Usd

SUFFIX = ".usdc"


@dataclass(frozen=True)
class UsdOptions:
    """What a USD file of moving Gaussians holds."""

    num_frames: int | None = None
    """Time samples, evenly spaced; the clip's own number of frames if not given."""


def export_usd(asset: Asset4D, out: Path, options: UsdOptions) -> list[Path]:
    """Writes a `ParticleField3DGaussianSplat` whose attributes vary in time, at the rate of the clip."""
    paths.single_file(out, SUFFIX)
    times = timeline.evenly_spaced(asset, options.num_frames)
    order = z_order(timeline.evaluate(asset, times[0]))
    frames = [stored_gaussians(timeline.evaluate(asset, t).select(order)) for t in times]
    with new_stage(asset, out, len(times)) as stage:
        _write_splats(stage, frames)
    text = readme.scene(asset, len(times), "Moving Gaussians from ar4d", readme.USD)
    return [out, readme.write(out, text)]


def _write_splats(stage: Usd.Stage, frames: list[StoredGaussians]) -> None:
    from pxr import Gf, UsdVol, Vt

    splat = UsdVol.ParticleField3DGaussianSplat.Define(stage, "/asset/splats")
    write_samples(
        splat.CreatePositionsAttr(), [f.means for f in frames], lambda x: Vt.Vec3fArray.FromNumpy(x)
    )
    write_samples(  # a quaternion array is read from rows of x y z w
        splat.CreateOrientationsAttr(),
        [np.roll(f.quats, -1, axis=1) for f in frames],
        lambda x: Vt.QuatfArray.FromNumpy(x),
    )
    scales = [np.exp(f.log_scales) for f in frames]
    write_samples(splat.CreateScalesAttr(), scales, lambda x: Vt.Vec3fArray.FromNumpy(x))
    write_samples(
        splat.CreateOpacitiesAttr(), [f.opacities for f in frames], lambda x: Vt.FloatArray.FromNumpy(x)
    )
    splat.CreateRadianceSphericalHarmonicsDegreeAttr(0)  # the schema's default is 3
    write_samples(
        splat.CreateRadianceSphericalHarmonicsCoefficientsAttr(),
        [f.f_dc for f in frames],
        lambda x: Vt.Vec3fArray.FromNumpy(x),
    )
    splat.CreateProjectionModeHintAttr("perspective")
    splat.CreateSortingModeHintAttr("cameraDistance")
    reach = [3 * s.max(axis=1, keepdims=True) for s in scales]
    extents = [
        np.stack([(f.means - r).min(0), (f.means + r).max(0)]) for f, r in zip(frames, reach, strict=True)
    ]
    write_samples(
        splat.CreateExtentAttr(), extents, lambda x: Vt.Vec3fArray([Gf.Vec3f(*map(float, row)) for row in x])
    )


def write_samples(attribute: Usd.Attribute, values: list[np.ndarray], convert: Callable) -> None:
    """Sets a value and, where it changes, one sample per frame at the time codes 0, 1, 2, …."""
    arrays = [np.ascontiguousarray(value, dtype=np.float32) for value in values]
    attribute.Set(convert(arrays[0]))
    if all(np.array_equal(array, arrays[0]) for array in arrays):
        return
    for code, array in enumerate(arrays):
        attribute.Set(convert(array), code)


@contextmanager
def new_stage(asset: Asset4D, out: Path, num_frames: int) -> Iterator[Usd.Stage]:
    """A stage with y up in metres that becomes the file `out`, whole or not at all."""
    from pxr import Usd, UsdGeom

    with atomic(out) as temporary:
        stage = Usd.Stage.CreateNew(str(temporary))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        rate = max(num_frames - 1, 1) / timeline.duration(asset)
        stage.SetTimeCodesPerSecond(rate)
        stage.SetFramesPerSecond(rate)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(num_frames - 1)
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/asset").GetPrim())
        yield stage
        stage.GetRootLayer().Save()
