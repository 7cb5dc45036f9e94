"""The quick loop leaves out what it should: the table of slow tests names tests that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.marks import SLOW, THOROUGH

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [*SLOW, *THOROUGH])
def test_a_slow_test_exists(name):
    path, _, test = name.partition("[")[0].partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert not test or test in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
