"""Which cells hear of which, what an untrained network draws, and how large the sizes are."""

from dataclasses import replace

import pytest
import torch

from ar4d.errors import UserError
from ar4d.experts.grid.config import CONFIGS, GridConfig, named
from ar4d.experts.grid.network import GridNetwork, along_time, along_views, fused_mask
from tests.experts.grid.tiny import TINY, inputs, moved

SYNCS = ("soft", "hard", "none", "sequential", "fused")


def heard(network: GridNetwork, blocks: int) -> torch.Tensor:
    """[V, T] how much each cell's tokens change when those of cell (1, 1) do."""
    network.blocks, network.syncs = network.blocks[:blocks], network.syncs[:blocks]
    tokens = torch.randn(
        1, TINY.views, TINY.times, TINY.tokens, 16, generator=torch.Generator().manual_seed(2)
    )
    other = tokens.clone()
    other[0, 1, 1] += torch.randn(TINY.tokens, 16)  # a constant would be taken out by normalisation
    sigma = torch.tensor([0.5])
    a, b = (sum(network.streams(x, sigma)) for x in (tokens, other))
    assert isinstance(a, torch.Tensor)
    assert isinstance(b, torch.Tensor)
    return (a - b)[0].detach().abs().amax((2, 3))


@pytest.mark.parametrize("sync", ["none", "soft", "hard", "fused"])
def test_one_block_reaches_cells_of_the_same_view_or_time_alone(sync):
    change = heard(moved(sync), 1)
    cross = torch.zeros(TINY.views, TINY.times, dtype=torch.bool)
    cross[1], cross[:, 1] = True, True
    assert (change[cross] > 1e-4).all()
    assert (change[~cross] == 0).all()


@pytest.mark.parametrize(("sync", "everywhere"), [
    ("none", False), ("soft", True), ("hard", True), ("fused", True), ("sequential", True),
])  # fmt: skip
def test_two_blocks_reach_every_cell_if_the_streams_meet(sync, everywhere):
    change = heard(moved(sync), 2)
    assert bool((change > 1e-5).all()) == everywhere


def test_the_streams_attend_along_one_axis_each():
    network = moved("none")
    block, context = network.blocks[0], torch.randn(1, 16)
    tokens = torch.randn(1, TINY.views, TINY.times, TINY.tokens, 16)
    other = tokens.clone()
    other[0, 1, 1] += torch.randn(TINY.tokens, 16)
    with torch.no_grad():
        for act, row in ((along_time, (1, slice(None))), (along_views, (slice(None), 1))):
            change = (act(block, tokens, context) - act(block, other, context))[0].abs().amax((2, 3)) > 1e-5
            expected = torch.zeros_like(change)
            expected[row] = True
            assert torch.equal(change, expected)


def test_a_view_of_unsynchronised_streams_is_the_base_model_on_a_clip():
    """The time stream of each view, and a grid of that view alone; the view stream likewise."""
    network = moved("none")
    tokens = torch.randn(1, TINY.views, TINY.times, TINY.tokens, 16)
    sigma = torch.tensor([0.7])
    with torch.no_grad():
        view, time = network.streams(tokens, sigma)
        for k in range(TINY.views):
            torch.testing.assert_close(time[:, k : k + 1], network.streams(tokens[:, k : k + 1], sigma)[1])
        for k in range(TINY.times):
            alone = network.streams(tokens[:, :, k : k + 1], sigma)[0]
            torch.testing.assert_close(view[:, :, k : k + 1], alone)


@pytest.mark.parametrize("sync", SYNCS)
def test_an_untrained_network_draws_what_it_is_given(sync):
    noised, given, flags, sigma = inputs(2)
    assert torch.equal(GridNetwork(replace(TINY, sync=sync))(noised, given, flags, sigma), given)
    drawn = moved(sync)(noised, given, flags, sigma)
    assert drawn.shape == given.shape
    assert (drawn - given).abs().mean() > 1e-3


def test_a_folded_network_has_the_same_pictures_at_its_ends():
    folded = replace(TINY, stem=(4, 8), fold=2)
    noised, given, flags, sigma = inputs(2)
    assert torch.equal(GridNetwork(folded)(noised, given, flags, sigma), given)
    drawn = moved(config=folded)(noised, given, flags, sigma)
    assert drawn.shape == given.shape
    assert (drawn - given).abs().mean() > 1e-3


def test_noise_reaches_the_pictures_by_the_tokens_alone():
    network = moved()
    noised, given, flags, sigma = inputs()
    torch.nn.init.zeros_(network.noised.weight)
    with torch.no_grad():
        assert torch.equal(
            network(noised, given, flags, sigma), network(torch.zeros_like(noised), given, flags, sigma)
        )


def test_tokens_of_a_fused_grid_see_their_view_and_their_time():
    mask = fused_mask(2, 3, 2, torch.device("cpu"))
    assert mask.shape == (12, 12)
    for a in range(12):
        for b in range(12):
            same = a // 6 == b // 6 or (a // 2) % 3 == (b // 2) % 3
            assert bool(mask[a, b]) == same


def test_the_paper_size_has_its_parameters():
    """Sec. 4: about 600 million, of which the synchronisation is ours to add; text attention is left out."""
    with torch.device("meta"):
        network = GridNetwork(named("paper"))
    blocks = sum(p.numel() for p in network.blocks.parameters())
    d = 1024
    assert blocks == 24 * (18 * d**2 + 15 * d)
    assert 0.4e9 < blocks < 0.65e9
    assert 0.55e9 < sum(p.numel() for p in network.parameters()) < 0.85e9
    assert network.config.tokens == 18 * 32


@pytest.mark.parametrize("name", sorted(set(CONFIGS) - {"paper"}))
def test_every_size_can_be_made(name):
    with torch.device("meta"):
        GridNetwork(named(name))


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(UserError, match='no size "huge"'):
        named("huge")
    with pytest.raises(UserError, match="not whole patches"):
        GridConfig(height=60)
    with pytest.raises(UserError, match="heads"):
        GridConfig(heads=5)
    with pytest.raises(UserError, match="azimuths"):
        GridConfig(views=3)
    with pytest.raises(UserError, match="convolutions"):
        GridConfig(stem=(8, 8))
