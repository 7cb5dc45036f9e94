"""Work shared by a few threads.

A kernel receives a counter as its first argument and calls `take(counter)` until the items are
used up. Items never share a result, so what is computed does not depend on who takes which item:
results are the same bits for any number of threads. Ordinary Python threads run the kernels
(without the GIL) because Numba's own parallel loops compile three times as long and their
`workqueue` layer does not survive two callers at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic

from ar4d.kernels.jit import kernel, part
from ar4d.threads import available_cores

_pool = ThreadPoolExecutor(max(1, available_cores() - 1), thread_name_prefix="ar4d-kernel")
MOST_THREADS = 12  # of a chain
PATIENCE = 4000  # looks at a counter before a waiting thread lets others have its core


def _take(typing_context, counter):
    """Inside kernels, the next item: `counter[0]++`, atomically."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", array.data, one, "seq_cst")

    return types.int64(counter), codegen


def _look(typing_context, counter):
    """Inside kernels, `counter[0]` as the other threads left it."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.load_atomic(array.data, "seq_cst", 8)

    return types.int64(counter), codegen


take = cast(Callable[[np.ndarray], int], intrinsic(_take))
look = cast(Callable[[np.ndarray], int], intrinsic(_look))


if hasattr(os, "sched_yield"):  # then C has a function of this name too
    let_others_run = types.ExternalFunction("sched_yield", types.int32())
else:

    @part
    def let_others_run():
        pass


@kernel
def pass_on(entered, left, done, first, last):
    """Leaves the kernel `done` of a chain (-1: none) and waits until all have left those before `last`.

    Waits for the kernels from `first` on; then enters `last` unless the chain ends there.
    """
    if done >= 0:
        take(left[done])
    for k in range(first, last):
        looks = 0
        while look(left[k]) < look(entered[k]):
            looks += 1
            if looks > PATIENCE:
                let_others_run()
    if last < entered.shape[0]:
        take(entered[last])


class Chain:
    """Kernels one after another on the same threads, with one hand-over to them for all.

    Each step of a chain is a list of kernels whose items do not depend on one another; the next step begins
    when all of them are done. A thread counts itself in before it takes a kernel's first item and out after
    its last, so nobody waits for a helper that has not come, or has come too late to do anything.
    """

    def __init__(self, steps: Sequence[Sequence[tuple[Callable, tuple]]]) -> None:
        """
        Args:
            steps: (kernel, arguments after the counter), which stay the same arrays for all runs.
        """
        self._calls = [
            (function, arguments, place == 0)
            for step in steps
            for place, (function, arguments) in enumerate(step)
        ]
        # A counter lies on a cache line of its own.
        self._counters, self._entered, self._left = np.zeros((3, len(self._calls), 16), np.int64)

    def run(self, proceed: Callable[[], bool] | None = None, after: Callable | None = None) -> bool:
        """Runs all kernels on up to `torch.get_num_threads()` threads, this one included.

        Never on more than MOST_THREADS: the kernels of a step are too short for more.

        Args:
            proceed: asked by every thread once the kernel `after` is done; must give all the same answer.

        Returns:
            Whether the chain was run to its end.
        """
        for state in (self._counters, self._entered, self._left):
            state[:] = 0
        num_helpers = min(torch.get_num_threads(), MOST_THREADS) - 1
        helpers = [_pool.submit(self._work, proceed, after) for _ in range(num_helpers)]
        finished = self._work(proceed, after)
        for helper in helpers:
            if not helper.cancel():
                helper.result()
        return finished

    def timed(self) -> dict[str, float]:
        """Runs all kernels on this thread; the seconds of a processor that each takes, by name."""
        self._counters[:] = 0
        seconds: dict[str, float] = {}
        for counter, (function, arguments, _) in zip(self._counters, self._calls, strict=True):
            start = time.thread_time()
            function(counter, *arguments)
            name = function.__name__
            seconds[name] = seconds.get(name, 0.0) + time.thread_time() - start
        return seconds

    def _work(self, proceed: Callable[[], bool] | None, after: Callable | None) -> bool:
        waited, asked = 0, False
        for k, (function, arguments, waits) in enumerate(self._calls):
            pass_on(self._entered, self._left, k - 1, waited if waits else k, k)
            waited = k if waits else waited
            if asked and waits and proceed is not None:
                asked = False
                if not proceed():  # no thread goes on, so none waits for this one
                    return False
            asked = asked or function is after
            function(self._counters[k], *arguments)
        count = len(self._calls)
        pass_on(self._entered, self._left, count - 1, waited, count)
        return True


def run(kernel: Callable, num_items: int, *args: object) -> None:
    """Runs `kernel(counter, *args)` on up to `torch.get_num_threads()` threads, this one included."""
    counter = np.zeros(1, np.int64)
    num_helpers = min(torch.get_num_threads(), num_items) - 1
    helpers = [_pool.submit(kernel, counter, *args) for _ in range(num_helpers)]
    kernel(counter, *args)
    for helper in helpers:
        if not helper.cancel():  # one that has not started has nothing left to do
            helper.result()
