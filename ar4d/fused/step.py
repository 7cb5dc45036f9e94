"""The chain of kernels of a training step, and what changes from step to step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ar4d.asset import frame_time
from ar4d.cameras import Cameras
from ar4d.deformation import NodeField
from ar4d.fused.adam import BETA1, BETA2, adam
from ar4d.fused.comparing import Comparing
from ar4d.fused.gaussians import follow, follow_backward
from ar4d.fused.images import find_region
from ar4d.fused.memory import Activated, Flat
from ar4d.fused.nodes import CHUNK, nodes_backward, pack_nodes, rigid_edges
from ar4d.kernels.blend import CHUNKS, EXTRAS
from ar4d.kernels.parallel import Chain
from ar4d.lifetimes import presence
from ar4d.losses import Terms
from ar4d.parameters import Parameters
from ar4d.rendering import Rendering
from ar4d.rendering.cpu.binning import bin_splats
from ar4d.rendering.cpu.buffers import ViewBuffers
from ar4d.rendering.cpu.projection import project
from ar4d.rendering.cpu.tiles import blend_tiles
from ar4d.rendering.cpu.tiles_backward import blend_tiles_backward

OWN = ("means", "quats", "log_scales", "logit_opacities", "colors")
TABLE = "table"
OFFSETS = 4  # that a field without colours has beside the transform


@dataclass(eq=False)
class Lane:
    """What steps with views of certain sizes need."""

    views: ViewBuffers
    comparing: Comparing
    chain: Chain


class FusedStep:
    """Steps of one fit. The parameters and the field's table are moved into its memory."""

    def __init__(
        self,
        parameters: Parameters,
        field: NodeField | None,
        freedom: Tensor | None = None,
        edges: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
        color_change: float = 0.0,
    ) -> None:
        """
        Args:
            field: one whose offsets are a table, or None: the Gaussians stay where they are.
            freedom: [N] factors on the steps of the Gaussians' own parameters.
            edges: between nodes, that resist: heads, tails, edges and resistance, see kernels/rigidity.py.
            color_change: weight of the mean square of the colours' offsets.
        """
        self.parameters, self.field, self.edges = parameters, field, edges
        parts = {name: getattr(parameters, name).float() for name in OWN}
        if field is not None:
            parts[TABLE] = field.table.detach().float()
        self.flat = Flat(parts)
        for name in OWN:
            setattr(parameters, name, self.flat.tensor(name))
        if field is not None:
            field.table.data = self.flat.tensor(TABLE)
        if freedom is not None:
            self.flat.shorten(freedom.detach().float().numpy(), OWN)
        self.color_change = np.float32(color_change)
        self.activated = Activated.empty(len(parameters.means))
        self._allocate_nodes()
        self._rates, self._unbias = np.zeros(len(self.flat.names), np.float32), np.zeros(1, np.float32)
        self._lanes: dict[tuple, Lane] = {}

    def step(
        self,
        u: int,
        rates: dict[str, float],
        cameras: Sequence[Cameras],
        targets: Sequence[Rendering],
        terms: Sequence[Terms],
        keyframe: int = 0,
    ) -> None:
        """Takes step `u` (0-based).

        Args:
            rates: of this step, by parameter; those that are missing stay as they are.
            cameras: one for each view. Structural similarity is compared in the first view alone.
            targets: one for each view; what a view's terms do not weigh is not looked at.
            terms: how the views are compared with their targets.
            keyframe: of the field's table, where the Gaussians are rendered.
        """
        for group, name in enumerate(self.flat.names):
            self._rates[group] = rates.get(name, 0.0) / (1 - BETA1 ** (u + 1))
        self._unbias[0] = 1 / math.sqrt(1 - BETA2 ** (u + 1))
        self._moment[0] = keyframe
        lane = self._lane = self.lane([(camera.width, camera.height) for camera in cameras])
        for c, (camera, target, weights) in enumerate(zip(cameras, targets, terms, strict=True)):
            lane.views.viewmats[c], lane.views.Ks[c] = camera.viewmats[0].numpy(), camera.Ks[0].numpy()
            lane.comparing.set_target(c, target)
            lane.comparing.set_terms(c, weights)
        while not lane.chain.run(lane.views.has_room, bin_splats):
            lane.views.grow()
            lane.chain = self.chain(lane.views, lane.comparing)

    def lane(self, sizes: Sequence[tuple[int, int]]) -> Lane:
        """What steps with views of these sizes need."""
        key = tuple(sizes)
        if key not in self._lanes:
            views = ViewBuffers(key, len(self.parameters.means))
            comparing = Comparing(views)
            self._lanes[key] = Lane(views, comparing, self.chain(views, comparing))
        return self._lanes[key]

    @property
    def view(self) -> Tensor:
        """[1, H, W, 3] the first view of the last step, before it."""
        width, height = self._lane.views.sizes[0]
        rgb = self._lane.views.images.rgb[: width * height]
        return torch.from_numpy(rgb.reshape(1, height, width, 3).copy())

    def loss(self) -> float:
        """The loss of the last step, before it."""
        total = self._lane.comparing.loss() + float(self._energy[0])
        if self.color_change > 0 and self.field is not None:
            squares = float(self._squares.sum(dtype=np.float64))
            total += float(self.color_change) * squares / (3 * len(self.field.nodes))
        return total

    def timed(self) -> dict[str, float]:
        """Takes the last step once more, on one thread; the processor's seconds of each kernel."""
        return self._lane.chain.timed()

    def work(self) -> tuple[int, int]:
        """Of the last step: pixels in the boxes of all instances that were blended, and similar colours."""
        views = self._lane.views
        return views.covered_pixels(), self._lane.comparing.compared_colors()

    def spoiled(self) -> dict[str, int]:
        """How many gradients of the last step were no finite numbers, by parameter; these did not move."""
        return self.flat.spoiled_names() if self.flat.spoiled.any() else {}

    def _allocate_nodes(self) -> None:
        field, N = self.field, len(self.parameters.means)
        M = len(field.nodes) if field is not None else 0
        extras = field.table.shape[2] - 6 if field is not None else OFFSETS
        self._moment = np.zeros(1, np.int64)
        self._nodes, self._packed = np.zeros((M, 3), np.float32), np.zeros((M, EXTRAS + extras), np.float32)
        self._grad_packed = np.zeros((CHUNKS, M, EXTRAS + extras), np.float32)
        self._indices, self._weights = np.zeros((N, 0), np.int32), np.zeros((N, 0), np.float32)
        self._free, self._present = np.zeros(0, np.float32), np.zeros((0, N), np.bool_)
        if field is not None:
            self._nodes[:] = field.nodes.numpy()
            self._indices, self._weights = field.indices.numpy(), field.weights.numpy()
            self._free = field.freedom.numpy() if field.freedom is not None else self._free
        if field is not None and self.parameters.lifetimes is not None:
            times = [frame_time(k, len(field.table)) for k in range(len(field.table))]
            there = [presence(self.parameters.lifetimes, t) > 0 for t in times]
            self._present = torch.stack(there).numpy()
        held = M if self.edges is not None else 0
        self._grad_turns, self._grad_moves = np.zeros((held, 9), np.float32), np.zeros((held, 3), np.float32)
        self._energy, self._squares = np.zeros(1, np.float64), np.zeros(-(-M // CHUNK), np.float32)

    def chain(self, views: ViewBuffers, comparing: Comparing) -> Chain:
        """The chain of a lane; it holds the arrays as they are now."""
        flat, moment = self.flat, self._moment
        arrays = flat.blocks, flat.values, flat.grads, flat.first, flat.second, flat.shares
        learn = [(adam, (*arrays, self._rates, self._unbias, flat.spoiled))]
        forward, backward = self._forward(views, comparing), self._backward(views, comparing)
        if self.field is None:
            return Chain([*forward, *comparing.steps(), *backward, learn])
        table, grad_table = flat.part(flat.values, TABLE), flat.part(flat.grads, TABLE)
        pack = [(pack_nodes, (table, moment, self._nodes, self._packed))]
        held = self._grad_turns, self._grad_moves
        if self.edges is not None:
            edges = [x.contiguous().numpy() for x in self.edges]
            forward[0].append((rigid_edges, (self._packed, table, moment, *edges, *held, self._energy)))
        parts = moment, self._nodes, self._grad_packed, *held, self.color_change
        back = [(nodes_backward, (table, *parts, grad_table, self._squares))]
        return Chain([pack, *forward, *comparing.steps(), *backward, back, learn])

    def _following(self) -> tuple:
        return self._packed, self._indices, self._weights, self._free

    def _forward(self, views: ViewBuffers, comparing: Comparing) -> list[list[tuple]]:
        own = (self.flat.part(self.flat.values, name) for name in OWN)
        present = self._present, self._moment
        follows = (
            *self._following(),
            *present,
            *own,
            self.parameters.sigmoid_colors,
            *self.activated.arrays(),
        )
        cameras = views.viewmats, views.Ks, views.table
        return [
            [(follow, follows)],
            [(project, (*self.activated.arrays(), *cameras, *views.splatted()))],
            [
                (bin_splats, views.binning()),
                (find_region, (views.table, views.boxes, views.touched, *comparing.boxes)),
            ],
            [(blend_tiles, views.blending())],
        ]

    def _backward(self, views: ViewBuffers, comparing: Comparing) -> list[list[tuple]]:
        bins = views.splats, views.boxes
        means, quats, *_ = (self.flat.part(self.flat.values, name) for name in OWN)
        grads = (self.flat.part(self.flat.grads, name) for name in OWN)
        tiles = views.table, views.starts, views.tile_ends, views.kept_ends, views.ids
        images = *views.images.arrays(), *comparing.grads.arrays()
        cameras = views.viewmats, views.Ks, views.table
        at_rest = means, quats, self.parameters.sigmoid_colors
        instances = views.touched, views.ends, views.instance_grads, views.used
        back = *self._following(), *at_rest, *self.activated.arrays(), *cameras, *instances
        return [
            [(blend_tiles_backward, (*tiles, *bins, *instances[:2], *images, *instances[2:]))],
            [(follow_backward, (*back, self._grad_packed, *grads))],
        ]
