"""Vector code for the rows of a tile, LANES pixels at a time.

A compiler turns ordinary loops into vector code only where it can show that arrays do not overlap and that
loops are long; a splat's rows are short. So the two innermost loops of the rasteriser are written in
LLVM's vectors. They run on any processor: LLVM splits vectors where the processor's are shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from ar4d.kernels.jit import part
from ar4d.rendering.cpu.layout import ALPHA_MAX, ALPHA_MIN, T_MIN

LANES = 8  # pixels
FLAGS = ("contract", "nsz", "arcp", "afn")
FLOAT, INT = ir.FloatType(), ir.IntType(64)
FLOATS, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(ir.IntType(32), LANES)
BITS = ir.VectorType(ir.IntType(1), LANES)
# llvmlite declares no types, hence Any below.
EXP2 = 1.3264727e-3, 9.6715130e-3, 5.5507336e-2, 2.4022242e-1, 6.9314700e-1, 1.0
LEAST_EXPONENT = -120.0
CONSTANTS = (*EXP2, 0.5, LEAST_EXPONENT, float(ALPHA_MAX), float(ALPHA_MIN), float(T_MIN))
"""Numbers that fill a vector of the table of constants each; the one after them holds a vector's steps."""
TABLE = np.array([[c] * LANES for c in CONSTANTS] + [[k + 0.5 for k in range(LANES)]], np.float32)


@part
def put_constants(array, first):
    """Writes the table of constants to the floats of an array from `first` on, where `Code` reads it.

    Code that is compiled at run time fetches the address of each constant by an instruction of its own, every
    time. From a place near other data, constants are operands of the instructions that need them.
    """
    for k in range(TABLE.shape[0]):
        for j in range(LANES):
            array[first + k * LANES + j] = TABLE[k, j]


class Value:
    """A float or a vector of floats while code for it is being written."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _of(self, other: Value | float) -> Any:
        if isinstance(other, Value):
            return other.value
        wide = isinstance(self.value.type, ir.VectorType)
        return ir.Constant(self.value.type, [other] * LANES if wide else other)

    def __add__(self, other: Value | float) -> Value:
        return Value(self.builder, self.builder.fadd(self.value, self._of(other), flags=FLAGS))

    def __sub__(self, other: Value | float) -> Value:
        return Value(self.builder, self.builder.fsub(self.value, self._of(other), flags=FLAGS))

    def __rsub__(self, other: float) -> Value:
        return Value(self.builder, self.builder.fsub(self._of(other), self.value, flags=FLAGS))

    def __mul__(self, other: Value | float) -> Value:
        return Value(self.builder, self.builder.fmul(self.value, self._of(other), flags=FLAGS))

    def __truediv__(self, other: Value | float) -> Value:
        return Value(self.builder, self.builder.fdiv(self.value, self._of(other), flags=FLAGS))

    def test(self, operator: str, other: Value | float) -> Value:
        """Bits that say where a comparison holds; nowhere for what is not a number."""
        return Value(self.builder, self.builder.fcmp_ordered(operator, self.value, self._of(other)))

    def __and__(self, other: Value) -> Value:
        return Value(self.builder, self.builder.and_(self.value, other.value))

    def choose(self, yes: Value, no: Value | float) -> Value:
        """Where these bits are set `yes`, else `no`."""
        return Value(self.builder, self.builder.select(self.value, yes.value, yes._of(no)))

    def any(self) -> Any:
        """Whether any of these bits is set."""
        kind = ir.FunctionType(ir.IntType(1), [BITS])
        name = f"llvm.vector.reduce.or.v{LANES}i1"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, name), [self.value]
        )

    def total(self) -> Value:
        """The sum over the lanes."""
        kind = ir.FunctionType(FLOAT, [FLOAT, FLOATS])
        name = f"llvm.vector.reduce.fadd.v{LANES}f32"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        start = ir.Constant(FLOAT, -0.0)
        return Value(
            self.builder, self.builder.call(function, [start, self.value], fastmath=("reassoc", "nsz"))
        )

    def spread(self) -> Value:
        """This float in all lanes."""
        empty, lanes = ir.Constant(FLOATS, ir.Undefined), ir.VectorType(ir.IntType(32), LANES)
        first = self.builder.insert_element(empty, self.value, ir.Constant(ir.IntType(32), 0))
        return Value(self.builder, self.builder.shuffle_vector(first, empty, ir.Constant(lanes, [0] * LANES)))

    def exp2(self, code: Code) -> Value:
        """2^x for x ≤ 0 to 2e-7 relative: 2^n · p(f), |f| ≤ 1/2."""
        builder, least = self.builder, code.constant(LEAST_EXPONENT)
        x = self.test(">", least).choose(self, least)
        n = builder.fptosi((x - code.constant(0.5)).value, INTS)
        f = x - Value(builder, builder.sitofp(n, FLOATS))
        p = code.constant(EXP2[0])
        for coefficient in EXP2[1:]:
            p = p * f + code.constant(coefficient)
        bits = builder.shl(n, ir.Constant(INTS, [23] * LANES))
        return Value(builder, builder.bitcast(builder.add(builder.bitcast(p.value, INTS), bits), FLOATS))


class Code:
    """Writes code on addresses, for the intrinsics of tiles.py and tiles_backward.py."""

    def __init__(self, builder: Any, table: Any) -> None:
        """
        Args:
            table: address of the table of constants.
        """
        self.builder, self._table = builder, table

    @property
    def steps(self) -> Value:
        """From a pixel's left edge to the centres of the pixels from there on."""
        return self.load(self._table, LANES * len(CONSTANTS))

    def constant(self, number: float) -> Value:
        """One of CONSTANTS in all lanes."""
        return self.load(self._table, LANES * CONSTANTS.index(number))

    def address(self, base: Any, floats: Any) -> Any:
        """So many floats after `base`."""
        return self.builder.add(base, self.builder.mul(floats, ir.Constant(INT, 4)))

    def load(self, address: Any, floats: int) -> Value:
        """The vector that begins so many floats after `address`."""
        return Value(self.builder, self.builder.load(self._pointer(address, floats), align=4))

    def store(self, value: Value, address: Any, floats: int) -> None:
        """Puts a vector where `load` reads it."""
        self.builder.store(value.value, self._pointer(address, floats), align=4)

    def _pointer(self, address: Any, floats: int) -> Any:
        place = self.builder.add(address, ir.Constant(INT, 4 * floats))
        return self.builder.inttoptr(place, FLOATS.as_pointer())

    def float(self, integer: Any) -> Value:
        return Value(self.builder, self.builder.sitofp(integer, FLOAT))

    @contextmanager
    def loop(self, start: Any, end: Any, step: int) -> Iterator[Any]:
        """Code that is repeated for the integers from `start` to before `end`."""
        with cgutils.for_range_slice(self.builder, start, end, ir.Constant(INT, step), intp=INT) as (k, _):
            yield k

    def sums(self, count: int) -> list[Any]:
        """Places for vectors that are summed up."""
        return [cgutils.alloca_once(self.builder, FLOATS) for _ in range(count)]

    def clear(self, places: Sequence[Any]) -> None:
        for place in places:
            self.builder.store(ir.Constant(FLOATS, [0.0] * LANES), place)

    def add(self, place: Any, value: Value) -> None:
        self.builder.store((self.sum(place) + value).value, place)

    def sum(self, place: Any) -> Value:
        return Value(self.builder, self.builder.load(place))
