"""How results are compared with kept figures."""

import copy
import json

import pytest

from ar4d.bench import guard as figures
from ar4d.bench.results import Pair, open_results, write_pair
from ar4d.cli import main
from ar4d.errors import UserError


def pair_of(psnr: float, iou: float, distance: float | None) -> dict:
    """A result whose own view is perfect and whose unseen ones have these means."""
    unseen = [{"psnr": psnr + d, "iou": iou, "lpips": distance} for d in (-1, 1)]
    views = {"own": {"psnr": 90.0, "iou": 1.0, "lpips": 0.0}, "left": unseen[0], "right": unseen[1]}
    return {"views": views, "reference": "own", "seconds": 1.0, "protocols": {}, "shape": {}, "notes": {}}


@pytest.fixture
def out(tmp_path):
    """Two objects, two seeds: PSNR 20 and 21 by seed."""
    facts = {"preset": "cpu", "frames": 8, "size": 64, "protocols": []}
    open_results(tmp_path / "out", facts, "ar4d bench run")
    for seed, psnr in ((0, 20.0), (1, 21.0)):
        for name, more in (("ant", -2.0), ("bee", 2.0)):
            write_pair(
                tmp_path / "out", Pair("full", name, seed), pair_of(psnr + more, 0.6 + 0.1 * seed, 0.2), {}
            )
    write_pair(tmp_path / "out", Pair("white", "ant", 0), pair_of(5.0, 0.0, 0.9), {})
    return tmp_path / "out"


def test_figures_are_means_over_objects_and_the_range_over_seeds(out):
    full = figures.figures(out)["variants"]
    assert list(full) == ["full"]  # baselines do not change
    assert full["full"]["psnr"] == pytest.approx({"mean": 20.5, "spread": 1.0})
    assert full["full"]["iou"] == pytest.approx({"mean": 0.65, "spread": 0.1})
    assert full["full"]["lpips"] == pytest.approx({"mean": 0.2, "spread": 0.0})


def test_check_fails_where_a_figure_is_worse_by_more_than_its_spread(out, tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert main(["bench", "check", str(out), str(path), "--write"]) == 0
    assert main(["bench", "check", str(out), str(path)]) == 0
    assert "No figure is worse" in capsys.readouterr().out
    committed = json.loads(path.read_text())
    for metric, change, worse in (
        ("psnr", 0.99, False),
        ("psnr", 1.01, True),
        ("psnr", -5.0, False),
        ("iou", 0.11, True),
        ("lpips", -0.01, True),
        ("lpips", 0.01, False),
    ):
        changed = copy.deepcopy(committed)
        changed["variants"]["full"][metric]["mean"] += change
        path.write_text(json.dumps(changed))
        assert main(["bench", "check", str(out), str(path)]) == (2 if worse else 0)
        said = capsys.readouterr()
        assert (
            f"{metric.upper().replace('IOU', 'IoU')} of full at unseen views is worse" in said.err
        ) == worse


def test_lpips_without_weights_is_said_and_not_compared(out, tmp_path, capsys):
    path = tmp_path / "figures.json"
    figures.write_figures(figures.figures(out), path)
    for seed in (0, 1):
        write_pair(out, Pair("full", "ant", seed), pair_of(20.0, 0.7, None), {})
    assert main(["bench", "check", str(out), str(path)]) == 0
    assert "lpips is not compared" in capsys.readouterr().out


def test_what_cannot_be_compared_is_one_sentence(out, tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert main(["bench", "check", str(out), str(path)]) == 2
    assert "holds no figures" in capsys.readouterr().err
    path.write_text('{"variants": {"full": {"psnr": 3}}}')
    with pytest.raises(UserError, match="holds no figures"):
        figures.read_figures(path)
    found = figures.figures(out)
    with pytest.raises(UserError, match="their objects differ"):
        figures.worse(found, found | {"objects": ["ant"]})
    with pytest.raises(UserError, match="they share no variant"):
        figures.worse(found, found | {"variants": {"best": found["variants"]["full"]}})


def test_a_run_that_is_not_finished_is_one_sentence(out, tmp_path, capsys):
    Pair("full", "bee", 1).path(out).unlink()
    assert main(["bench", "check", str(out), str(tmp_path / "figures.json")]) == 2
    said = capsys.readouterr().err
    assert "is not finished: bee in full with seed 1 is missing, one of 1; run its command again" in said
