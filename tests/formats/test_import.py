"""What was exported comes back as a run; what was made elsewhere becomes one, or is refused in a sentence."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import gsply
import numpy as np
import pytest
import torch

from ar4d.asset import FrameSequence, frame_time
from ar4d.cli import main
from ar4d.errors import UserError
from ar4d.formats import export, find_format
from ar4d.formats.readers import read_sequence
from ar4d.formats.splats import z_order
from ar4d.gaussians import Gaussians, rotation_matrices
from ar4d.runs import Run
from tests.support.moving import SpinningBall

# Largest error of: means, colours, opacities, logarithms of scales.
TOLERANCE = {
    "ply": (1e-6, 1e-5, 1e-5, 1e-5),
    "compressed-ply": (5e-4, 1.7e-3, 2.1e-3, 6e-4),
    "spz": (3.1e-5, 3.8e-3, 2.1e-3, 3.2e-2),
    "spz-4": (3.1e-5, 3.8e-3, 2.1e-3, 3.2e-2),
    "sog": (3e-5, 5e-3, 2.1e-3, 2e-2),
    "splat-glb": (1e-6, 1e-5, 1e-5, 1e-5),
    "usd": (1e-6, 1e-5, 1e-5, 1e-5),
}


def ordered(asset, k: int) -> Gaussians:
    return asset.at(frame_time(k, asset.num_frames)).select(z_order(asset.at(0.0)))


def exported(folder: Path, name: str, asset=None, **options) -> Path:
    format = find_format(name)
    values = format.make_options(options)
    out = folder / format.default_name(values)
    export(asset or SpinningBall(), name, out, values)
    return out


@pytest.mark.parametrize("name", TOLERANCE)
def test_what_was_exported_comes_back(tmp_path, name):
    asset = SpinningBall()
    file = exported(tmp_path, "spz", version=4) if name == "spz-4" else exported(tmp_path, name)
    read = read_sequence([file], fps=None if name == "usd" else 2.0)
    assert read.remarks == ()
    assert (read.asset.num_frames, read.asset.fps) == (3, 2.0)
    means, colors, opacities, log_scales = TOLERANCE[name]
    for k, frame in enumerate(read.asset.frames):
        wanted = ordered(asset, k)
        np.testing.assert_allclose(frame.means, wanted.means, atol=means)
        np.testing.assert_allclose(frame.colors, wanted.colors, atol=colors)
        np.testing.assert_allclose(frame.opacities, wanted.opacities, atol=opacities)
        np.testing.assert_allclose(frame.scales.log(), wanted.scales.log(), atol=log_scales)
        largest_turn = 1e-4 if name == "sog" else 1e-5  # SOG has 8 bits a component
        assert (frame.quats * wanted.quats).sum(1).abs().min() > 1 - largest_turn


def test_the_command_makes_a_run_that_is_viewed_and_exported_again(tmp_path, capsys):
    folder = exported(tmp_path, "ply", viewer="supersplat")
    out = tmp_path / "run"
    assert main(["import", str(folder), "--out", str(out), "--fps", "2", "--for", "supersplat"]) == 0
    assert str(out) in capsys.readouterr().out
    run = Run.open(out)
    assert run.status == "finished"
    assert run.num_finished == 3
    assert run.clip.num_frames == 3
    alpha = run.clip.frames[..., 3]
    assert alpha[0].max() == 255
    upper, lower = run.clip.frames[0, :128], run.clip.frames[0, 128:]
    assert upper[upper[..., 3] > 200][:, 0].mean() > 150  # red is above, as in the asset
    assert lower[lower[..., 3] > 200][:, 1].mean() > 130
    again = tmp_path / "again.spz"
    assert main(["export", str(out), "--format", "spz", "--time", "1", "--out", str(again)]) == 0
    wanted = SpinningBall().at(1.0)
    found = gsply.read_spz(again).means
    np.testing.assert_allclose(np.sort(found, 0), np.sort(wanted.means.numpy(), 0), atol=1e-4)
    assert main(["import", str(folder), "--out", str(out)]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_what_reaches_out_of_view_is_fitted_with_a_word(tmp_path):
    @dataclass(frozen=True)
    class Large(SpinningBall):
        def at(self, t: float) -> Gaussians:
            g = super().at(t)
            return replace(g, means=g.means * 10 + torch.tensor([5.0, 0.0, 0.0]), scales=g.scales * 10)

    read = read_sequence([exported(tmp_path, "ply", Large())])
    assert "reached out of [-1, 1]: it was moved by [-" in read.remarks[0]
    (first, *_), original = read.asset.frames, SpinningBall().at(0.0)
    ratio = float(first.means.norm(dim=1).max() / first.scales.max())
    assert torch.cat([g.means for g in read.asset.frames]).norm(dim=1).max() == pytest.approx(0.8, abs=1e-5)
    assert ratio == pytest.approx(float(original.means.norm(dim=1).max() / original.scales.max()), rel=0.3)


def edited_glb(path: Path, change: Callable[[dict], None]) -> Path:
    """The GLB with a changed document."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    document, rest = json.loads(content[20 : 20 + length]), content[20 + length :]
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
    path.write_bytes(head + struct.pack("<I4s", len(text), b"JSON") + text + rest)
    return path


def test_the_nodes_of_a_glb_place_its_splats(tmp_path):
    path = exported(tmp_path, "splat-glb", time=0.3)

    def place(document: dict) -> None:
        half = math.sqrt(0.5)
        document["nodes"] = [
            {"children": [1], "rotation": [0, 0, half, half], "translation": [0.1, 0, 0]},
            {"mesh": 0, "scale": [0.5, 0.5, 0.5], "translation": [0, 0.2, 0]},
        ]

    (read,) = read_sequence([edited_glb(path, place)]).asset.frames
    wanted = SpinningBall().at(0.3).select(z_order(SpinningBall().at(0.3)))
    x, y, z = (0.5 * wanted.means + torch.tensor([0, 0.2, 0])).unbind(1)
    placed = torch.stack([0.1 - y, x, z], 1)  # a quarter turn about z
    torch.testing.assert_close(read.means, placed, atol=1e-6, rtol=0)
    torch.testing.assert_close(read.scales, 0.5 * wanted.scales)
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    torch.testing.assert_close(
        rotation_matrices(read.quats), turn @ rotation_matrices(wanted.quats), atol=1e-5, rtol=0
    )


def test_linear_colours_of_a_glb_become_srgb(tmp_path):
    def linear(document: dict) -> None:
        extension = document["meshes"][0]["primitives"][0]["extensions"]["KHR_gaussian_splatting"]
        extension["colorSpace"] = "lin_rec709_display"

    (read,) = read_sequence([edited_glb(exported(tmp_path, "splat-glb", time=0.0), linear)]).asset.frames
    first = SpinningBall().at(0.0)
    light = first.select(z_order(first)).colors.numpy()
    srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(read.colors, srgb, atol=1e-5)


def test_uneven_scales_and_compressed_splats_of_a_glb_are_refused(tmp_path):
    def squeeze(document: dict) -> None:
        document["nodes"][0]["scale"] = [1, 2, 1]

    def compress(document: dict) -> None:
        primitive = document["meshes"][0]["primitives"][0]
        spz = {"KHR_gaussian_splatting_compression_spz_2": {"bufferView": 0}}
        primitive["extensions"]["KHR_gaussian_splatting"]["extensions"] = spz

    for change, sentence in ((squeeze, "scales them unevenly"), (compress, "holds compressed splats")):
        with pytest.raises(UserError, match=sentence):
            read_sequence([edited_glb(exported(tmp_path, "splat-glb", time=0.0), change)])
    with pytest.raises(UserError, match="y up by definition"):
        read_sequence([exported(tmp_path, "splat-glb", time=0.0)], viewer="supersplat")


def test_sog_of_an_older_version_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.sog", "w") as archive:
        archive.writestr("meta.json", json.dumps({"means": {"shape": [3, 3]}}))
    with pytest.raises(UserError, match="SOG of version 1, and ar4d reads version 2"):
        read_sequence([tmp_path / "a.sog"])


def test_frames_of_different_length_are_kept_whole_with_a_word(tmp_path):
    for k, count in enumerate((500, 600)):
        export(SpinningBall(num_frames=1, count=count), "ply", tmp_path / f"{k}.ply",
               find_format("ply").make_options({"time": 0.0}))  # fmt: skip
    read = read_sequence([tmp_path])
    assert "500 to 600 Gaussians" in read.remarks[0]
    assert [int((g.opacities > 1e-3).sum()) for g in read.asset.frames] == [500, 600]


def test_view_dependent_colour_is_left_out_with_a_word(tmp_path):
    g = SpinningBall(count=20).at(0.0)
    count = len(g)
    gsply.plywrite(
        str(tmp_path / "a.ply"), g.means.numpy(), g.scales.log().numpy(), g.quats.numpy(),
        g.opacities.logit().numpy(), np.zeros((count, 3), np.float32), np.ones((count, 3, 3), np.float32),
    )  # fmt: skip
    read = read_sequence([tmp_path / "a.ply"])
    assert read.remarks[0].startswith("a.ply has view-dependent colour")
    np.testing.assert_allclose(read.asset.frames[0].colors, 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["missing.ply"], "There is no file"),
        (["a.txt"], "is no splat file; ar4d imports .ply"),
        (["broken.ply"], "cannot be read as a splat file"),
        (["broken.spz"], "cannot be read as a splat file"),
        (["broken.sog"], "cannot be read as a SOG file"),
        (["broken.glb"], "cannot be read as a GLB with splats"),
        (["broken.usdc"], "cannot be read as USD"),
        (["empty"], "holds no splat file"),
        (["broken.ply", "broken.spz"], r"mix \.ply and \.spz"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(tmp_path, names, sentence):
    (tmp_path / "empty").mkdir()
    for name in ("a.txt", "broken.ply", "broken.spz", "broken.sog", "broken.glb", "broken.usdc"):
        (tmp_path / name).write_bytes(b"ply\nnothing of use")
    with pytest.raises(UserError, match=sentence):
        read_sequence([tmp_path / name for name in names])


def test_a_mesh_and_a_wrong_rate_are_refused(tmp_path):
    mesh = exported(tmp_path, "usd-mesh", resolution=24, animated=False)
    with pytest.raises(UserError, match="no ParticleField3DGaussianSplat"):
        read_sequence([mesh])
    glb = exported(tmp_path, "glb", resolution=24, animated=False)
    with pytest.raises(UserError, match=r"no KHR_gaussian_splatting; export splats, not a mesh"):
        read_sequence([glb])
    with pytest.raises(UserError, match="not 0; change --fps"):
        read_sequence([exported(tmp_path, "ply")], fps=0)


def test_values_that_are_not_finite_are_refused(tmp_path):
    g = SpinningBall(count=10).at(0.0)
    g.means[3, 1] = torch.nan
    gsply.plywrite(
        str(tmp_path / "a.ply"), g.means.numpy(), g.scales.log().numpy(), g.quats.numpy(),
        g.opacities.logit().numpy(), np.zeros((10, 3), np.float32), None,
    )  # fmt: skip
    with pytest.raises(UserError, match="means that are not finite"):
        read_sequence([tmp_path / "a.ply"])


def test_an_imported_sequence_is_an_asset_like_any_other(tmp_path):
    read = read_sequence([exported(tmp_path, "ply")], fps=2.0)
    assert isinstance(read.asset, FrameSequence)
    assert len(read.asset.at(0.25)) == 600
