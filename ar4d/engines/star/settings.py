"""Settings of the engine `star`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ar4d.settings import Amount, Count, EngineSettings, Pixels, RefineSettings, Share, documented

NO_REFINEMENT = RefineSettings(enabled=False)


@documented
@dataclass(frozen=True)
class SamplingSettings:
    """How the codes of unseen views are drawn."""

    temperature: Amount = 0.0
    """0: always the likeliest code, which is nearest to the truth with the program's own weights; 1: as the
    network's probabilities say."""
    top_p: Share = 0.9
    """Share of the probability, from the likeliest code on, that may be drawn."""


@dataclass(frozen=True)
class StarSettings(EngineSettings):
    """All settings of the engine."""

    engine: Literal["star"] = "star"
    """The method that turns the clip into an asset."""
    preset: str = "star"
    size: Pixels = 256
    """Width and height at which the clip is shown."""
    pseudo_size: Pixels = 128
    """Width and height of the refinement's views from other sides."""
    expert: str = field(default="auto", metadata={"role": "clip_to_gaussians"})
    """Which expert turns the clip into Gaussians that move."""
    weights: str = field(default="", metadata={"local": True})
    """Weights file, as train.star.export writes it; empty: the expert's own."""
    gaussians: Count = 12000
    """About how many Gaussians are wanted."""
    sampling: SamplingSettings = SamplingSettings()
    refine: RefineSettings = NO_REFINEMENT
    """AR4D's stage 3 on the predicted frames; off, the asset is what was predicted."""
