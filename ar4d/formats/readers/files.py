"""One file becomes Gaussians: PLY and SPZ by gsply, USD by OpenUSD's own library, SOG and GLB here."""
# pyright: reportAttributeAccessIssue=false
# (usd-core has no type stubs)

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ar4d.errors import UserError
from ar4d.formats.readers.glb import read_glb_file
from ar4d.formats.readers.sog import read_sog_file
from ar4d.formats.splats.stored import SH_C0
from ar4d.gaussians import Gaussians

SPLAT_ENDINGS = (".ply", ".spz", ".sog", ".glb")
HEADER_BYTES = 1 << 16
USD_ENDINGS = (".usd", ".usda", ".usdc", ".usdz")


def read_splat_file(path: Path) -> tuple[Gaussians, list[str]]:
    """The Gaussians of a PLY, compressed PLY, SPZ, SOG or GLB file, and what was left out, in sentences.

    Raises:
        UserError: the file cannot be read, is empty, or the package gsply is not installed.
    """
    own = {".sog": read_sog_file, ".glb": read_glb_file}.get(path.suffix.lower())
    gaussians, left_out = own(path) if own else _read_by_gsply(path)
    return _checked(gaussians, path), left_out


def _read_by_gsply(path: Path) -> tuple[Gaussians, list[str]]:
    """The Gaussians of a PLY, compressed PLY or SPZ file, and what was left out."""
    try:
        import gsply
    except ImportError as error:
        raise UserError(
            "Reading splat files needs the package gsply; install it: pip install ar4d[import]"
        ) from error
    with path.open("rb") as file:
        start = file.read(HEADER_BYTES)
    if path.suffix.lower() == ".ply" and b"end_header" not in start:  # gsply would read it for ever
        raise UserError(f"{path} cannot be read as a splat file (its header has no end); export it again.")
    try:
        read = gsply.read_spz(path) if path.suffix.lower() == ".spz" else gsply.plyread(path)
    except Exception as error:  # the library raises many kinds for a file that it does not understand
        raise UserError(f"{path} cannot be read as a splat file ({error}); export it again.") from error
    left_out = []
    if read.shN is not None and np.size(read.shN):
        left_out.append(
            f"{path.name} has view-dependent colour, which is left out: ar4d shows the base colour."
        )
    tensors = {
        name: torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in (
            ("means", read.means), ("quats", read.quats), ("scales", np.exp(read.scales)),
            ("opacities", 1 / (1 + np.exp(-np.asarray(read.opacities, np.float64).reshape(-1)))),
            ("colors", 0.5 + SH_C0 * np.asarray(read.sh0).reshape(-1, 3)),
        )
    }  # fmt: skip
    return Gaussians(**tensors), left_out


def read_usd_file(path: Path) -> tuple[list[Gaussians], float]:
    """The Gaussians of the first `ParticleField3DGaussianSplat` at each of its time samples, and their rate.

    Raises:
        UserError: the file cannot be read, holds no such prim, or has axes other than y up.
    """
    try:
        from pxr import Tf, Usd, UsdGeom, UsdVol
    except ImportError as error:
        raise UserError(
            "Reading USD needs the package usd-core; install it: pip install ar4d[usd]"
        ) from error
    try:
        stage = Usd.Stage.Open(str(path))
    except Tf.ErrorException as error:
        raise UserError(f"{path} cannot be read as USD; export it again.") from error
    prims = [prim for prim in stage.Traverse() if prim.IsA(UsdVol.ParticleField3DGaussianSplat)]
    if not prims:
        raise UserError(f"{path} holds no ParticleField3DGaussianSplat; export splats, not a mesh.")
    if UsdGeom.GetStageUpAxis(stage) != UsdGeom.Tokens.y:
        raise UserError(f"{path} has z up; turn it to y up before it is imported.")
    identity = UsdGeom.Xformable(prims[0]).ComputeLocalToWorldTransform(Usd.TimeCode.Default())
    if not np.allclose(np.array(identity), np.eye(4)):
        raise UserError(f"{path} moves its splats by a transform; apply it to the splats before the import.")
    splats = UsdVol.ParticleField3DGaussianSplat(prims[0])
    codes = splats.GetPositionsAttr().GetTimeSamples() or [Usd.TimeCode.Default()]
    frames = [_checked(_usd_gaussians(splats, code), path) for code in codes]
    rate = stage.GetTimeCodesPerSecond()
    return frames, rate / (codes[1] - codes[0]) if len(codes) > 1 else rate


def _usd_gaussians(splats: Any, code: Any) -> Gaussians:
    degree = splats.GetRadianceSphericalHarmonicsDegreeAttr().Get(code)
    harmonics = np.array(splats.GetRadianceSphericalHarmonicsCoefficientsAttr().Get(code), np.float32)
    quats = [[q.GetReal(), *q.GetImaginary()] for q in splats.GetOrientationsAttr().Get(code)]
    return Gaussians(
        means=torch.from_numpy(np.array(splats.GetPositionsAttr().Get(code), np.float32)),
        quats=torch.tensor(quats, dtype=torch.float32),
        scales=torch.from_numpy(np.array(splats.GetScalesAttr().Get(code), np.float32)),
        opacities=torch.from_numpy(np.array(splats.GetOpacitiesAttr().Get(code), np.float32)),
        colors=0.5 + SH_C0 * torch.from_numpy(harmonics.reshape(-1, (degree + 1) ** 2, 3)[:, 0].copy()),
    )


def _checked(gaussians: Gaussians, path: Path) -> Gaussians:
    if len(gaussians) == 0:
        raise UserError(f"{path} holds no Gaussians; export it again.")
    for name, values in gaussians.state().items():
        if not values.isfinite().all():
            raise UserError(f"{path} holds {name} that are not finite; clean it before the import.")
    quats = torch.nn.functional.normalize(gaussians.quats, dim=-1)
    return Gaussians(
        gaussians.means, quats, gaussians.scales, gaussians.opacities, gaussians.colors.clamp(0, 1)
    )
