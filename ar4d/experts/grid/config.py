"""Sizes of the network, from one that trains within an afternoon on two cores to the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ar4d.errors import UserError

Sync = Literal["soft", "hard", "none", "sequential", "fused"]
"""How the cells attend to one another.

- soft, hard: two streams that are synchronised after every block (4Real-Video, Eq. 8-10).
- none: two streams that meet only in the output.
- sequential: one stream; every block acts along time, then along views (Eq. 5).
- fused: one stream; a token attends to its own frame, time and view (4Real-Video-V2, arXiv 2506.18839).
"""


@dataclass(frozen=True)
class GridConfig:
    """Shape of a grid and size of the network.

    Raises:
        UserError: the numbers do not fit together.
    """

    views: int = 4
    times: int = 4
    height: int = 64
    width: int = 64
    patch: int = 8
    channels: int = 192
    """Width of the transformer, a multiple of `heads`."""
    blocks: int = 4
    heads: int = 3
    stem: tuple[int, ...] = (24, 48, 96)
    """Channels of the convolutions from full size, over `fold`, down to twice the patches' grid; none:
    patches alone."""
    fold: int = 1
    """Side of the squares of pixels that enter the first convolution as one, and leave the last."""
    sync: Sync = "soft"
    azimuths_deg: tuple[float, ...] = (0.0, 90.0, 180.0, 270.0)
    """Of the views that it is trained for; the network knows them by their number."""

    def __post_init__(self) -> None:
        if self.channels % self.heads or self.channels % 2:
            raise UserError(f"{self.channels} channels are not a multiple of {self.heads} heads and of 2.")
        if self.height % self.patch or self.width % self.patch:
            raise UserError(f"{self.height}×{self.width} pixels are not whole patches of {self.patch}.")
        if self.stem and self.fold * 2 ** len(self.stem) != self.patch:
            raise UserError(
                f"{len(self.stem)} convolutions halve a picture to patches of "
                f"{self.fold * 2 ** len(self.stem)} pixels, not {self.patch}."
            )
        if len(self.azimuths_deg) != self.views or self.azimuths_deg[0] != 0:
            raise UserError(f"{self.views} views need as many azimuths, the first of them 0.")

    @property
    def tokens(self) -> int:
        """Tokens of a picture."""
        return (self.height // self.patch) * (self.width // self.patch)


def _turn(views: int) -> tuple[float, ...]:
    return tuple(360.0 * k / views for k in range(views))


CONFIGS = {
    "pico": GridConfig(times=2, height=32, width=32, channels=64, blocks=2, heads=2, stem=(8, 16, 32)),
    "nano": GridConfig(times=2, channels=96, heads=2, stem=(32, 48), fold=2),
    "small": GridConfig(),
    "base": GridConfig(channels=256, blocks=8, heads=4, stem=(32, 64, 128)),
    "base-96": GridConfig(height=96, width=96, channels=256, blocks=8, heads=4, stem=(32, 64, 128)),
    "base-8": GridConfig(
        views=8, times=8, height=32, width=32, channels=256, blocks=8, heads=4, stem=(), azimuths_deg=_turn(8)
    ),
    "lab": GridConfig(
        views=8, times=8, channels=384, blocks=12, heads=6, stem=(48, 96, 192), azimuths_deg=_turn(8)
    ),
    "paper": GridConfig(
        views=8, times=8, height=72, width=128, patch=4, channels=1024, blocks=24, heads=16, stem=(),
        azimuths_deg=_turn(8),
    ),
}  # fmt: skip
"""Named sizes. `paper` is the published one: pixel space, 72×128, then a diffusion upsampler to 288×512 (the
same network on an enlarged, slightly noised picture in place of `given`), which is not part of this package:
the fit takes its details from the clip. The paper's blocks also attend to a text, which no user of ours
has."""


def named(name: str) -> GridConfig:
    """The configuration called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in CONFIGS:
        raise UserError(f'There is no size "{name}" of the grid network; take one of {", ".join(CONFIGS)}.')
    return CONFIGS[name]
