"""The sizes in which LGM was published (arXiv 2402.05054; 3DTopia/LGM, `core/options.py`)."""

from __future__ import annotations

from dataclasses import dataclass

VIEWS = 4  # attention runs over all views of an object; the network knows no other number
INPUT_CHANNELS = 9  # RGB and the six Plücker coordinates of the pixel's ray
OUTPUT_CHANNELS = 14  # position 3, opacity 1, scale 3, rotation 4 (wxyz), RGB 3


@dataclass(frozen=True)
class LgmConfig:
    """The asymmetric U-Net: one entry per level, from the picture inwards and out again."""

    input_size: int
    down_channels: tuple[int, ...]
    down_attention: tuple[bool, ...]
    up_channels: tuple[int, ...]
    up_attention: tuple[bool, ...]

    @property
    def splat_size(self) -> int:
        """Width and height of the map of Gaussians that one view becomes."""
        return self.input_size >> (len(self.down_channels) - 1) << (len(self.up_channels) - 1)

    @property
    def num_gaussians(self) -> int:
        return VIEWS * self.splat_size**2


BIG = LgmConfig(
    input_size=256,
    down_channels=(64, 128, 256, 512, 1024, 1024),
    down_attention=(False, False, False, True, True, True),
    up_channels=(1024, 1024, 512, 256, 128),
    up_attention=(True, True, True, False, False),
)
"""415 million parameters, 65,536 Gaussians: the size of the published weights."""

TINY = LgmConfig(
    input_size=256,
    down_channels=(32, 64, 128, 256, 512),
    down_attention=(False, False, False, False, True),
    up_channels=(512, 256, 128),
    up_attention=(True, False, False),
)
"""60 million parameters, 16,384 Gaussians."""
