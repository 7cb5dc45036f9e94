"""Work shared by a few threads.

A kernel receives a counter as its first argument and calls `take(counter)` until the items are
used up. Items never share a result, so what is computed does not depend on who takes which item:
results are the same bits for any number of threads. Ordinary Python threads run the kernels
(without the GIL) because Numba's own parallel loops compile three times as long and their
`workqueue` layer does not survive two callers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic

from ar4d.threads import available_cores

_pool = ThreadPoolExecutor(max(1, available_cores() - 1), thread_name_prefix="ar4d-kernel")


def _take(typing_context, counter):
    """Inside kernels, the next item: `counter[0]++`, atomically."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", array.data, one, "monotonic")

    return types.int64(counter), codegen


take = cast(Callable[[np.ndarray], int], intrinsic(_take))


def run(kernel: Callable, num_items: int, *args: object) -> None:
    """Runs `kernel(counter, *args)` on up to `torch.get_num_threads()` threads, this one included."""
    counter = np.zeros(1, np.int64)
    num_helpers = min(torch.get_num_threads(), num_items) - 1
    helpers = [_pool.submit(kernel, counter, *args) for _ in range(num_helpers)]
    kernel(counter, *args)
    for helper in helpers:
        if not helper.cancel():  # one that has not started has nothing left to do
            helper.result()
