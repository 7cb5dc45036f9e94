"""Parts that other installed packages bring, found by entry points.

A package that adds an expert declares, in its pyproject.toml:

    [project.entry-points."ar4d.experts"]
    my-expert = "my_package:ENTRY"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

Group = Literal["ar4d.experts", "ar4d.engines", "ar4d.presets", "ar4d.formats", "ar4d.metrics"]


@dataclass(frozen=True)
class Plugins:
    """What the installed packages bring to one group."""

    objects: tuple[Any, ...]
    failures: tuple[str, ...]
    """One sentence for each that could not be imported."""


@cache
def load(group: Group) -> Plugins:
    """Imports the plugins of a group; one that fails is named and left out."""
    objects, failures = [], []
    for point in entry_points(group=group):
        try:
            objects.append(point.load())
        except Exception as error:  # noqa: BLE001 - other people's code: whatever it raises is reported
            package = point.dist.name if point.dist else point.value
            failures.append(
                f'The plugin "{point.name}" of the package {package} cannot be imported '
                f"({type(error).__name__}: {error}); update or uninstall that package."
            )
    return Plugins(tuple(objects), tuple(failures))
