"""Clips of procedural objects, and the calibration of the facing network on them."""

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
def test_objects_turn_at_the_given_rate(clouds, turning_deg):
    clips = list(calibration.render_clips(clouds, 3, turning_deg, torch.Generator().manual_seed(0)))
    assert sum(len(clip[0].planes) for clip in clips) == 4 * len(clouds)
    for clip in clips:
        for before, after in itertools.pairwise(clip):
            turned = ((azimuths_deg(after.planes) - azimuths_deg(before.planes) + 90) % 180 - 90).abs()
            assert float(turned.median()) == pytest.approx(turning_deg, abs=1)
            assert float((turned - turning_deg).abs().max()) < 6  # crops look along other rays
        moved = (clip[0].pictures - clip[-1].pictures).abs().flatten(1).mean(1)
        assert (moved > 1e-3).float().mean() > 0.5


def test_an_oracle_is_right_and_certain(clouds):
    clip = next(calibration.render_clips(clouds, 2, 0.0, torch.Generator().manual_seed(0)))
    frames = iter(clip)

    def oracle(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = azimuths_deg(next(frames).planes)[:, None] - torch.tensor(AZIMUTHS_DEG)
        return -0.5 * (((away + 90) % 180 - 90) / 4).square(), torch.zeros(len(pictures), 36)

    reported = list(calibration.estimates(oracle, clip))  # pyright: ignore[reportArgumentType]
    assert len(reported) == len(clip[0].planes)
    assert all(probability > 0.95 and error_deg <= 5 for probability, error_deg in reported)


def test_the_table_compares_probabilities_with_outcomes():
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
