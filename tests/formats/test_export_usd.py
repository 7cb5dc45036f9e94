"""USD files as OpenUSD's own library sees them."""

# pyright: reportAttributeAccessIssue=false
# (usd-core has no type stubs)

from __future__ import annotations

import numpy as np
import pytest

from ar4d.formats import MeshOptions, UsdOptions, export
from ar4d.formats.splats import z_order
from tests.support.moving import RADIUS, SpinningBall

pxr = pytest.importorskip("pxr", reason="the extra usd is not installed")
from pxr import Gf, Sdf, Usd, UsdGeom, UsdValidation, UsdVol  # noqa: E402

SH_C0 = 0.28209479177387814


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    out = tmp_path_factory.mktemp("usd") / "ball.usdc"
    written = export(SpinningBall(), "usd", out, UsdOptions(num_frames=5))
    assert [path.name for path in written] == ["ball.usdc", "ball.usdc.README.txt"]
    return Usd.Stage.Open(str(out))


def values(attribute, code: float = Usd.TimeCode.Default()) -> np.ndarray:
    return np.array(attribute.Get(code))


def errors(stage) -> list[str]:
    """What the validators of the library itself report."""
    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    return [
        f"{error.GetName()}: {error.GetMessage()}"
        for error in context.Validate(stage)
        if error.GetType() == UsdValidation.ValidationErrorType.Error
    ]


def test_a_stage_says_its_axes_its_unit_and_its_rate(stage):
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.y
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert stage.GetDefaultPrim().GetPath() == Sdf.Path("/asset")
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (0, 4)
    assert stage.GetTimeCodesPerSecond() == 4  # a clip of one second
    assert errors(stage) == []


@pytest.mark.parametrize("code", [0, 1, 4])
def test_splats_are_those_of_the_asset_at_each_time_code(stage, code):
    asset = SpinningBall()
    wanted = asset.at(code / 4).select(z_order(asset.at(0.0)))
    splats = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/asset/splats"))
    assert splats.GetRadianceSphericalHarmonicsDegreeAttr().Get() == 0
    np.testing.assert_allclose(values(splats.GetPositionsAttr(), code), wanted.means, atol=1e-6)
    np.testing.assert_allclose(values(splats.GetScalesAttr(), code), wanted.scales, rtol=1e-5)
    np.testing.assert_allclose(values(splats.GetOpacitiesAttr(), code), wanted.opacities, atol=1e-6)
    harmonics = values(splats.GetRadianceSphericalHarmonicsCoefficientsAttr(), code)
    np.testing.assert_allclose(0.5 + SH_C0 * harmonics, wanted.colors, atol=1e-6)
    orientations = splats.GetOrientationsAttr().Get(code)
    found = np.array([[q.GetReal(), *q.GetImaginary()] for q in orientations])
    assert np.abs((found * wanted.quats.numpy()).sum(1)).min() > 1 - 1e-6
    # A thin axis of a surfel, turned by the library itself, points away from the ball's centre.
    thin = Gf.Rotation(Gf.Quatd(orientations[7])).TransformDir(Gf.Vec3d(0, 0, 1))
    outward = wanted.means[7].numpy() - [0, 0.2 * code / 4, 0]
    np.testing.assert_allclose(thin, outward / RADIUS, atol=1e-5)
    extent = values(splats.GetExtentAttr(), code)
    assert (extent[0] < wanted.means.numpy().min(0)).all()
    assert (extent[1] > wanted.means.numpy().max(0)).all()


def test_what_does_not_change_is_stored_once_and_every_attribute_has_a_default(stage):
    splats = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/asset/splats"))
    assert splats.GetPositionsAttr().GetNumTimeSamples() == 5
    assert splats.GetOpacitiesAttr().GetNumTimeSamples() == 0
    for attribute in (splats.GetPositionsAttr(), splats.GetOrientationsAttr(), splats.GetOpacitiesAttr()):
        np.testing.assert_array_equal(values(attribute), values(attribute, 0))


def test_a_mesh_moves_as_the_asset_does(tmp_path):
    out = tmp_path / "a.mesh.usdc"
    export(SpinningBall(), "usd-mesh", out, MeshOptions(num_frames=3, resolution=32))
    stage = Usd.Stage.Open(str(out))
    assert errors(stage) == []
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/asset/mesh"))
    assert mesh.GetSubdivisionSchemeAttr().Get() == "none"
    first, last = values(mesh.GetPointsAttr(), 0), values(mesh.GetPointsAttr(), 2)
    np.testing.assert_allclose(last, first * [-1, 1, -1] + [0, 0.2, 0], atol=3e-3)
    colors = np.array(mesh.GetDisplayColorPrimvar().Get())
    red = colors[first[:, 1] > 0.2].mean(0)
    np.testing.assert_allclose(red, [0.65, 0.0145, 0.0145], atol=0.02)  # sRGB (0.825, 0.125, 0.125)
    assert UsdGeom.Mesh.ValidateTopology(
        mesh.GetFaceVertexIndicesAttr().Get(), mesh.GetFaceVertexCountsAttr().Get(), len(first)
    )[0]


def test_a_still_mesh_has_no_samples(tmp_path):
    out = tmp_path / "a.usdc"
    export(SpinningBall(), "usd-mesh", out, MeshOptions(animated=False, resolution=24))
    stage = Usd.Stage.Open(str(out))
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/asset/mesh"))
    assert mesh.GetPointsAttr().GetNumTimeSamples() == 0
    assert len(mesh.GetPointsAttr().Get()) > 0
