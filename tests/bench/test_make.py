"""`ar4d bench make`: what it writes, that it goes on, and that its bits do not depend on the machine."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ar4d.bench import models as models_module
from ar4d.bench.catalogue import Entry, entries, files, named, reserved
from ar4d.bench.make import DEPTH_UNIT, Recipe, cameras_of, make
from ar4d.bench.models import Models
from ar4d.cli import main
from ar4d.errors import UserError
from ar4d.evaluation.ground_truth import read_ground_truth
from ar4d.evaluation.shapes import read_points
from ar4d.scenes.made import MADE

TINY = ("--size", 32, "--input-size", 48, "--frames", 3)


def bench_make(*arguments: object) -> int:
    return main(["bench", "make", *map(str, arguments)])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made")
    assert bench_make(out, "--sources", "made", "--objects", "car", "bird", *TINY) == 0
    return out


def test_it_is_what_the_evaluation_reads(made):
    car, bird = (read_ground_truth(made / name) for name in ("car", "bird"))
    assert car.num_frames == 3
    assert len(car.views) == 12
    reference = next(view for view in bird.views if view.name == bird.reference)
    assert (reference.azimuth_deg, reference.elevation_deg) == (0, 15)
    for azimuth in (-75, 15, 105, 195):
        assert [view.elevation_deg for view in bird.at(azimuth)] == [15]
    assert {view.elevation_deg for view in car.views} == {0, 15}
    with Image.open(made / "car" / "input" / "0000.png") as picture:
        assert (picture.mode, picture.size) == ("RGBA", (48, 48))
    points = read_points(made / "car", 3)
    assert points is not None
    assert points.shape == (3, 4096, 3)


def test_meshes_points_and_depth_agree(made):
    """Every point lies on the mesh; none is nearer than the depth picture where it is seen."""
    with np.load(made / "car" / "mesh.npz") as mesh:
        vertices, faces = mesh["vertices"].astype(np.float64), mesh["faces"]
    points = np.load(made / "car" / "points.npy").astype(np.float64)
    low, high = vertices[1][faces].min((0, 1)), vertices[1][faces].max((0, 1))
    assert (points[1] > low - 1e-6).all()
    assert (points[1] < high + 1e-6).all()
    meta = json.loads((made / "car" / "meta.json").read_text())
    camera = meta["cameras"]["az+090el+00"]
    with Image.open(made / "car" / "depth" / "az+090el+00" / "0001.png") as picture:
        depth = np.asarray(picture).astype(np.float64) * meta["depth_unit"]
    assert meta["depth_unit"] == DEPTH_UNIT
    viewmat, K = np.array(camera["viewmat"]), np.array(camera["K"])
    seen = points[1] @ viewmat[:3, :3].T + viewmat[:3, 3]
    flat = seen @ K.T
    column, row = (np.floor(flat[:, k] / flat[:, 2]).astype(int) for k in (0, 1))
    behind = seen[:, 2] - depth[row, column]
    covered = depth[row, column] > 0
    assert covered.mean() > 0.9
    assert np.quantile(behind[covered], 0.01) > -0.08  # pixels are 0.06 wide
    assert (np.abs(behind[covered]) < 0.08).mean() > 0.3  # what this camera sees


def test_normals_are_unit_vectors(made):
    with Image.open(made / "bird" / "normals" / "az+000el+15" / "0000.png") as picture:
        values = np.asarray(picture).astype(np.float64)
    there = values.any(-1)
    lengths = np.linalg.norm(values[there] / 127.5 - 1, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=0.02)


def test_what_is_there_is_not_made_again(made, capsys, monkeypatch):
    def never(*_):
        raise AssertionError("made twice")

    monkeypatch.setattr(Models, "clip", never)
    assert bench_make(made, "--sources", "made", "--objects", "car", *TINY) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["car", "vehicle", "made", "for", "tuning"]
    assert bench_make(made, "--sources", "made", "--objects", "car") == 2
    assert "choose another folder" in capsys.readouterr().err


def test_a_killed_object_leaves_no_folder(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ar4d.bench.make.surface_points", killed)
    entry = next(e for e in entries() if e.name == "car")
    with pytest.raises(KeyboardInterrupt):
        list(make(tmp_path, [entry], Models(), Recipe(32, 48, 2)))
    assert not (tmp_path / "car").exists()


def test_other_processors_give_the_same_bits(made, tmp_path):
    """Another instruction set for the kernels and for NumPy's matrices, and one thread."""
    other = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "OPENBLAS_CORETYPE": "Prescott"}
    one = {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3", "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    command = [sys.executable, "-m", "ar4d", "bench", "make", str(tmp_path / "out"), "--sources", "made"]
    command += ["--objects", "bird", *map(str, TINY)]
    done = subprocess.run(command, env={**os.environ, **other, **one}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    checksums = [
        json.loads((folder / "bird" / "meta.json").read_text())["checksum"]
        for folder in (made, tmp_path / "out")
    ]
    assert checksums[0] == checksums[1]


def test_the_set_is_what_it_promises():
    kinds = {kind: [e.name for e in entries() if e.kind == kind] for kind in {e.kind for e in entries()}}
    assert len(entries()) >= 24
    assert set(kinds) == {"animal", "person", "bird", "vehicle", "plant", "turning", "thin", "thing"}
    assert {e.elevation for e in entries()} == {0, 15}
    assert len({e.yaw for e in entries()}) > 10
    assert set(named("tuning")).isdisjoint(named("measuring"))
    assert len(named("tuning")) + len(named("measuring")) == len(entries())
    assert set(MADE) == {e.model for e in entries() if e.source == "made"}
    assert set(files()) == {e.model for e in entries() if e.source == "gltf"}
    for entry in entries():
        if entry.source == "0ad":
            assert any(fnmatch(entry.model, pattern) for pattern in reserved()), entry.name
        assert entry.credit.licence in ("CC-BY-SA-3.0", "CC0-1.0", "CC0-1.0 AND CC-BY-4.0", "Apache-2.0")


def test_checksums_are_committed_for_all_objects():
    import ar4d.bench.make as module

    published = module._published()
    assert set(published) == {entry.name for entry in entries()}
    assert all(len(value) == 64 for value in published.values())


def test_camera_names_are_their_places():
    entry = next(e for e in entries() if e.elevation == 15)
    assert list(cameras_of(entry, 8))[:2] == ["az+000el+15", "az+015el+15"]
    assert list(cameras_of(entry, 8))[-1] == "az+315el+00"


def entry_of(source: str) -> Entry:
    return next(e for e in entries() if e.source == source)


def test_missing_and_wrong_models_are_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(models_module, "DEBIAN", tmp_path / "public.zip")
    assert bench_make(tmp_path / "out", "--sources", "0ad", *TINY) == 2
    said = capsys.readouterr().err
    assert "install Debian's package 0ad-data" in said
    assert "Traceback" not in said
    (tmp_path / "public.zip").write_bytes(b"no archive")
    with pytest.raises(UserError, match="not a zip file"):
        Models().clip(entry_of("0ad"), 2)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("art/actors/fauna/ant.xml", "<actor/>")
    with pytest.raises(UserError, match=r'no actor "units/mauryas/infantry_archer_e".*release 0\.0\.26'):
        Models(tmp_path / "other.zip").clip(entry_of("0ad"), 2)
    with pytest.raises(UserError, match=r"Fox\.glb is not there: get it from https://"):
        Models(gltf=tmp_path).clip(entry_of("gltf"), 2)
    (tmp_path / "Fox.glb").write_bytes(b"another fox")
    with pytest.raises(UserError, match="is not the file that the benchmark is made of"):
        Models(gltf=tmp_path).clip(entry_of("gltf"), 2)


def test_a_file_is_fetched_once_and_compared(tmp_path, monkeypatch):
    """From a server that has another file: what arrives is not used, and the sentence says where to look."""
    import dataclasses

    source = tmp_path / "source.glb"
    source.write_bytes(b"not the fox")
    fox = dataclasses.replace(files()["fox"], url=source.as_uri())
    monkeypatch.setattr(models_module, "files", lambda: {"fox": fox})
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    with pytest.raises(UserError, match="is not the file"):
        Models().clip(entry_of("gltf"), 2)
    assert (tmp_path / "cache" / "models" / "Fox.glb").read_bytes() == b"not the fox"
    right = dataclasses.replace(fox, sha256=hashlib.sha256(b"not the fox").hexdigest())
    monkeypatch.setattr(models_module, "files", lambda: {"fox": right})
    with pytest.raises(UserError, match=r"Fox\.glb cannot be read as glTF \(not a binary"):
        Models().clip(entry_of("gltf"), 2)
    gone = dataclasses.replace(fox, name="gone.glb", url=(tmp_path / "gone").as_uri())
    monkeypatch.setattr(models_module, "files", lambda: {"fox": gone})
    with pytest.raises(UserError, match=r"cannot be fetched.*name that with --gltf"):
        Models().clip(entry_of("gltf"), 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--objects", "cat"), 'no object "cat"; choose from: archer'),
        (("--sources", "made", "--objects", "lion"), 'no object "lion"; choose from: car'),
        (("--frames", "1"), "--frames is from 2 to 256, not 1"),
        (("--input-size", "9000"), "--input-size is from 16 to 2048, not 9000"),
    ],
)
def test_wrong_options_are_named(tmp_path, capsys, arguments, sentence):
    assert bench_make(tmp_path, *arguments) == 2
    assert sentence in capsys.readouterr().err
