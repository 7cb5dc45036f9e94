"""The benchmark and its sheets on two tiny objects. Nothing is lifted here."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ar4d.errors import UserError
from ar4d.evaluation import lpips
from benchmarks import bench4d, contact_sheet
from tests.support.bench_folder import moving_gaussians, write_object


@pytest.fixture(autouse=True)
def no_lpips(monkeypatch):
    monkeypatch.delenv(lpips.VARIABLE, raising=False)


@pytest.fixture(scope="module")
def views(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for seed, name in enumerate(("ant", "bee")):
        write_object(folder / name, moving_gaussians(3, seed))
    return folder


def bench(views: Path, folder: Path, *arguments: object) -> None:
    places = ("--views", views, "--out", folder / "out", "--renders", folder / "renders")
    bench4d.main([str(x) for x in (*places, *arguments)])


def sheets(views: Path, folder: Path) -> None:
    places = ("--views", views, "--renders", folder / "renders", "--out", folder / "sheets", "--cell", 32)
    contact_sheet.main([str(x) for x in places])


def test_baselines_in_two_runs(views, tmp_path, capsys):
    bench(views, tmp_path, "--variants", "white", "--objects", "bee")
    capsys.readouterr()
    bench(views, tmp_path, "--variants", "truth", "white", "input-frame", "--jobs", 2)
    lines = [line for line in capsys.readouterr().out.splitlines() if "dB at unseen" in line]
    everything = {(v, n) for v in ("truth", "white", "input-frame") for n in ("ant", "bee")}
    assert {tuple(line.split()[:2]) for line in lines} == everything - {
        ("white", "bee")
    }  # kept from the first run

    results = json.loads((tmp_path / "out" / "bench4d.json").read_text())
    assert len(results["commands"]) == 2
    reports = {v: {n: r["report"] for n, r in pairs.items()} for v, pairs in results["finished"].items()}
    assert reports["truth"]["ant"]["test"]["psnr"] == 100
    assert reports["truth"]["ant"]["test"]["roughness"] == pytest.approx(1)
    assert reports["white"]["bee"]["test"]["iou"] == 0
    assert reports["input-frame"]["ant"]["reference"]["psnr"] > 30  # the same picture at twice the size
    assert reports["input-frame"]["ant"]["test"]["psnr"] < 25
    mean = sum(reports["white"][n]["test"]["psnr"] for n in ("ant", "bee")) / 2
    table = (tmp_path / "out" / "bench4d.md").read_text().splitlines()
    assert f"| {mean:.2f} |" in next(line for line in table if line.startswith("| white |"))


def test_sheets(views, tmp_path):
    bench(views, tmp_path, "--variants", "truth", "white", "input-frame")
    sheets(views, tmp_path)
    assert (tmp_path / "sheets" / "bee.png").exists()
    sheet = np.asarray(Image.open(tmp_path / "sheets" / "ant.png").convert("L"))
    assert sheet.shape == (22 + 2 * 32, 150 + 2 * 5 * 32)  # the truth and one row; two frames of five cameras
    assert sheet[22:54, 150:182].min() < 200  # the truth is not empty,
    own, behind = sheet[54:86, 150:182], sheet[54:86, 150 + 3 * 32 : 150 + 4 * 32]
    assert np.array_equal(own, behind)  # the row under it is the clip's frame, the same for every camera
    assert np.abs(own.astype(int) - sheet[22:54, 150:182]).mean() < 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--objects", "cat"), 'no object "cat"; choose from: ant, bee'),
        (("--variants", "best"), 'no variant "best"; choose from: truth, white'),
        (("--preset", "best", "--variants", "white"), 'no preset "best"'),
        (("--frames", "9", "--variants", "white"), "3 frames: ask for 1 to 3, not 9"),
    ],
)
def test_wrong_options_are_named(views, tmp_path, arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        bench(views, tmp_path, *arguments)


def test_results_of_other_settings_are_not_mixed(views, tmp_path):
    bench(views, tmp_path, "--variants", "white", "--objects", "ant")
    with pytest.raises(UserError, match="choose another --out"):
        bench(views, tmp_path, "--variants", "white", "--frames", 2)
    bench(
        views, tmp_path, "--variants", "white", "--preset", "fast"
    )  # nothing was lifted with the other preset
    path = tmp_path / "out" / "bench4d.json"
    results = json.loads(path.read_text())
    results["finished"]["full"] = results["finished"]["white"]
    path.write_text(json.dumps(results))
    bench(views, tmp_path, "--variants", "full", "--preset", "fast")  # all there
    with pytest.raises(UserError, match="choose another --out"):
        bench(views, tmp_path, "--variants", "white", "--preset", "cpu")


def test_nothing_to_show(views, tmp_path):
    with pytest.raises(UserError, match="holds no pictures"):
        sheets(views, tmp_path)


def test_no_objects(tmp_path):
    with pytest.raises(UserError, match="holds no object"):
        bench(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("yaw_deg", "word"),
    [(0, "front"), (25, "front-right"), (68, "right"), (-82, "left"), (200, "back"), (-22, "front")],
)
def test_the_nearest_named_direction(tmp_path, yaw_deg, word):
    (tmp_path / "meta.json").write_text(json.dumps({"yaw_deg": yaw_deg}))
    assert bench4d.facing_of(tmp_path) == word
