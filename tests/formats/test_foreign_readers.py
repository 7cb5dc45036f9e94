"""Each splat file is read by programs of others: values within quantisation, and the orientation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData

from ar4d.formats import export, find_format
from ar4d.formats.readers import read_sequence
from ar4d.formats.splats import z_order
from ar4d.gaussians import Gaussians, rotation_matrices
from tests.support import foreign
from tests.support.moving import SpinningBall
from tests.support.npm import needs_npm

pytestmark = pytest.mark.slow  # the first test installs the packages

TIME = 0.3
TURN = np.diag([-1.0, -1.0, 1.0])
FORMATS = ("ply", "compressed-ply", "spz", "spz-4", "sog", "splat-glb")
SH_C0 = 0.28209479177387814
# Largest error of: means, rgb, opacity, log scale, rotation in degrees. 8 bits of colour are a step of 1/255;
# SPZ spreads them over 1.88 instead of 1; SOG's codebooks have 256 entries for all three axes.
TOLERANCE = {
    "ply": (1e-6, 1e-5, 1e-5, 1e-5, 0.1),
    "compressed-ply": (5e-4, 1.7e-3, 2.1e-3, 6e-4, 0.3),
    "spz": (3.1e-5, 3.8e-3, 2.1e-3, 3.2e-2, 0.3),
    "spz-4": (3.1e-5, 3.8e-3, 2.1e-3, 3.2e-2, 0.3),
    "sog": (3e-5, 5e-3, 2.1e-3, 2e-2, 1.2),
    "splat-glb": (1e-6, 1e-5, 1e-5, 1e-5, 0.1),
}


class Extreme(SpinningBall):
    """Opaque, flat, black and white: the ends of every range."""

    def at(self, t: float) -> Gaussians:
        g = super().at(t)
        odd = torch.arange(len(g)) % 2
        return replace(
            g,
            scales=g.scales * torch.stack([odd, 1 - odd, odd], 1),
            opacities=odd.float(),
            colors=odd[:, None].float().expand(-1, 3),
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("foreign")


def write(folder: Path, name: str, viewer: str | None = None, asset: SpinningBall | None = None) -> Path:
    """One file of a format ("spz-4" is SPZ of version 4), for a viewer."""
    format = find_format(name.removesuffix("-4"))
    values: dict = {"time": TIME}
    if name == "spz-4":
        values["version"] = 4
    if viewer is not None:
        values["viewer"] = viewer
    out = folder / f"{name}-{viewer}{'-extreme' if asset else ''}{format.suffix}"
    return export(asset or SpinningBall(), format.name, out, format.make_options(values))[0]


def wanted() -> Gaussians:
    g = SpinningBall().at(TIME)
    return g.select(z_order(g))


def check(name: str, means, rgb, opacities, log_scales, quats) -> None:
    """Compares values ([N, …], quats wxyz) with the asset's."""
    g, (position, color, opacity, scale, degrees) = wanted(), TOLERANCE[name]
    np.testing.assert_allclose(means, g.means, atol=position)
    np.testing.assert_allclose(rgb, g.colors, atol=color)
    np.testing.assert_allclose(opacities, g.opacities, atol=opacity)
    np.testing.assert_allclose(log_scales, g.scales.log(), atol=scale)
    dots = np.abs((quats * g.quats.numpy()).sum(1)) / np.linalg.norm(quats, axis=1)
    assert np.rad2deg(2 * np.arccos(dots.clip(0, 1))).max() < degrees


def read_plain_ply(path: Path) -> dict[str, np.ndarray]:
    vertex = PlyData.read(path)["vertex"]

    def columns(*names: str) -> np.ndarray:
        return np.stack([np.asarray(vertex[name], float) for name in names], 1)

    return {
        "means": columns("x", "y", "z"),
        "rgb": 0.5 + SH_C0 * columns("f_dc_0", "f_dc_1", "f_dc_2"),
        "logits": np.asarray(vertex["opacity"], float),
        "log_scales": columns("scale_0", "scale_1", "scale_2"),
        "quats": columns("rot_0", "rot_1", "rot_2", "rot_3"),
    }


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_plyfile_reads_the_ply(folder):
    found = read_plain_ply(write(folder, "ply"))
    check("ply", found["means"], found["rgb"], sigmoid(found["logits"]), found["log_scales"], found["quats"])


@needs_npm
@pytest.mark.parametrize("name", ["spz", "spz-4"])
def test_adobes_spz_reads_both_versions(folder, name):
    found = foreign.read("adobe", write(folder, name))
    check(
        name,
        np.reshape(found["means"], (-1, 3)),
        0.5 + SH_C0 * np.reshape(found["f_dc"], (-1, 3)),
        sigmoid(np.array(found["logits"])),
        np.reshape(found["log_scales"], (-1, 3)),
        np.roll(np.reshape(found["quats_xyzw"], (-1, 4)), 1, axis=1),
    )


@needs_npm
@pytest.mark.parametrize(
    ("reader", "name"),
    [("three-ply", "ply"), ("three-spz", "spz"), ("three-spz", "spz-4"), ("three-glb", "splat-glb")],
)
def test_three_shows_the_same_gaussians_upright(folder, reader, name):
    """three.js keeps covariances, not rotations and scales."""
    found, g = foreign.read(reader, write(folder, name, None if name == "splat-glb" else "three")), wanted()
    np.testing.assert_allclose(found.get("matrix", np.eye(4).ravel()), np.eye(4).ravel())
    position, color, opacity, scale, _ = TOLERANCE[name]
    np.testing.assert_allclose(np.reshape(found["means"], (-1, 3)), g.means, atol=position)
    rgba = np.reshape(found["rgba"], (-1, 4)) / 255
    np.testing.assert_allclose(rgba[:, :3], g.colors, atol=color + 0.51 / 255)
    np.testing.assert_allclose(rgba[:, 3], g.opacities, atol=opacity + 0.51 / 255)
    factors = rotation_matrices(g.quats) @ torch.diag_embed(g.scales)
    rows, columns = np.triu_indices(3)
    covariances = (factors @ factors.mT).numpy()[:, rows, columns]
    largest = float(g.scales.max()) ** 2
    # Twice the relative error of a scale, and what a rotation of a third of a degree moves.
    np.testing.assert_allclose(
        np.reshape(found["covariances"], (-1, 6)), covariances, atol=(2 * scale + 0.01) * largest
    )


@needs_npm
@pytest.mark.parametrize("name", ["ply", "compressed-ply", "spz", "spz-4", "sog"])
def test_splat_transform_reads_the_values(folder, name):
    """The converter writes the coordinates of a PLY; it takes the others to be turned against it."""
    out = folder / f"{name}-read.ply"
    foreign.splat_transform(str(write(folder, name)), str(out))
    found = read_plain_ply(out)
    check(name, found["means"], found["rgb"], sigmoid(found["logits"]), found["log_scales"], found["quats"])


@needs_npm
@pytest.mark.parametrize("name", ["ply", "compressed-ply", "spz", "spz-4", "sog"])
def test_files_for_supersplat_are_upright_in_playcanvas_world(folder, name):
    """As glTF, which has y up by definition, PlayCanvas' tools write what their viewer shows."""
    out = folder / f"{name}-world.glb"
    foreign.splat_transform(str(write(folder, name, "supersplat")), str(out))
    found = np.reshape(foreign.read("three-glb", out)["means"], (-1, 3))
    np.testing.assert_allclose(found, wanted().means, atol=TOLERANCE[name][0])
    foreign.splat_transform(str(write(folder, name, "three")), str(out))
    turned = np.reshape(foreign.read("three-glb", out)["means"], (-1, 3))
    np.testing.assert_allclose(turned, wanted().means.numpy() @ TURN, atol=TOLERANCE[name][0])


@needs_npm
def test_the_validator_has_nothing_against_a_splat_glb(folder):
    assert foreign.issues(write(folder, "splat-glb")) == []


@needs_npm
@pytest.mark.parametrize("name", FORMATS)
def test_the_ends_of_every_range_come_back_finite(folder, name):
    path = write(folder, name, asset=Extreme())
    found: dict[str, np.ndarray] = {}
    if name in ("spz", "spz-4"):
        found |= {f"adobe {k}": np.array(v, float) for k, v in foreign.read("adobe", path).items()}
    readers = {"ply": "three-ply", "spz": "three-spz", "spz-4": "three-spz", "splat-glb": "three-glb"}
    if name in readers:
        found |= {f"three {k}": np.array(v, float) for k, v in foreign.read(readers[name], path).items()}
    if name != "splat-glb":
        out = folder / f"{name}-finite.ply"
        foreign.splat_transform(str(path), str(out))
        found |= read_plain_ply(out)
    assert found
    for key, values in found.items():
        assert np.isfinite(values).all(), key


@needs_npm
@pytest.mark.parametrize(("ending", "viewer"), [(".glb", None), (".sog", "supersplat")])
def test_what_splat_transform_writes_is_imported_upright(folder, ending, viewer):
    out = folder / f"theirs{ending}"
    arguments = ["--gpu", "cpu"] if ending == ".sog" else []
    foreign.splat_transform(*arguments, str(write(folder, "ply", "supersplat")), str(out))
    (read,) = read_sequence([out], viewer=viewer).asset.frames
    nearest = torch.cdist(read.means, wanted().means).argmin(1)  # the converter sorts them
    assert len(nearest.unique()) == len(wanted())
    there = wanted().select(nearest)
    torch.testing.assert_close(read.means, there.means, atol=3e-4, rtol=0)
    torch.testing.assert_close(read.colors, there.colors, atol=8e-3, rtol=0)
    torch.testing.assert_close(read.opacities, there.opacities, atol=1.05 / 255, rtol=0)  # cut off to 8 bits
    torch.testing.assert_close(read.scales.log(), there.scales.log(), atol=3e-2, rtol=0)
    turned = torch.rad2deg(2 * torch.arccos((read.quats * there.quats).sum(1).abs().clamp(max=1)))
    assert turned.max() < 2  # its SOG has 8 bits a component, cut off as well
