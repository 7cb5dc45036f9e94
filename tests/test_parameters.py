"""Eq. 3 and 9 on the parameters: where the offsets act, by hand; copies; what learns."""

import math

import pytest
import torch

from ar4d.asset import DeformedGaussians, FrameSequence, frame_time
from ar4d.deformation import DeformationField
from ar4d.gaussians import Gaussians
from ar4d.parameters import Parameters
from ar4d.settings import FieldSettings, LearningRates

ONE = Gaussians(
    means=torch.tensor([[0.1, 0.2, 0.3]]),
    quats=torch.tensor([[0.6, 0.0, 0.8, 0.0]]),
    scales=torch.tensor([[0.1, 0.2, 0.4]]),
    opacities=torch.tensor([0.5]),
    colors=torch.tensor([[0.25, 0.5, 0.75]]),
)


class Constant(DeformationField):
    """δμ = (t, -t, 0), δα = t ln 3, δs = t (ln 2, 0, -ln 2)."""

    def forward(self, means, quats, t=0.0):
        offsets = torch.tensor([[math.log(3), math.log(2), 0.0, -math.log(2)]])
        return means + t * torch.tensor([1.0, -1.0, 0.0]), quats, t * offsets.expand(len(means), 4)


@pytest.mark.parametrize("sigmoid_colors", [False, True])
def test_offsets_add_to_means_logit_opacities_and_log_scales(sigmoid_colors):
    """An opacity of 1/2 has logit 0; ln 3 more is 3/4. Rotation and colour stay."""
    after = Parameters.of(ONE, sigmoid_colors).activated(Constant(), 1.0)
    torch.testing.assert_close(after.means, torch.tensor([[1.1, -0.8, 0.3]]))
    torch.testing.assert_close(after.opacities, torch.tensor([0.75]))
    torch.testing.assert_close(after.scales, torch.tensor([[0.2, 0.2, 0.2]]))
    torch.testing.assert_close(after.quats, ONE.quats)
    torch.testing.assert_close(after.colors, ONE.colors)


def test_an_asset_deforms_its_canonical_gaussians_by_the_time():
    asset = DeformedGaussians(Parameters.of(ONE, False), Constant(), FieldSettings(), 5, 10.0)
    half = asset.at(frame_time(2, 5))
    torch.testing.assert_close(half.means, torch.tensor([[0.6, -0.3, 0.3]]))
    torch.testing.assert_close(half.opacities, torch.tensor([1 / (1 + 3**-0.5)]))
    torch.testing.assert_close(half.scales, torch.tensor([[0.1 * 2**0.5, 0.2, 0.4 / 2**0.5]]))
    assert [frame_time(k, 5) for k in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert frame_time(0, 1) == 0


def test_frames_are_given_at_their_times_and_mixed_between():
    other = ONE.map(lambda x: x.clone())
    other.means.add_(1.0)
    asset = FrameSequence((ONE, other, ONE), 10.0)
    assert asset.at(0.5) is other
    torch.testing.assert_close(asset.at(0.625).means, ONE.means + 0.75)
    assert asset.at(-1.0) is ONE


def test_the_copy_is_a_copy():
    parameters = Parameters.of(ONE, False)
    parameters.means += 1
    parameters.colors += 1
    assert ONE.means[0, 0] == pytest.approx(0.1)
    assert ONE.colors[0, 0] == pytest.approx(0.25)


def test_only_what_has_a_rate_learns():
    parameters = Parameters.of(ONE, False)
    chosen = parameters.trainable(LearningRates(means=0.1, colors=0.2, scales=0, opacities=0.3, quats=0))
    assert [lr for _, lr in chosen] == [0.1, 0.3, 0.2]
    learning = parameters.means, parameters.logit_opacities, parameters.colors
    assert all(tensor is own for (tensor, _), own in zip(chosen, learning, strict=True))
    assert not parameters.log_scales.requires_grad
