"""GLB meshes as gltf-transform, Khronos' validator, pygltflib and trimesh see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import pytest
import trimesh

from ar4d.errors import UserError
from ar4d.formats import GlbOptions, export
from tests.support import foreign
from tests.support.moving import SpinningBall
from tests.support.npm import needs_npm

pytestmark = pytest.mark.slow

VARIANTS = {
    "vertex": {},
    "vertex-8bit": {"colors": "vertex-8bit"},
    "texture": {"colors": "texture", "texture_size": 256},
    "quantized": {"quantize": True},
    "small": {"quantize": True, "colors": "texture", "texture_size": 256},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder, written = tmp_path_factory.mktemp("glb"), {}
    for name, values in VARIANTS.items():
        options = GlbOptions(num_frames=3, resolution=32, **values)
        written[name] = export(SpinningBall(), "glb", folder / f"{name}.glb", options)[0]
    return written


def linear(srgb: np.ndarray) -> np.ndarray:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


@needs_npm
@pytest.mark.parametrize("name", VARIANTS)
def test_the_validator_has_nothing_against_it(files, name):
    assert foreign.issues(files[name]) == []


@needs_npm
@pytest.mark.parametrize("name", VARIANTS)
def test_the_mesh_stands_upright_and_makes_its_half_turn(files, name):
    found = foreign.read("gltf-transform", files[name])
    matrix = np.array(found["matrix"]).reshape(4, 4).T
    rest = np.array(found["means"])
    weights = np.array(found["weights"]).reshape(3, 2)
    np.testing.assert_allclose(found["times"], [0, 0.5, 1], atol=1e-6)

    def shown(key: int) -> np.ndarray:
        moved = rest + np.tensordot(weights[key], np.array(found["targets"]), 1)
        return moved @ matrix[:3, :3].T + matrix[:3, 3]

    start = shown(0)
    assert abs(start.mean(0)).max() < 0.02
    np.testing.assert_allclose(shown(2), start * [-1, 1, -1] + [0, 0.2, 0], atol=3e-3)
    if found["colors"]:
        colors = np.array(found["colors"])[:, :3]
        red = np.array([0.825, 0.125, 0.125])
        np.testing.assert_allclose(colors[start[:, 1] > 0.2].mean(0), linear(red), atol=0.02)


def attribute(content: bytes, name: str) -> np.ndarray:
    """An attribute of the first primitive as pygltflib finds it, [N, K] as it is stored."""
    document = pygltflib.GLTF2().load_from_bytes(content)
    assert document is not None
    accessor = document.accessors[getattr(document.meshes[0].primitives[0].attributes, name)]
    dtype = {5121: "u1", 5123: "<u2", 5126: "<f4"}[accessor.componentType]
    width = {"VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor.type]
    view = document.bufferViews[accessor.bufferView]
    blob = document.binary_blob() or b""
    return np.frombuffer(blob, dtype, width * accessor.count, view.byteOffset).reshape(-1, width)


def texture_of(mesh: Any) -> np.ndarray:
    """[S, S, 3] in 0..1, as trimesh loads it."""
    return np.asarray(mesh.visual.material.baseColorTexture.convert("RGB")) / 255


def test_the_texture_is_red_above_and_green_below(files):
    (mesh,) = trimesh.load_scene(files["texture"]).geometry.values()
    picture = texture_of(mesh)
    assert picture.shape == (256, 256, 3)
    uvs = attribute(files["texture"].read_bytes(), "TEXCOORD_0")
    assert uvs.min() >= 0
    assert uvs.max() <= 1
    texels = np.minimum((uvs * 256).astype(int), 255)
    colors = picture[texels[:, 1], texels[:, 0]]
    height = attribute(files["texture"].read_bytes(), "POSITION")[:, 1]
    np.testing.assert_allclose(colors[height > 0.2].mean(0), [0.825, 0.125, 0.125], atol=0.02)
    np.testing.assert_allclose(colors[height < -0.2].mean(0), [0.125, 0.725, 0.225], atol=0.02)
    assert np.abs(colors[height > 0.2] - [0.825, 0.125, 0.125]).max() < 0.06


def test_the_texture_has_no_holes_between_its_charts(files):
    (mesh,) = trimesh.load_scene(files["texture"]).geometry.values()
    assert texture_of(mesh).max(-1).min() > 0.35  # the ball has no dark place


def test_8_bit_colours_survive_trimesh_writing_the_file_again(files):
    """trimesh 5.2 keeps the low byte of 16-bit colours; that is why there is a choice."""
    before = files["vertex-8bit"].read_bytes()
    again = trimesh.load_scene(files["vertex-8bit"]).export(file_type="glb")
    assert isinstance(again, bytes)
    np.testing.assert_array_equal(attribute(again, "COLOR_0"), attribute(before, "COLOR_0"))
    height = attribute(before, "POSITION")[:, 1]
    red = attribute(before, "COLOR_0")[height > 0.2, :3].mean(0) / 255
    np.testing.assert_allclose(red, linear(np.array([0.825, 0.125, 0.125])), atol=0.02)


def test_quantisation_and_textures_make_files_smaller(files):
    size = {name: path.stat().st_size for name, path in files.items()}
    assert size["quantized"] < 0.85 * size["vertex"]
    assert size["vertex-8bit"] < size["vertex"]
    assert size["small"] < size["texture"]


@needs_npm
def test_meshopt_by_the_documented_tool_keeps_the_animation_and_halves_the_file(files):
    path = files["quantized"]
    foreign.read("meshopt", path)
    smaller = path.with_name(f"{path.name}.meshopt.glb")
    assert smaller.stat().st_size < 0.6 * path.stat().st_size
    before, after = (foreign.read("gltf-transform", p) for p in (path, smaller))
    assert after["weights"] == before["weights"]
    np.testing.assert_allclose(after["means"], before["means"], atol=1e-4)
    np.testing.assert_allclose(after["targets"], before["targets"], atol=1e-4)


def test_options_out_of_range_are_refused(tmp_path):
    def write(**values):
        export(SpinningBall(), "glb", tmp_path / "a.glb", GlbOptions(**values))

    with pytest.raises(UserError, match='no colors "crayon"; choose vertex, vertex-8bit, texture'):
        write(colors="crayon")
    with pytest.raises(UserError, match="texture of 9999 pixels is out of range; choose 64 to 4096"):
        write(texture_size=9999)
