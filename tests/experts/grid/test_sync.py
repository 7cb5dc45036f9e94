"""Synchronisation layers against the paper's equations."""

import torch

from ar4d.experts.grid.sync import HardSync, ModLinear, SoftSync, soft_share


def streams() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    view, time = torch.randn(2, 2, 3, 4, 5, 8, generator=random)
    return view, time, torch.randn(2, 8, generator=random)


def test_hard_synchronisation_begins_as_the_mean():
    view, time, noise = streams()
    a, b = HardSync(8)(view, time, noise)
    torch.testing.assert_close(a, (view + time) / 2)
    assert a is b


def test_soft_synchronisation_begins_as_a_share_of_the_difference():
    """The paper's untrained variant: each stream moves towards the other by w_l."""
    view, time, noise = streams()
    a, b = SoftSync(8, 0.3)(view, time, noise)
    torch.testing.assert_close(a, 0.7 * view + 0.3 * time)
    torch.testing.assert_close(b, 0.7 * time + 0.3 * view)


def test_shares_grow_from_a_tenth_to_a_half():
    torch.testing.assert_close([soft_share(k, 5) for k in range(5)], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert soft_share(0, 1) == 0.1


def test_the_noise_level_scales_the_input_and_shifts_the_output():
    layer = ModLinear(4, torch.randn(3, 8, generator=torch.Generator().manual_seed(1)))
    torch.nn.init.normal_(layer.modulation.weight)
    view, time, noise = torch.randn(1, 2, 4), torch.randn(1, 2, 4), torch.randn(1, 4)
    modulation = layer.modulation.weight.double() @ noise[0].double()
    both = torch.cat([view, time], -1)[0].double() * (1 + modulation[:8])
    expected = both @ layer.linear.weight.double().T + modulation[8:]
    torch.testing.assert_close(layer(view, time, noise)[0].double(), expected, rtol=1e-4, atol=1e-5)
