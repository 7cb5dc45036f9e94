"""Which splats each tile sees, nearest first."""

from __future__ import annotations

import numpy as np

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.rendering.cpu.layout import DEPTH, TILE

DIGITS = 2048  # of a radix sort in three passes of 11 bits
MASK = np.uint32(DIGITS - 1)


@kernel
def bin_splats(counter, splat_bits, boxes, touched, ends, tile_ends, ids):
    """Fills ids [I] (Gaussians by tile, within it by depth) and tile_ends [C, TY, TX].

    One sort per camera; dealing the sorted splats out to the tiles keeps their order. `ids` counts
    through the cameras: `ends` [C, N], the running sum of `touched`, says where each one begins.
    """
    num_cameras, num_gaussians = touched.shape
    while True:
        c = take(counter)
        if c >= num_cameras:
            return
        order, n = depth_order(splat_bits, touched, c)
        tile_ends[c] = 0
        for k in range(n):
            i = order[k]
            for ty in range(boxes[c, i, 2] // TILE, (boxes[c, i, 3] - 1) // TILE + 1):
                for tx in range(boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE + 1):
                    tile_ends[c, ty, tx] += 1
        place = ends[c, 0] - touched[c, 0] if num_gaussians > 0 else 0
        for ty in range(tile_ends.shape[1]):
            for tx in range(tile_ends.shape[2]):
                count = tile_ends[c, ty, tx]
                tile_ends[c, ty, tx] = place
                place += count
        for k in range(n):
            i = order[k]
            for ty in range(boxes[c, i, 2] // TILE, (boxes[c, i, 3] - 1) // TILE + 1):
                for tx in range(boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE + 1):
                    ids[tile_ends[c, ty, tx]] = i
                    tile_ends[c, ty, tx] += 1  # moves from the tile's beginning to its end


@part
def depth_order(splat_bits, touched, c):
    """The visible splats by depth, ties by index, and their number.

    A radix sort of the depths' bits, which for positive floats are ordered as the numbers are.
    """
    size = touched.shape[1]
    keys, next_keys = np.empty(size, np.uint32), np.empty(size, np.uint32)
    ids, next_ids = np.empty(size, np.int32), np.empty(size, np.int32)
    counts = np.zeros((3, DIGITS), np.int64)
    n = 0
    for i in range(size):
        if touched[c, i] > 0:
            key = splat_bits[c, i, DEPTH]
            keys[n], ids[n] = key, i
            n += 1
            for p in range(3):
                counts[p, (key >> np.uint32(11 * p)) & MASK] += 1
    for p in range(3):
        place = 0
        for digit in range(DIGITS):
            count = counts[p, digit]
            counts[p, digit] = place
            place += count
        shift = np.uint32(11 * p)
        for k in range(n):
            digit = (keys[k] >> shift) & MASK
            next_keys[counts[p, digit]], next_ids[counts[p, digit]] = keys[k], ids[k]
            counts[p, digit] += 1
        keys, next_keys = next_keys, keys
        ids, next_ids = next_ids, ids
    return ids, n
