"""The facing direction: candidate planes, and the evidence of a clip."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from ar4d.experts.embedded.facing import (
    AZIMUTHS_DEG,
    OFFSET_UNIT,
    FacingConfig,
    KnownPlane,
    NetworkPlaneFinder,
    angle_between_deg,
    estimate_facing,
    smooth_over_clip,
    top_planes,
)
from ar4d.experts.embedded.network import IN_SIZE
from ar4d.experts.embedded.symmetry import upright_plane

CONFIG = FacingConfig()


def peak(azimuth_deg: float, height: float) -> torch.Tensor:
    away = (torch.tensor(AZIMUTHS_DEG) - azimuth_deg + 90).remainder(180) - 90
    return height * torch.exp(-0.5 * (away / 5).square())


@pytest.mark.parametrize("azimuth_deg", [0.0, 37.5, -90.0, 88.0])
def test_the_likeliest_plane_lies_between_the_steps(azimuth_deg):
    offsets = torch.tensor([0.7 if a > -90 else -0.7 for a in AZIMUTHS_DEG])  # -90 is 90 from behind
    planes, chances = top_planes(peak(azimuth_deg, 12.0), offsets)
    true = torch.tensor(upright_plane(azimuth_deg, 0.7 * OFFSET_UNIT if azimuth_deg > -90 else -0.07))
    assert angle_between_deg(planes[0], true) < 1
    torch.testing.assert_close(planes[0, 2:], true[2:], atol=0.006, rtol=0)
    torch.testing.assert_close(planes[0, :2].norm(), torch.tensor(1.0))
    assert chances[0] > 0.9
    assert not planes[-1].any()
    torch.testing.assert_close(chances.sum(), torch.tensor(1.0))


def test_two_ends_are_two_candidates():
    logits = torch.logaddexp(peak(60, 8.0), peak(-60, 7.0))
    planes, chances = top_planes(logits, torch.zeros(36))
    assert angle_between_deg(planes[0], torch.tensor(upright_plane(60, 0))) < 2
    assert angle_between_deg(planes[1], torch.tensor(upright_plane(-60, 0))) < 2
    assert chances[0] > chances[1] > chances[2]
    flat, unsure = top_planes(torch.zeros(36), torch.zeros(36))
    assert unsure[-1] > 0.5  # nothing is known: most of the weight is on no plane
    assert torch.isfinite(flat).all()


def test_weights_are_sharpened_probabilities():
    logits = torch.full((36,), -60.0)
    logits[[18, 30, 6]] = torch.tensor([0.6, 0.3, 0.1]).log()
    _, counts = top_planes(logits, torch.zeros(36))
    expected = torch.tensor([0.36, 0.09, 0.01, 0.0]) / 0.46
    torch.testing.assert_close(counts, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("hint_deg", [None, 30.0])
def test_smoothing_matches_the_sum_over_all_paths(hint_deg):
    """Compared with the sum over all rates and paths, with evidence for a few azimuths only."""
    random = np.random.default_rng(0)
    logits = torch.full((4, 36), -60.0)
    alive = [0, 3, 4, 20, 35]
    logits[:, alive] = torch.from_numpy(random.normal(0, 2, (4, 5))).float()
    steps = np.array(AZIMUTHS_DEG)
    expected = np.zeros((4, 36))
    for rate in CONFIG.rates_deg:
        shown = CONFIG.frame_weight * logits.double().numpy()
        if hint_deg is not None:
            beside = (steps - hint_deg - rate * np.arange(4)[:, None] + 90) % 180 - 90
            shown = shown - np.maximum(abs(beside) - CONFIG.hint_half_width_deg, 0) ** 2 / (
                2 * CONFIG.hint_edge_std_deg**2
            )
        away = (steps[:, None] + rate - steps + 90) % 180 - 90
        turning = np.exp(-0.5 * (away / CONFIG.turn_std_deg) ** 2) + CONFIG.outlier_prob
        turning /= turning.sum(1, keepdims=True)
        for path in itertools.product(alive, repeat=4):
            chance = np.exp(-0.5 * (rate / CONFIG.rate_std_deg) ** 2)
            chance *= np.exp(sum(shown[k, a] for k, a in enumerate(path)))
            chance *= np.prod([turning[a, b] for a, b in itertools.pairwise(path)])
            for k, a in enumerate(path):
                expected[k, a] += chance
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(smooth_over_clip(logits, hint_deg).exp().numpy(), expected, atol=1e-4)


def test_a_single_frame_is_not_smoothed():
    logits = torch.randn(1, 36, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(smooth_over_clip(logits), logits.log_softmax(1))


def test_identical_frames_are_as_certain_as_one():
    random = np.random.default_rng(1)
    shape = np.exp(-0.5 * (np.arange(-18, 18) / 3.0) ** 2)
    one = torch.from_numpy(np.log(np.roll(shape, 4) + 0.02) + random.normal(0, 0.1, 36)).float()[None]
    azimuth_deg, alone = estimate_facing(smooth_over_clip(one)[0], 1)
    spelled_out = one[0].softmax(0).roll(18 - AZIMUTHS_DEG.index(azimuth_deg))[14:23].sum()
    assert alone == pytest.approx(float(spelled_out), rel=1e-5)  # the probability within four steps
    for count in (2, 8, 24):
        together = estimate_facing(smooth_over_clip(one.expand(count, -1))[0], count)
        assert together[0] == azimuth_deg
        assert together[1] == pytest.approx(alone, abs=0.1)


def test_an_object_may_turn():
    logits = torch.stack([peak(-60 + 6 * k, 10.0) for k in range(20)])
    best = smooth_over_clip(logits).argmax(1)
    for k in range(20):
        assert abs(AZIMUTHS_DEG[int(best[k])] - (-60 + 6 * k)) <= 5


@pytest.mark.parametrize("rate_deg", [0, 5])
def test_a_hint_for_the_first_frame_turns_with_the_object(rate_deg):
    """Every frame has two peaks 80 degrees apart; the hint selects one of them."""
    frames = [(20 + rate_deg * k, 100 + rate_deg * k) for k in range(16)]
    logits = torch.stack([torch.maximum(peak(right, 4.0), peak(wrong, 4.5)) for right, wrong in frames])
    hinted = smooth_over_clip(logits, 40.0).argmax(1)
    for k, (right, _) in enumerate(frames):
        assert abs((AZIMUTHS_DEG[int(hinted[k])] - right + 90) % 180 - 90) <= 5
    wrong = smooth_over_clip(logits).argmax(1)
    assert abs((AZIMUTHS_DEG[int(wrong[0])] - 100 + 90) % 180 - 90) <= 5


class Brightness(nn.Module):
    """A stand-in for the trained network: darker pictures face 40 degrees, brighter ones -40."""

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        bright = pictures[:, :12].mean((1, 2, 3)) > 0.5
        logits = torch.stack([peak(-40 if b else 40, 9.0) for b in bright])
        return logits, torch.zeros(len(pictures), 36)


def test_a_clip_corrects_an_outlier_frame():
    pictures = torch.zeros(7, 4, IN_SIZE, IN_SIZE)
    pictures[:, 3] = 1
    for k in range(7):
        pictures[k, :3, 20 + 4 * k : 60 + 4 * k, 30:90] = 0.3  # a moving mark
    pictures[3, :3] = 0.9
    alone = NetworkPlaneFinder(Brightness())  # pyright: ignore[reportArgumentType]
    facing = torch.tensor(upright_plane(40, 0))
    assert angle_between_deg(alone(pictures[0])[0][0], facing) < 2
    assert angle_between_deg(alone(pictures[3])[0][0], facing) > 60
    watched = alone.with_clip(pictures)
    for picture in pictures:
        assert angle_between_deg(watched(picture)[0][0], facing) < 4
    assert alone.facing_estimate is None
    seen = watched.facing_estimate
    assert seen is not None
    assert seen[0] == 40
    assert 0.8 < seen[1] <= 1  # by six of seven frames


def test_frames_that_are_not_looked_at_follow_those_that_are():
    class Turning(Brightness):
        looks = 0

        def forward(self, pictures):
            self.looks += 1
            azimuth = 160 * float(pictures[:, :12].mean()) - 80
            return peak(azimuth, 9.0)[None], torch.zeros(1, 36)

    network = Turning()
    pictures = torch.stack([torch.full((4, IN_SIZE, IN_SIZE), 0.2 + 0.6 * k / 19) for k in range(20)])
    pictures[:, 3] = 1
    each = NetworkPlaneFinder(network).with_clip(pictures)  # pyright: ignore[reportArgumentType]
    assert network.looks == 20
    some = NetworkPlaneFinder(network).with_clip(pictures, stride=4)  # pyright: ignore[reportArgumentType]
    assert network.looks == 25
    assert each.clip is not None
    assert some.clip is not None
    moved = (each.clip.logits.argmax(1) - some.clip.logits.argmax(1)).abs()
    assert moved.max() <= 1  # steps of five degrees
    assert some.clip.num_looked_at == 5
    assert len(some.clip.thumbnails) == 20


def test_a_known_plane_ignores_the_clip():
    plane = torch.tensor(upright_plane(20, 0.1))
    finder = KnownPlane(plane).with_clip(torch.zeros(2, 4, IN_SIZE, IN_SIZE))
    planes, chances = finder(torch.zeros(4, IN_SIZE, IN_SIZE))
    assert torch.equal(planes[0], plane)
    assert chances.tolist() == [1.0]
