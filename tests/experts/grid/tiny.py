"""A network that is small and no longer at its start."""

from dataclasses import replace

import torch

from ar4d.experts.grid.config import GridConfig
from ar4d.experts.grid.network import GridNetwork

TINY = GridConfig(times=3, height=16, width=16, channels=16, blocks=2, heads=2, stem=(4, 4, 8))


def moved(sync: str = "soft", config: GridConfig = TINY, seed: int = 0) -> GridNetwork:
    """A network whose parameters are all random, so that nothing is hidden by zeros."""
    torch.manual_seed(seed)
    network = GridNetwork(replace(config, sync=sync))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def inputs(batch: int = 1, config: GridConfig = TINY, seed: int = 1) -> tuple[torch.Tensor, ...]:
    """Noised and given pictures, flags and noise levels."""
    random = torch.Generator().manual_seed(seed)
    shape = batch, config.views, config.times, 4, config.height, config.width
    noised, given = torch.randn(shape, generator=random), torch.randn(shape, generator=random)
    flags = torch.zeros(batch, config.views, config.times, 2)
    flags[:, 0, :, 0] = 1
    return noised, given, flags, torch.rand(batch, generator=random)
