"""Splat files are read back by a parser of their own and, independently, by gsply."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import gsply
import numpy as np
import pytest
import torch

from ar4d.errors import UserError
from ar4d.formats import SplatOptions, SpzOptions, export, find_format
from ar4d.formats.splats import z_order
from ar4d.gaussians import Gaussians, rotation_matrices
from tests.support.moving import SpinningBall

POSITION, COLOR, SCALE = ["x", "y", "z"], ["f_dc_0", "f_dc_1", "f_dc_2"], ["scale_0", "scale_1", "scale_2"]
ROTATION = ["rot_0", "rot_1", "rot_2", "rot_3"]
TYPES = {"float": "<f4", "uint": "<u4"}


def read_ply(path: Path) -> dict[str, np.ndarray]:
    """The elements of a binary PLY as structured arrays."""
    content = path.read_bytes()
    end = content.index(b"end_header\n") + len(b"end_header\n")
    lines = content[:end].decode().splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    elements: list[tuple[str, int, list]] = []
    for line in lines[2:-1]:
        kind, *words = line.split()
        if kind == "element":
            elements.append((words[0], int(words[1]), []))
        else:
            elements[-1][2].append((words[1], TYPES[words[0]]))
    arrays, offset = {}, end
    for name, count, fields in elements:
        arrays[name] = np.frombuffer(content, np.dtype(fields), count, offset)
        offset += arrays[name].nbytes
    assert offset == len(content)
    return arrays


def expected(t: float, asset: SpinningBall) -> Gaussians:
    return asset.at(t).select(z_order(asset.at(0.0)))


def columns(vertex: np.ndarray, names: list[str]) -> np.ndarray:
    return np.stack([vertex[name].astype(float) for name in names], axis=1)


def same_rotation_deg(quats: np.ndarray, wanted: torch.Tensor) -> float:
    """The largest angle between two lists of rotations."""
    dots = np.abs((quats * wanted.numpy()).sum(1)) / np.linalg.norm(quats, axis=1)
    return float(np.rad2deg(2 * np.arccos(dots.clip(0, 1))).max())


def test_ply_holds_the_stored_values_of_each_frame(tmp_path):
    asset = SpinningBall()
    written = export(asset, "ply", tmp_path / "out")
    assert [p.name for p in written] == ["0000.ply", "0001.ply", "0002.ply", "README.txt"]
    for path, t in zip(written, (0.0, 0.5, 1.0), strict=False):
        wanted = expected(t, asset)
        vertex = read_ply(path)["vertex"]
        assert list(vertex.dtype.names or ()) == [*POSITION, *COLOR, "opacity", *SCALE, *ROTATION]
        np.testing.assert_allclose(columns(vertex, POSITION), wanted.means, atol=1e-7)
        rgb = 0.5 + 0.28209479177387814 * columns(vertex, COLOR)
        np.testing.assert_allclose(rgb, wanted.colors, atol=1e-6)
        opacities = 1 / (1 + np.exp(-vertex["opacity"].astype(float)))
        np.testing.assert_allclose(opacities, wanted.opacities, atol=1e-6)
        np.testing.assert_allclose(np.exp(columns(vertex, SCALE)), wanted.scales, rtol=1e-5)
        quats = columns(vertex, ROTATION)
        np.testing.assert_allclose(np.linalg.norm(quats, axis=1), 1, atol=1e-6)
        assert same_rotation_deg(quats, wanted.quats) < 0.1


@pytest.mark.parametrize(
    ("format", "suffix", "means", "rgb", "opacity", "log_scale", "degrees"),
    [
        ("ply", ".ply", 1e-7, 1e-6, 1e-5, 1e-5, 0.1),
        # 600 Gaussians in three chunks: bounds up to 0.8 wide, 10 bits at least; 8 bits of colour.
        ("compressed-ply", ".compressed.ply", 5e-4, 1.7e-3, 2e-3, 6e-4, 0.3),
        ("spz", ".spz", 3.1e-5, 3.8e-3, 2e-3, 3.2e-2, 0.3),
    ],
)
def test_gsply_reads_the_same_gaussians(tmp_path, format, suffix, means, rgb, opacity, log_scale, degrees):
    asset = SpinningBall()
    path = export(asset, format, tmp_path)[2]
    assert path.name == f"0002{suffix}"
    read = gsply.read_spz(path) if format == "spz" else gsply.plyread(path)
    wanted = expected(1.0, asset)
    np.testing.assert_allclose(read.means, wanted.means, atol=means)
    np.testing.assert_allclose(0.5 + 0.28209479 * read.sh0.reshape(-1, 3), wanted.colors, atol=rgb)
    opacities = 1 / (1 + np.exp(-np.asarray(read.opacities, np.float64).reshape(-1)))
    np.testing.assert_allclose(opacities, wanted.opacities, atol=opacity)
    np.testing.assert_allclose(read.scales, wanted.scales.log(), atol=log_scale)
    assert same_rotation_deg(read.quats, wanted.quats) < degrees


def test_compressed_ply_layout_is_playcanvas_one(tmp_path):
    asset = SpinningBall(count=300)
    elements = read_ply(export(asset, "compressed-ply", tmp_path)[0])
    chunk, vertex = elements["chunk"], elements["vertex"]
    assert len(chunk) == 2
    assert list(chunk.dtype.names or ())[:7] == [
        "min_x",
        "min_y",
        "min_z",
        "max_x",
        "max_y",
        "max_z",
        "min_scale_x",
    ]
    assert list(vertex.dtype.names or ()) == [
        f"packed_{n}" for n in ("position", "rotation", "scale", "color")
    ]
    index = 270  # in the second chunk
    wanted = expected(0.0, asset)
    position, color = int(vertex["packed_position"][index]), int(vertex["packed_color"][index])
    bounds = chunk[1]
    x = bounds["min_x"] + (bounds["max_x"] - bounds["min_x"]) * (position >> 21) / 2047
    y = bounds["min_y"] + (bounds["max_y"] - bounds["min_y"]) * (position >> 11 & 1023) / 1023
    z = bounds["min_z"] + (bounds["max_z"] - bounds["min_z"]) * (position & 2047) / 2047
    np.testing.assert_allclose([x, y, z], wanted.means[index], atol=5e-4)
    red = bounds["min_r"] + (bounds["max_r"] - bounds["min_r"]) * (color >> 24) / 255
    np.testing.assert_allclose(red, wanted.colors[index, 0], atol=2e-3)
    np.testing.assert_allclose((color & 255) / 255, wanted.opacities[index], atol=2e-3)


def test_spz_sections(tmp_path):
    asset = SpinningBall()
    raw = gzip.decompress(export(asset, "spz", tmp_path / "a.spz", SpzOptions(time=0.5))[0].read_bytes())
    magic, version, count, sh_degree, fractional_bits, flags, _ = struct.unpack("<IIIBBBB", raw[:16])
    assert (magic, version, count, sh_degree, flags) == (0x5053474E, 3, 600, 0, 0)
    assert len(raw) == 16 + 20 * count
    g = asset.at(0.5)
    wanted = g.select(z_order(g))
    triples = np.frombuffer(raw, np.uint8, 9 * count, 16).reshape(count, 3, 3).astype(np.int32)
    fixed = triples[..., 0] | triples[..., 1] << 8 | triples[..., 2] << 16
    fixed = np.where(fixed >= 1 << 23, fixed - (1 << 24), fixed)
    np.testing.assert_allclose(fixed / 2**fractional_bits, wanted.means, atol=2.0**-fractional_bits)
    alphas = np.frombuffer(raw, np.uint8, count, 16 + 9 * count)
    np.testing.assert_allclose(alphas / 255, wanted.opacities, atol=0.002)
    scales = np.frombuffer(raw, np.uint8, 3 * count, 16 + 13 * count).reshape(count, 3)
    np.testing.assert_allclose(np.exp(scales / 16 - 10), wanted.scales, rtol=0.032)


def test_up_minus_y_turns_everything_by_half_a_turn_about_z(tmp_path):
    asset = SpinningBall()
    up = gsply.plyread(export(asset, "ply", tmp_path / "a.ply", SplatOptions(time=0.3))[0])
    down = gsply.plyread(export(asset, "ply", tmp_path / "b.ply", SplatOptions(time=0.3, up="-y"))[0])
    turn = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_allclose(down.means, up.means @ turn, atol=1e-6)
    before, after = (rotation_matrices(torch.from_numpy(x.quats.copy())).numpy() for x in (up, down))
    np.testing.assert_allclose(after, turn @ before, atol=1e-5)


@pytest.mark.parametrize("format", ["ply", "compressed-ply", "spz"])
def test_a_viewer_by_its_name_decides_which_way_is_up(tmp_path, format):
    asset = SpinningBall()
    read = gsply.read_spz if format == "spz" else gsply.plyread
    suffix, options_type = find_format(format).suffix, find_format(format).options

    def means(**options):
        path = tmp_path / f"{'-'.join(options.values()) or 'default'}{suffix}"
        return read(export(asset, format, path, options_type(time=0.3, **options))[0]).means

    turn = np.diag([-1.0, -1.0, 1.0])
    np.testing.assert_array_equal(means(viewer="three"), means())
    np.testing.assert_array_equal(means(viewer="supersplat"), means(up="-y"))
    np.testing.assert_allclose(means(viewer="supersplat"), means() @ turn, atol=1e-3)


def test_a_viewer_and_an_axis_that_contradict_each_other_are_refused(tmp_path):
    def write(**options):
        export(SpinningBall(), "ply", tmp_path / "a.ply", SplatOptions(time=0.0, **options))

    write(viewer="supersplat", up="-y")
    with pytest.raises(UserError, match="SuperSplat and PlayCanvas' viewer has -y up, not y"):
        write(viewer="supersplat", up="y")
    with pytest.raises(UserError, match='no viewer "superslat"; choose one of: supersplat, three'):
        write(viewer="superslat")
    with pytest.raises(UserError, match='no up "z"; choose y or -y'):
        write(up="z")


def test_frames_are_evenly_spaced_and_keep_their_order(tmp_path):
    asset = SpinningBall()
    written = export(asset, "ply", tmp_path, SplatOptions(num_frames=5))
    assert len(written) == 6
    quarter = gsply.plyread(written[1])
    np.testing.assert_allclose(quarter.means, expected(0.25, asset).means, atol=1e-7)
    note = written[-1].read_text()
    assert "5 splat files" in note
    assert "4 frames a second" in note
    assert "y is up" in note


def test_opaque_and_flat_gaussians_stay_finite(tmp_path):
    class Extreme(SpinningBall):
        def at(self, t: float) -> Gaussians:
            g = super().at(t)
            return Gaussians(g.means, g.quats, g.scales * 0, g.opacities * 0 + 1, g.colors * 0)

    for format in ("ply", "compressed-ply", "spz"):
        path = export(Extreme(), format, tmp_path / format)[0]
        read = gsply.read_spz(path) if format == "spz" else gsply.plyread(path)
        for values in (read.means, read.scales, read.quats, read.opacities, read.sh0):
            assert np.isfinite(values).all(), format
