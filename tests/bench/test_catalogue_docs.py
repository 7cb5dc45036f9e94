"""What the documentation says of the benchmark's objects is what the catalogue has."""

import re
from pathlib import Path

from ar4d.bench.catalogue import SOURCES, entries, named

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8").split())


def test_the_counts_are_those_of_the_catalogue():
    assert f"# all {len(entries())}:" in TEXT
    for source in SOURCES:
        count = sum(entry.source == source for entry in entries())
        row = re.search(rf"\| `{source}`: [^|]*\| (\d+) \|", TEXT)
        assert row, source
        assert int(row[1]) == count
    assert f"the {sum(entry.source == 'made' for entry in entries())} procedural ones" in TEXT


def test_the_two_lists_are_those_of_the_catalogue():
    for use in ("tuning", "measuring"):
        listed = re.search(rf"Those for \*\*{use}\*\* \(([^)]*)\)", TEXT)
        assert listed, use
        assert listed[1].split(", ") == sorted(named(use))
