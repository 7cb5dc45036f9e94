"""The embedded expert alone on tiny objects with ground truth."""

import json
import math

import pytest
import torch

from ar4d.errors import UserError
from ar4d.evaluation import lpips
from ar4d.experts.embedded.facing import KnownPlane
from ar4d.experts.embedded.symmetry import reflect, upright_plane
from benchmarks import embedded_only
from tests.support.bench_folder import moving_gaussians, write_object

YAW_DEG, SCALE, CENTRE = 68, 0.25, (0.4, 2.1, -0.3)


@pytest.fixture
def views(tmp_path, monkeypatch):
    """One object whose meta.json defines its plane."""
    monkeypatch.delenv(lpips.VARIABLE, raising=False)
    folder = write_object(tmp_path / "views" / "ant", moving_gaussians(2))
    meta = json.loads((folder / "meta.json").read_text())
    meta |= {"yaw_deg": YAW_DEG, "framing": {"scale": SCALE, "centre": CENTRE}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return tmp_path / "views"


def test_the_true_plane_is_the_models_own(views):
    """Symmetric points, turned and placed by meta.json, are mirror images in the true plane."""
    left = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    right = left * torch.tensor([-1.0, 1.0, 1.0])
    a = math.radians(YAW_DEG)
    turn = torch.tensor([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    placed = [SCALE * (points @ turn.T - torch.tensor(CENTRE)) for points in (left, right)]
    plane = torch.tensor(upright_plane(*embedded_only.true_plane(views / "ant")))
    torch.testing.assert_close(reflect(placed[0], plane), placed[1], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("azimuth_deg", "offset"), [(0.0, 0.1), (-85.0, -0.2), (68.0, 0.0)])
def test_azimuth_and_offset_invert_upright_plane(azimuth_deg, offset):
    result = embedded_only.azimuth_and_offset(upright_plane(azimuth_deg, offset))
    assert result == pytest.approx((azimuth_deg, offset))


def test_likeliest_replaces_azimuth_or_offset():
    found = KnownPlane(torch.tensor(upright_plane(30.0, 0.1)))
    picture = torch.zeros(4, 8, 8)

    def found_by(finder):
        planes, chances = finder(picture)
        assert planes.shape == (1, 4)
        assert chances.tolist() == [1]
        return embedded_only.azimuth_and_offset(planes[0].tolist())

    assert found_by(embedded_only.Likeliest(found)) == pytest.approx((30, 0.1), abs=1e-5)
    assert found_by(embedded_only.Likeliest(found, azimuth_deg=50.0)) == pytest.approx((50, 0.1), abs=1e-5)
    assert found_by(embedded_only.Likeliest(found, offset=-0.2)) == pytest.approx((30, -0.2), abs=1e-5)


def test_a_table_for_each_kind_of_planes(views, capsys):
    kinds = ("none", "found", "hinted", "likeliest", "true-azimuth", "true-offset", "true")
    options = ("--frames", 2, "--size", 96, "--gaussians", 800, "--planes", *kinds)
    embedded_only.main([str(x) for x in ("--views", views, *options)])
    tables = capsys.readouterr().out.split("planes: ")[1:]
    assert [table.splitlines()[0] for table in tables] == list(kinds)
    rows = [next(line for line in table.splitlines() if line.startswith("| ant")) for table in tables]
    numbers = [[cell.strip() for cell in row.split("|")[2:-1]] for row in rows]
    assert all(10 < float(psnr) < 40 and float(iou) > 0.3 for psnr, iou, *_ in numbers)
    assert numbers[0] != numbers[-1]  # planes make a difference
    assert numbers[0][2] == "–"  # no LPIPS weights were named


def test_a_missing_plane_is_named(views):
    path = views / "ant" / "meta.json"
    meta = json.loads(path.read_text())
    del meta["framing"]
    path.write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"does not define the plane of symmetry .*yaw_deg and framing"):
        embedded_only.main(["--views", str(views), "--planes", "true"])


def test_an_unknown_object_is_named(views):
    with pytest.raises(UserError, match='no object "bee"; choose from: ant'):
        embedded_only.main(["--views", str(views), "--objects", "bee"])
