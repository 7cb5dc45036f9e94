"""Which splats each tile sees, nearest first."""

from __future__ import annotations

import numpy as np

from ar4d.rendering.cpu.jit import kernel
from ar4d.rendering.cpu.parallel import take
from ar4d.rendering.cpu.projection import DEPTH, TILE

DIGITS = 2048  # of a radix sort in three passes of 11 bits
MASK = np.uint32(DIGITS - 1)


@kernel
def bin_splats(counter, splat_bits, boxes, touched, ends, tile_ends, ids):
    """Fills ids (Gaussian indices, tile after tile, by depth) and tile_ends [C, TY, TX].

    One sort per camera; dealing the sorted splats out to the tiles keeps their order. Both arrays
    count through all cameras. `ends` [C, N] is the running sum of `touched`.
    """
    num_cameras, num_gaussians = touched.shape
    while True:
        c = take(counter)
        if c >= num_cameras:
            return
        order = depth_order(splat_bits[c], touched[c])
        cursor = tile_ends[c]
        cursor[:] = 0
        for i in order:
            for ty in range(boxes[c, i, 2] // TILE, (boxes[c, i, 3] - 1) // TILE + 1):
                for tx in range(boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE + 1):
                    cursor[ty, tx] += 1
        start = ends[c, 0] - touched[c, 0] if num_gaussians > 0 else 0
        for ty in range(cursor.shape[0]):
            for tx in range(cursor.shape[1]):
                count = cursor[ty, tx]
                cursor[ty, tx] = start
                start += count
        for i in order:
            for ty in range(boxes[c, i, 2] // TILE, (boxes[c, i, 3] - 1) // TILE + 1):
                for tx in range(boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE + 1):
                    ids[cursor[ty, tx]] = i
                    cursor[ty, tx] += 1  # ends up at the tile's end


@kernel
def depth_order(splat_bits, touched):
    """Indices of the visible splats by depth, ties by index.

    Radix sort of the depths' bits, which for positive floats are ordered as the numbers are.
    """
    size = touched.shape[0]
    keys, other_keys = np.empty(size, np.uint32), np.empty(size, np.uint32)
    ids, other_ids = np.empty(size, np.int32), np.empty(size, np.int32)
    histogram = np.zeros((3, DIGITS), np.int64)
    n = 0
    for i in range(size):
        if touched[i] > 0:
            key = splat_bits[i, DEPTH]
            keys[n], ids[n] = key, i
            n += 1
            for p in range(3):
                histogram[p, (key >> np.uint32(11 * p)) & MASK] += 1
    for p in range(3):
        total = 0
        for digit in range(DIGITS):
            count = histogram[p, digit]
            histogram[p, digit] = total
            total += count
        shift = np.uint32(11 * p)
        for k in range(n):
            digit = (keys[k] >> shift) & MASK
            place = histogram[p, digit]
            histogram[p, digit] = place + 1
            other_keys[place], other_ids[place] = keys[k], ids[k]
        keys, other_keys = other_keys, keys
        ids, other_ids = other_ids, ids
    return ids[:n]
