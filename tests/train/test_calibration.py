"""Clips of made-up objects, and how right the facing network is on them."""

import itertools
import re

import pytest
import torch

from ar4d.experts.embedded.facing import AZIMUTHS_DEG
from train.data.point_clouds import stack_clouds
from train.data.procedural.clouds import procedural_clouds
from train.embedded import calibration


@pytest.fixture(scope="module")
def clouds():
    made = [cloud for cloud in procedural_clouds(10, 2, 3000, 5) if cloud.symmetric]
    return stack_clouds(made, torch.device("cpu"))


def azimuths_deg(planes: torch.Tensor) -> torch.Tensor:
    return torch.rad2deg(torch.atan2(planes[:, 1], planes[:, 0])) / 2


@pytest.mark.parametrize("turning_deg", [0.0, 5.0])
def test_objects_turn_as_they_are_told(clouds, turning_deg):
    clips = list(calibration.render_clips(clouds, 3, turning_deg, torch.Generator().manual_seed(0)))
    assert sum(len(clip[0].planes) for clip in clips) == 4 * len(clouds)
    for clip in clips:
        for before, after in itertools.pairwise(clip):
            turned = ((azimuths_deg(after.planes) - azimuths_deg(before.planes) + 90) % 180 - 90).abs()
            assert float(turned.median()) == pytest.approx(turning_deg, abs=1)
            assert float((turned - turning_deg).abs().max()) < 6  # close-ups look from elsewhere
        moved = (clip[0].pictures - clip[-1].pictures).abs().flatten(1).mean(1)
        assert (moved > 1e-3).float().mean() > 0.5


def test_who_tells_the_truth_is_right_and_sure_of_it(clouds):
    clip = next(calibration.render_clips(clouds, 2, 0.0, torch.Generator().manual_seed(0)))
    frames = iter(clip)

    def knowing(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = azimuths_deg(next(frames).planes)[:, None] - torch.tensor(AZIMUTHS_DEG)
        return -0.5 * (((away + 90) % 180 - 90) / 4).square(), torch.zeros(len(pictures), 36)

    told = list(calibration.estimates(knowing, clip))  # pyright: ignore[reportArgumentType]
    assert len(told) == len(clip[0].planes)
    assert all(chance > 0.95 and away_deg <= 5 for chance, away_deg in told)


def test_the_table_holds_chances_against_what_came_true():
    lines = calibration.table(torch.tensor([0.3, 0.95, 0.95, 1.0]), torch.tensor([False, True, False, True]))
    assert lines.splitlines() == [
        "4 answers: 0.80 sure, 0.50 right",
        "     1: 0.30 sure, 0.00 right",
        "     3: 0.97 sure, 0.67 right",
    ]


def test_the_program_runs(capsys):
    calibration.main(["--objects", "10", "--frames", "2", "--turning", "0", "--points", "3000"])
    first = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"40 answers: 0\.\d\d sure, [01]\.\d\d right", first)
