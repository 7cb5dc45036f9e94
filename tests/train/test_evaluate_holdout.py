"""Measuring the embedded expert on objects that no run trains on."""

import re

import pytest
import torch

from ar4d.errors import UserError
from ar4d.rendering import Rendering
from train.embedded import evaluate_holdout

NUMBER = r"(\d+\.\d+)"


def test_a_line_for_each_kind_of_planes(capsys):
    evaluate_holdout.main(["--pictures", "8", "--points", "4000", "--gaussians", "1500"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "8 pictures: PSNR, IoU, roughness, fog"
    matches = [re.fullmatch(rf"planes (\w+): {NUMBER}, {NUMBER}, {NUMBER}, {NUMBER}%", x) for x in lines[1:]]
    assert [match and match[1] for match in matches] == ["true", "found"]
    for match in matches:
        assert match is not None
        assert 10 < float(match[2]) < 30
        assert 0.3 < float(match[3]) < 1


def test_the_other_three_views_are_measured(monkeypatch):
    """With the truth in place of the expert's renders, the scores are the best possible."""
    views = torch.rand(4, 4, 128, 128)
    views[:, :3] *= views[:, 3:]
    white = (views[:, :3] + 1 - views[:, 3:]).permute(0, 2, 3, 1)
    truth = Rendering(white[1:], torch.zeros(3, 128, 128), views[1:, 3])
    monkeypatch.setattr(evaluate_holdout, "render", lambda gaussians, cameras: truth)
    assert evaluate_holdout.measure(views, torch.zeros(4), "true", 500).psnr > 60


def test_a_pack_without_validation_meshes_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate_holdout, "clouds_of_actors", lambda *arguments, **options: [])
    with pytest.raises(
        UserError, match=r"actors.npz has no validation meshes; pack it again, without --no-holdout"
    ):
        evaluate_holdout.main(["--actors", str(tmp_path / "actors.npz")])
