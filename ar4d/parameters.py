"""Gaussians as an optimiser sees them: unconstrained, activated only to be rendered or stored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.deformation import DeformationField, Time
from ar4d.gaussians import Gaussians
from ar4d.lifetimes import presence
from ar4d.settings import LearningRates

_EDGE = 1e-4  # how close a logit's value may come to 0 or 1


@dataclass
class Parameters:
    """The trainable copy of a set of Gaussians.

    Offsets of a deformation field act here, on logit-opacities and log-scales: any offset then
    gives a valid Gaussian, and an offset of 0 gives the one that was put in.
    """

    means: Tensor  # [N, 3]
    quats: Tensor  # [N, 4] wxyz, normalised when read
    log_scales: Tensor  # [N, 3]
    logit_opacities: Tensor  # [N]
    colors: Tensor  # [N, 3] logits if sigmoid_colors, else RGB
    sigmoid_colors: bool
    lifetimes: Tensor | None = None
    """[N, 4] when each is there (`ar4d.lifetimes`), for a timed field; None: always."""

    @staticmethod
    def of(gaussians: Gaussians, sigmoid_colors: bool) -> Parameters:
        """A copy of `gaussians`; the originals are never written to."""
        g = gaussians.detach()
        colors = torch.logit(g.colors.clamp(_EDGE, 1 - _EDGE)) if sigmoid_colors else g.colors
        opacities = torch.logit(g.opacities.clamp(_EDGE, 1 - _EDGE))
        return Parameters(g.means, g.quats, g.scales.log(), opacities, colors, sigmoid_colors)

    def activated(self, field: DeformationField | None = None, t: Time = 0.0) -> Gaussians:
        """The Gaussians, deformed by `field` if there is one (Eq. 3; Eq. 9 at time `t`).

        Locked by `test_offsets_add_to_means_logit_opacities_and_log_scales` (tests/test_parameters.py).
        """
        means, quats, log_scales, logits = self.means, self.quats, self.log_scales, self.logit_opacities
        colors = self.colors
        if field is not None:
            means, quats, delta = field(means, quats, t)
            logits, log_scales = logits + delta[:, 0], log_scales + delta[:, 1:4]
            colors = colors + delta[:, 4:] if delta.shape[1] > 4 else colors
        colors = colors.sigmoid() if self.sigmoid_colors else colors
        opacities = logits.sigmoid()
        if self.lifetimes is not None:
            opacities = opacities * presence(self.lifetimes, t)
        return Gaussians(means, F.normalize(quats, dim=-1), log_scales.exp(), opacities, colors)

    def state(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def to(self, device: torch.device | str) -> Parameters:
        moved = {name: value.to(device) for name, value in self.state().items()}
        return Parameters(**moved, sigmoid_colors=self.sigmoid_colors)

    def trainable(self, rates: LearningRates) -> list[tuple[Tensor, float]]:
        """The attributes that learn, each with its rate; a rate of 0 keeps one as it is."""
        named = [
            (self.means, rates.means),
            (self.quats, rates.quats),
            (self.log_scales, rates.scales),
            (self.logit_opacities, rates.opacities),
            (self.colors, rates.colors),
        ]
        return [(tensor.requires_grad_(), lr) for tensor, lr in named if lr > 0]
