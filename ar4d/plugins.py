"""Parts that other installed packages bring, found by entry points.

A package that adds an expert declares, in its pyproject.toml:

    [project.entry-points."ar4d.experts"]
    my-expert = "my_package:ENTRY"
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal

Group = Literal[
    "ar4d.experts", "ar4d.engines", "ar4d.presets", "ar4d.formats", "ar4d.metrics", "ar4d.set_metrics"
]


@dataclass(frozen=True)
class Plugins:
    """What the installed packages bring to one group."""

    objects: tuple[Any, ...]
    failures: tuple[str, ...]
    """One sentence for each that could not be imported."""


@cache
def load(group: Group, kind: type = object) -> Plugins:
    """Imports the plugins of a group; one that fails is named and left out.

    Args:
        kind: what each plugin of the group has to be an instance of.
    """
    objects, failures = [], []
    for point in entry_points(group=group):
        try:
            plugin = point.load()
            if not isinstance(plugin, kind):
                raise TypeError(f"it is not of the type {kind.__name__}")
            objects.append(plugin)
        except Exception as error:  # noqa: BLE001 - other people's code: whatever it raises is reported
            package = point.dist.name if point.dist else point.value
            failures.append(
                f'The plugin "{point.name}" of the package {package} cannot be imported '
                f"({type(error).__name__}: {error}); update or uninstall that package."
            )
    return Plugins(tuple(objects), tuple(failures))


def unknown(what: str, known: Iterable[str], failures: Iterable[str]) -> str:
    """A sentence for a name that nothing has, then one for each plugin that might have had it."""
    return " ".join([f"There is no {what}; choose one of: {', '.join(known)}.", *failures])
