"""The network over a grid of V views × T times (4Real-Video, Sec. 3), which predicts clean pictures.

"View" and "time" name what a stream's cells attend over: in the time stream the cells of one view (a
fixed-view video), in the view stream those of one time (a frozen moment). Both run the same blocks, told
apart by a context.

Where the paper is silent or starts from a video model that we lack, ours: tables for view, time and place
instead of fixed sines; noise enters as tokens alone, which know its level, while `given` and the flags also
pass by the transformer in skips; the output starts at 0 and is added to what is given, so that an untrained
network returns that.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ar4d.experts.grid.blocks import Block, noise_features
from ar4d.experts.grid.conditions import FLAGS
from ar4d.experts.grid.config import GridConfig
from ar4d.experts.grid.stem import Stem, patches
from ar4d.experts.grid.sync import HardSync, SoftSync, soft_share

FIXED_VIEW, FREEZE_TIME = 0, 1
PICTURE = 4


class GridNetwork(nn.Module):
    """Blocks along views and along time, and what keeps them together (`GridConfig.sync`)."""

    def __init__(self, config: GridConfig) -> None:
        super().__init__()
        self.config, channels = config, config.channels
        self.stem = Stem(config, PICTURE + FLAGS, PICTURE)
        self.noised = nn.Linear(PICTURE * config.patch**2, channels)
        self.place = nn.Parameter(0.02 * torch.randn(config.tokens, channels))
        self.view = nn.Parameter(0.02 * torch.randn(config.views, 1, 1, channels))
        self.time = nn.Parameter(0.02 * torch.randn(config.times, 1, channels))
        self.context = nn.Embedding(2, channels)
        self.noise = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.blocks = nn.ModuleList(Block(channels, config.heads) for _ in range(config.blocks))
        self.syncs = nn.ModuleList(_syncs(config))

    def forward(self, noised: Tensor, given: Tensor, flags: Tensor, sigma: Tensor) -> Tensor:
        """Clean pictures [B, V, T, 4, H, W].

        A grid of one time has only the view stream and one of one view only the time stream: the base model
        of a frozen moment, or of a clip.

        Args:
            noised: [B, V, T, 4, H, W], about in [-1, 1].
            given: the same: what is known or guessed; 0 in empty cells.
            flags: [B, V, T, 2] (`conditions`).
            sigma: [B] noise level in [0, 1]; 1 is noise alone.
        """
        x, skips = self.tokens(noised, given, flags)
        view, time = self.streams(x, sigma)
        pictures = self.stem.pictures(((view + time) / 2).flatten(0, 2), skips)
        return pictures.view_as(given) + given

    def tokens(self, noised: Tensor, given: Tensor, flags: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Tokens [B, V, T, N, C] and the skips."""
        views, times = given.shape[1:3]
        maps = flags[..., None, None].expand(*flags.shape, *given.shape[-2:])
        x, skips = self.stem.tokens(torch.cat([given, maps], 3).flatten(0, 2))
        x = x + self.noised(patches(noised.flatten(0, 2), self.config.patch))
        x = x.unflatten(0, given.shape[:3])
        return x + self.place + self.view[:views] + self.time[:times], skips

    def streams(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """View stream and time stream [B, V, T, N, C] after all blocks; the same where only one acts."""
        noise = self.noise(noise_features(sigma, self.config.channels))
        contexts = [F.silu(noise + self.context.weight[kind]) for kind in (FIXED_VIEW, FREEZE_TIME)]
        alone = self._single_stream(x.shape[1], x.shape[2])
        if alone is not None:
            for block in self.blocks:
                x = alone(block, x, contexts)
            return x, x
        view = time = x
        for number, block in enumerate(self.blocks):
            view, time = (
                view + along_views(block, view, contexts[FREEZE_TIME]),
                time + along_time(block, time, contexts[FIXED_VIEW]),
            )
            if self.syncs:
                view, time = self.syncs[number](view, time, F.silu(noise))
        return view, time

    def _single_stream(
        self, views: int, times: int
    ) -> Callable[[nn.Module, Tensor, list[Tensor]], Tensor] | None:
        """How a block moves the only stream on, or None where there are two."""
        if views == 1 or times == 1:
            kind, act = (FIXED_VIEW, along_time) if views == 1 else (FREEZE_TIME, along_views)
            return lambda block, x, contexts: x + act(block, x, contexts[kind])
        if self.config.sync == "sequential":
            return _sequential
        if self.config.sync == "fused":
            mask = fused_mask(views, times, self.config.tokens, self.place.device)
            return lambda block, x, contexts: x + _fused(block, x, contexts, mask)
        return None


def along_time(block: nn.Module, x: Tensor, context: Tensor) -> Tensor:
    """φ of a block over the cells of each view: [B, V, T, N, C] of the same, and contexts [B, C]."""
    rows = x.flatten(2, 3).flatten(0, 1)
    return block(rows, context.repeat_interleave(x.shape[1], 0)).view_as(x)


def along_views(block: nn.Module, x: Tensor, context: Tensor) -> Tensor:
    """φ of a block over the cells of each time: [B, V, T, N, C] of the same, and contexts [B, C]."""
    return along_time(block, x.transpose(1, 2), context).transpose(1, 2)


def _sequential(block: nn.Module, x: Tensor, contexts: list[Tensor]) -> Tensor:
    """Eq. 5: y = x + φ(x; c^v), then y + φ(y; c^t)."""
    y = x + along_time(block, x, contexts[FIXED_VIEW])
    return y + along_views(block, y, contexts[FREEZE_TIME])


def _fused(block: nn.Module, x: Tensor, contexts: list[Tensor], mask: Tensor) -> Tensor:
    context = (contexts[FIXED_VIEW] + contexts[FREEZE_TIME]) / 2
    return block(x.flatten(1, 3), context, mask).view_as(x)


def fused_mask(views: int, times: int, tokens: int, device: torch.device) -> Tensor:
    """[N, N] true where a token's cell and another's share the view or the time."""
    cells = torch.arange(views * times, device=device).repeat_interleave(tokens)
    view, time = cells // times, cells % times
    return (view[:, None] == view) | (time[:, None] == time)


def _syncs(config: GridConfig) -> list[nn.Module]:
    if config.sync == "hard":
        return [HardSync(config.channels) for _ in range(config.blocks)]
    if config.sync == "soft":
        return [SoftSync(config.channels, soft_share(k, config.blocks)) for k in range(config.blocks)]
    return []
