"""How what the clip does not see is held to what it sees: by its own inertia and by rigid neighbours.

The pseudo-views are imagined for every frame by itself and do not agree from frame to frame. Where they
alone decide, Gaussians are moved through one another and painted again and again, and the body becomes
debris. So hidden Gaussians learn slowly or not at all by themselves, and ride along with the nodes of the
field, which move as rigidly as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.deformation import DeformationField, NodeField, Time
from ar4d.engines.ar4d.rigidity import NodeGraph, node_exposure
from ar4d.gaussians import Gaussians
from ar4d.settings import HoldSettings
from ar4d.visibility import exposure


@dataclass(frozen=True, eq=False)
class Hold:
    """What holds one set of Gaussians in a fit."""

    exposed: Tensor | None
    """[N] in [0, 1], how far the clip sees each Gaussian; None where nothing is held."""
    options: HoldSettings

    @staticmethod
    def of(frames: Sequence[Gaussians], reference: Cameras, options: HoldSettings) -> Hold:
        """Holds what none of the frames shows to the reference camera.

        Args:
            frames: sets of the same N Gaussians.
        """
        if options == HoldSettings():
            return Hold(None, options)
        return Hold(torch.stack([exposure(frame, reference) for frame in frames]).amax(0), options)

    @property
    def freedom(self) -> Tensor | None:
        """[N] share of the learning rates that each Gaussian has; None: all of them."""
        if self.exposed is None or self.options.hidden_rate == 1:
            return None
        return self.options.hidden_rate + (1 - self.options.hidden_rate) * self.exposed

    def rigidity(self, field: DeformationField) -> Callable[[Time], Tensor] | None:
        """The energy of the field's motion, a function of the time t; None where nothing is to be rigid."""
        if not isinstance(field, NodeField) or (graph := self.graph(field)) is None:
            return None
        return lambda t: graph.energy(field.at_nodes(t))

    def graph(self, field: NodeField) -> NodeGraph | None:
        """The edges that resist; None where nothing is to be rigid."""
        options = self.options
        if self.exposed is None or max(options.rigidity_hidden, options.rigidity_seen) == 0:
            return None
        seen = node_exposure(self.exposed, field.indices, field.weights, len(field.nodes))
        return NodeGraph.of(field.nodes, seen, options.rigidity_hidden, options.rigidity_seen)
