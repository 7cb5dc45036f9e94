"""Rows of arrays as tuples: a row as an array would be an object whose references are counted."""

from __future__ import annotations

from ar4d.kernels.jit import part


@part
def row3(array, i):
    return array[i, 0], array[i, 1], array[i, 2]


@part
def row4(array, i):
    return array[i, 0], array[i, 1], array[i, 2], array[i, 3]
