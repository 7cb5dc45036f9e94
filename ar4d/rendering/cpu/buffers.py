"""Arrays for rendering the same number of Gaussians again and again, and rendering in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians
from ar4d.kernels.parallel import Chain
from ar4d.rendering.cpu.binning import bin_splats
from ar4d.rendering.cpu.layout import SPLAT_SIZE, num_pixels, num_tiles, table_of_views
from ar4d.rendering.cpu.projection import project
from ar4d.rendering.cpu.tiles import blend_tiles

ROOM = 1.3  # times the instances that a view had when its room was measured


@dataclass(eq=False)
class Images:
    """Pixels of all views, one view after the other."""

    rgb: np.ndarray  # [P, 3]
    depth: np.ndarray  # [P]
    alpha: np.ndarray  # [P]

    @staticmethod
    def empty(count: int) -> Images:
        return Images(np.zeros((count, 3), np.float32), *np.zeros((2, count), np.float32))

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.rgb, self.depth, self.alpha


@dataclass(eq=False)
class ViewBuffers:
    """What rendering C views of N Gaussians needs."""

    sizes: Sequence[tuple[int, int]]
    num_gaussians: int
    room: list[int] = field(default_factory=list)
    """How many instances each view may have."""

    def __post_init__(self) -> None:
        C, N = len(self.sizes), self.num_gaussians
        self.table = table_of_views(self.sizes)
        self.viewmats, self.Ks = np.zeros((C, 4, 4), np.float32), np.zeros((C, 3, 3), np.float32)
        self.splats, self.boxes = np.zeros((C, N, SPLAT_SIZE), np.float32), np.zeros((C, N, 4), np.int32)
        self.touched, self.ends = np.zeros((C, N), np.int32), np.zeros((C, N), np.int64)
        self.wanted = np.zeros(C, np.int64)
        self.tile_ends, self.kept_ends = np.zeros((2, num_tiles(self.table)), np.int64)
        self.images = Images.empty(num_pixels(self.table))
        self.backdrop = np.ones(3, np.float32)
        self.make_room(self.room or [4 * N] * C)

    def make_room(self, room: list[int]) -> None:
        """Makes room for so many instances in each view."""
        self.room = room
        self.starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(room, dtype=np.int64)])
        self.ids = np.zeros(self.starts[-1], np.int32)
        self.instance_grads = np.zeros((self.starts[-1], SPLAT_SIZE), np.float32)
        self.used = np.zeros(self.starts[-1], np.bool_)

    def splatted(self) -> tuple[np.ndarray, ...]:
        """What `project` fills."""
        return self.splats, self.boxes, self.touched

    def binning(self) -> tuple[np.ndarray, ...]:
        """The arguments of `bin_splats`."""
        bits, found = self.splats.view(np.uint32), (self.starts, self.wanted, self.ends, self.tile_ends)
        return self.table, bits, self.boxes, self.touched, *found, self.ids

    def blending(self) -> tuple[np.ndarray, ...]:
        """The arguments of `blend_tiles`."""
        tiles, splats = (self.table, self.starts, self.tile_ends, self.ids), (self.splats, self.boxes)
        return *tiles, *splats, self.backdrop, self.kept_ends, *self.images.arrays()

    def covered_pixels(self) -> int:
        """Pixels in the boxes of the splats of the last binning, closed ones included."""
        seen = self.boxes[self.touched > 0].astype(np.int64)
        return int(((seen[:, 1] - seen[:, 0]) * (seen[:, 3] - seen[:, 2])).sum())

    def has_room(self) -> bool:
        """Whether all instances of the last binning had room."""
        return bool((self.wanted <= self.room).all())

    def grow(self) -> None:
        """Makes room for the instances of the last binning, and for some more."""
        pairs = zip(self.room, self.wanted.tolist(), strict=True)
        self.make_room([max(had, int(ROOM * wanted) + 1) if wanted > had else had for had, wanted in pairs])


class Renderer:
    """Renders sets of N Gaussians on white into one view of a fixed size, without gradients."""

    def __init__(self, num_gaussians: int, size: int) -> None:
        self._views, self._size = ViewBuffers([(size, size)], num_gaussians), size

    def render(self, gaussians: Gaussians, camera: Cameras) -> tuple[torch.Tensor, ...]:
        """The images of `rasterize` on white, bit for bit, for one camera."""
        views = self._views
        views.viewmats[0], views.Ks[0] = camera.viewmats[0].numpy(), camera.Ks[0].numpy()
        attributes = [x.detach().float().contiguous().numpy() for x in gaussians.state().values()]
        while not self._chain(attributes).run(views.has_room, bin_splats):
            views.grow()
        rgb, depth, alpha = (torch.from_numpy(image.copy()) for image in views.images.arrays())
        shape = 1, self._size, self._size
        return rgb.view(*shape, 3), depth.view(shape), alpha.view(shape)

    def _chain(self, attributes: list[np.ndarray]) -> Chain:
        views = self._views
        return Chain(
            [
                [(project, (*attributes, views.viewmats, views.Ks, views.table, *views.splatted()))],
                [(bin_splats, views.binning())],
                [(blend_tiles, views.blending())],
            ]
        )
