"""What is wrong with a folder, a render or a weights file: one sentence each, from the command line."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ar4d.asset import FrameSequence
from ar4d.bench import run as running
from ar4d.cli import main
from ar4d.evaluation import lpips
from tests.support.bench_folder import moving_gaussians, write_object


@pytest.fixture(scope="module")
def ant(tmp_path_factory) -> Path:
    return write_object(tmp_path_factory.mktemp("views") / "ant", moving_gaussians(3))


def edit_meta(folder: Path, **changes: object) -> None:
    path = folder / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def opaque(folder: Path) -> None:
    for path in (folder / "views" / "az+090").glob("*.png"):
        with Image.open(path) as picture:
            picture.putalpha(255)
            picture.save(path)


def smaller(path: Path) -> None:
    with Image.open(path) as picture:
        picture.resize((24, 24)).save(path)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a missing view": (lambda f: shutil.rmtree(f / "views" / "az+090"), "There are no frames in"),
    "another size": (lambda f: smaller(f / "views" / "az+015" / "0001.png"), "0001.png is 24×24 pixels"),
    "fewer frames than stated": (lambda f: edit_meta(f, frames=5), "states 5 frames, but its views have 3"),
    "a view with fewer frames": (
        lambda f: (f / "views" / "az+195" / "0002.png").unlink(),
        "differ in their number of frames",
    ),
    "opaque truth": (opaque, "are opaque everywhere"),
    "no clip": (lambda f: shutil.rmtree(f / "input"), "input holds 0 pictures, but the true views have 3"),
    "a clip with fewer frames": (
        lambda f: (f / "input" / "0002.png").unlink(),
        "holds 2 pictures, but the true views have 3",
    ),
    "points of other frames": (
        lambda f: np.save(f / "points.npy", torch.rand(2, 50, 3).numpy()),
        "points.npy has 2 frames, but the views have 3",
    ),
}


def lifts_perfectly(
    monkeypatch, spoil: Callable[[FrameSequence], FrameSequence] = lambda asset: asset
) -> None:
    monkeypatch.setattr(running, "lift", lambda clip, settings: spoil(moving_gaussians(3)))


@pytest.mark.parametrize("case", CASES)
def test_wrong_folders(case, ant, tmp_path, capsys, monkeypatch):
    spoil, sentence = CASES[case]
    folder = shutil.copytree(ant, tmp_path / "views" / "ant")
    spoil(folder)
    lifts_perfectly(monkeypatch)
    out = tmp_path / "out"
    assert main(["bench", "run", str(tmp_path / "views"), "--out", str(out), "--variants", "full"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not list(out.rglob("seed-*.json"))


def test_renders_that_are_no_numbers(ant, tmp_path, capsys, monkeypatch):
    def spoiled(asset: FrameSequence) -> FrameSequence:
        last = asset.frames[-1]
        return FrameSequence((*asset.frames[:-1], replace(last, colors=last.colors * float("nan"))), fps=10)

    lifts_perfectly(monkeypatch, spoiled)
    assert main(["bench", "run", str(ant.parent), "--out", str(tmp_path), "--variants", "full"]) == 2
    assert "A render of ant in full holds values that are no numbers." in capsys.readouterr().err
    assert not list(tmp_path.rglob("seed-*.json"))


@pytest.mark.parametrize("content", [b"damaged", b""])
def test_damaged_weights(ant, tmp_path, capsys, monkeypatch, content):
    (tmp_path / "alex.pt").write_bytes(content)
    monkeypatch.setenv(lpips.VARIABLE, str(tmp_path / "alex.pt"))
    out = tmp_path / "out"
    assert main(["bench", "run", str(ant.parent), "--out", str(out), "--variants", "white"]) == 2
    said = capsys.readouterr().err
    assert "alex.pt" in said
    assert "Traceback" not in said
    assert not list(out.rglob("seed-*.json"))


def test_an_elevated_clip_is_lifted_with_its_elevation(ant, tmp_path, monkeypatch):
    folder = shutil.copytree(ant, tmp_path / "views" / "ant")
    meta = json.loads((folder / "meta.json").read_text())
    cameras = {name: camera | {"elevation_deg": 15.0} for name, camera in meta["cameras"].items()}
    edit_meta(folder, cameras=cameras, input_camera={"azimuth_deg": 0, "elevation_deg": 15.0})
    seen = []

    def lift(clip, settings):
        seen.append(settings.elevation_deg)
        return moving_gaussians(3)

    monkeypatch.setattr(running, "lift", lift)
    out = tmp_path / "out"
    assert main(["bench", "run", str(tmp_path / "views"), "--out", str(out), "--variants", "full"]) == 0
    assert seen == [15.0]
