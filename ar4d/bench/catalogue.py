"""The objects that the benchmark is made of, and which of them may be used for what: `objects.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Source = Literal["0ad", "gltf", "made"]
Use = Literal["tuning", "measuring"]
SOURCES: tuple[Source, ...] = ("0ad", "gltf", "made")


@dataclass(frozen=True)
class Credit:
    """Where models come from, and under which licence."""

    origin: str
    licence: str
    attribution: str


@dataclass(frozen=True)
class ModelFile:
    """A file that has to be had from elsewhere."""

    name: str
    url: str
    sha256: str
    credit: Credit


@dataclass(frozen=True)
class Entry:
    """One object of the benchmark."""

    name: str
    kind: str
    source: Source
    model: str
    """An actor of 0 A.D., the name of a file in the catalogue, or a maker of `ar4d.scenes.made`."""
    motion: str
    """The model's animation; "turn" turns a model without one once about the y axis."""
    yaw: float
    """Degrees about the y axis: 0 faces the camera, 90 the picture's right."""
    elevation: float
    """Of the clip's own camera, in degrees."""
    use: Use

    @property
    def credit(self) -> Credit:
        return (
            files()[self.model].credit if self.source == "gltf" else _credit(_tree()["sources"][self.source])
        )


@cache
def entries() -> tuple[Entry, ...]:
    """All objects, ordered as in the file."""
    return tuple(Entry(name, **fields) for name, fields in _tree()["objects"].items())


def named(use: Use) -> tuple[str, ...]:
    """The objects that may be used for tuning, or those that are kept for measuring."""
    return tuple(entry.name for entry in entries() if entry.use == use)


def reserved() -> tuple[str, ...]:
    """Patterns of 0 A.D.'s actors that stay out of training, for `fnmatch`."""
    return tuple(_tree()["reserved"])


@cache
def files() -> dict[str, ModelFile]:
    """The glTF files by their names in the catalogue."""
    return {
        name: ModelFile(fields["name"], fields["url"], fields["sha256"], _credit(fields))
        for name, fields in _tree()["files"].items()
    }


def chosen(sources: Sequence[Source], names: Sequence[str]) -> tuple[Entry, ...]:
    """The objects of these sources, or those of them in `names`, if there are any."""
    return tuple(e for e in entries() if e.source in sources and (not names or e.name in names))


def _credit(fields: dict[str, Any]) -> Credit:
    return Credit(fields["origin"], fields["licence"], fields["attribution"])


@cache
def _tree() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("objects.toml").read_text(encoding="utf-8"))
