"""Chains of kernels: their order, their threads, and stopping in the middle."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ar4d.kernels.jit import kernel
from ar4d.kernels.parallel import Chain, take


@kernel
def fill(counter, source, target):
    """Each item depends on all items of the source."""
    while True:
        item = take(counter)
        if item >= target.shape[0]:
            return
        total = 1
        for k in range(source.shape[0]):
            total += source[k]
        target[item] = total + item


@pytest.fixture(params=[1, 2, 7])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def expected(source: np.ndarray) -> np.ndarray:
    return source.sum() + 1 + np.arange(len(source))


def test_a_step_begins_when_the_one_before_is_done(threads: int) -> None:
    arrays = [np.zeros(500, np.int64) for _ in range(6)]
    steps = [[(fill, pair)] for pair in itertools.pairwise(arrays)]
    chain = Chain(steps)
    for round_ in range(20):
        arrays[0][:] = round_
        assert chain.run()
        for source, target in itertools.pairwise(arrays):
            assert np.array_equal(target, expected(source))


def test_kernels_of_one_step_do_all_their_items(threads: int) -> None:
    source = np.ones(10, np.int64)
    targets = [np.zeros(300, np.int64) for _ in range(3)]
    last = np.zeros(50, np.int64)
    chain = Chain([[(fill, (source, target)) for target in targets], [(fill, (targets[2], last))]])
    for _ in range(20):
        for target in targets:
            target[:] = 0
        assert chain.run()
        assert all(np.array_equal(target, 11 + np.arange(300)) for target in targets)
        assert last[0] == targets[2].sum() + 1


def test_a_chain_stops_where_it_must_not_proceed(threads: int) -> None:
    arrays = [np.ones(40, np.int64), *(np.zeros(40, np.int64) for _ in range(2))]
    chain = Chain([[(fill, pair)] for pair in itertools.pairwise(arrays)])
    assert not chain.run(lambda: False, fill)
    assert arrays[1].all()
    assert not arrays[2].any()
    assert chain.run(lambda: True, fill)
    assert arrays[2].all()


def test_times_are_those_of_all_kernels() -> None:
    arrays = [np.ones(40, np.int64), np.zeros(40, np.int64)]
    seconds = Chain([[(fill, tuple(arrays))]]).timed()
    assert set(seconds) == {"fill"}
    assert seconds["fill"] > 0
    assert np.array_equal(arrays[1], expected(arrays[0]))
