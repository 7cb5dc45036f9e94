"""A scene whose depth is known: a floor, a wall, and a box before the wall that moves to the right."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ar4d.cameras import intrinsics
from ar4d.clip import Clip, Crop
from ar4d.experts.depth import DepthLift

WALL, BOX, FLOOR = 2.4, 1.2, -0.55  # depths of wall and box, height of the floor, world units
BOX_SIZE = (0.5, 0.4)
STEP = 0.06  # world units that the box moves a frame


def scene(frame: float, size: int, camera_x: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Picture [S, S, 3] in [0, 1] and depth [S, S] from a camera that looks along its axis.

    The camera stands at (camera_x, 0), so that views from beside are known as well.
    """
    focal = float(intrinsics(size)[0, 0])
    v, u = np.meshgrid(np.arange(size) + 0.5 - size / 2, np.arange(size) + 0.5 - size / 2, indexing="ij")
    x, y = u / focal, -v / focal
    depth = np.full((size, size), WALL)
    on_floor = y < FLOOR / WALL
    depth[on_floor] = FLOOR / y[on_floor]
    left = -0.35 + STEP * frame
    box_x, box_y = x * BOX + camera_x, y * BOX
    on_box = (box_x > left) & (box_x < left + BOX_SIZE[0]) & (np.abs(box_y + 0.1) < BOX_SIZE[1] / 2)
    depth[on_box] = BOX
    world_x, world_y = x * depth + camera_x, y * depth
    checks = (np.floor(world_x * 4) + np.floor(np.where(on_floor, depth, world_y) * 4)) % 2
    picture = np.where(checks[..., None] > 0, (0.35, 0.5, 0.75), (0.6, 0.7, 0.85))
    stripes = np.floor((box_x - left) * 12) % 2
    picture = np.where(
        on_box[..., None], np.stack([0.75 + 0.15 * stripes, 0.3 + 0 * x, 0.2 + 0 * x], -1), picture
    )
    return picture, depth


def scene_clip(num_frames: int = 3, size: int = 64) -> Clip:
    frames = np.full((num_frames, size, size, 4), 255, np.uint8)
    for k in range(num_frames):
        frames[k, ..., :3] = np.round(255 * scene(k, size)[0])
    return Clip(frames, 10.0, Crop(0.0, 0.0, float(size), size, size), "scenery", "none", ())


def true_depth(scale: float = 1.0) -> DepthLift:
    """An expert that recognises the frame and knows its depth, up to a factor, as a network would give it."""

    def depth(rgb: Tensor) -> Tensor:
        size = rgb.shape[0]
        pictures = torch.stack([torch.from_numpy(scene(k, size)[0]).float() for k in range(8)])
        frame = int((pictures - rgb.cpu()).abs().mean((1, 2, 3)).argmin())
        return scale * torch.from_numpy(scene(frame, size)[1]).float()

    return DepthLift(depth, "true depth")
