"""Which splats each tile sees, nearest first."""

from __future__ import annotations

import numpy as np

from ar4d.kernels.jit import kernel, part
from ar4d.kernels.parallel import take
from ar4d.rendering.cpu.layout import DEPTH, FIRST_TILE, TILE, TILES_X, TILES_Y

DIGITS = 2048  # of a radix sort in three passes of 11 bits
MASK = np.uint32(DIGITS - 1)


@kernel
def bin_splats(counter, views, splat_bits, boxes, touched, starts, wanted, ends, tile_ends, ids):
    """Fills ids [I] (Gaussians by tile, within it by depth) and tile_ends [T]; `starts` is [C + 1].

    One sort per view; dealing the sorted splats out to the tiles keeps their order. The instances of view c
    lie between starts[c] and starts[c + 1], and wanted[c] is their number. Where there is not enough room for
    them, the view is left empty. ends [C, N] is the running sum of `touched` from starts[c] on.
    """
    num_views, num_gaussians = touched.shape
    while True:
        c = take(counter)
        if c >= num_views:
            return
        first, tiles_x = views[c, FIRST_TILE], views[c, TILES_X]
        num_tiles = tiles_x * views[c, TILES_Y]
        total = starts[c]
        for i in range(num_gaussians):
            total += touched[c, i]
            ends[c, i] = total
        wanted[c] = total - starts[c]
        for t in range(first, first + num_tiles):
            tile_ends[t] = 0
        if total > starts[c + 1]:
            for t in range(first, first + num_tiles):
                tile_ends[t] = starts[c]
            continue
        order, n = depth_order(splat_bits, touched, c)
        for k in range(n):
            i = order[k]
            for ty in range(boxes[c, i, 2] // TILE, (boxes[c, i, 3] - 1) // TILE + 1):
                for tx in range(boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE + 1):
                    tile_ends[first + ty * tiles_x + tx] += 1
        place = starts[c]
        for t in range(first, first + num_tiles):
            count = tile_ends[t]
            tile_ends[t] = place
            place += count
        for k in range(n):
            i = order[k]
            for ty in range(boxes[c, i, 2] // TILE, (boxes[c, i, 3] - 1) // TILE + 1):
                for tx in range(boxes[c, i, 0] // TILE, (boxes[c, i, 1] - 1) // TILE + 1):
                    t = first + ty * tiles_x + tx
                    ids[tile_ends[t]] = i
                    tile_ends[t] += 1  # moves from the tile's beginning to its end


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
