"""The command that repeats a run: `python -m ar4d lift …` with the values that differ from the preset."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

from ar4d.clip import ClipSettings, Corrections
from ar4d.presets import known
from ar4d.settings import EngineSettings


def lift_command(source: str, out: str, clip: ClipSettings, settings: EngineSettings, views: str = "") -> str:
    """The command as one line for a shell.

    Args:
        views: the folder of videos from other sides, if there are any.
    """
    presets = known()
    preset = presets[settings.preset].settings if settings.preset in presets else type(settings)()
    words = ["python", "-m", "ar4d", "lift", source, "--out", out, "--preset", preset.preset]
    words += _differences(clip, ClipSettings(), "")
    words += _differences(dataclasses.replace(settings, preset=preset.preset), preset, "")
    words += ["--views", views] if views else []
    return shlex.join(words)


def _differences(values: Any, usual: Any, prefix: str) -> list[str]:
    words = []
    for field in dataclasses.fields(values):
        value, other = getattr(values, field.name), getattr(usual, field.name)
        name = field.name.replace("_", "-")
        if isinstance(value, Corrections):
            words += value.options()
        elif dataclasses.is_dataclass(value):
            words += _differences(value, other, f"{prefix}{name}.")
        elif value != other:
            words += (
                [_switch(prefix, name, value)] if isinstance(value, bool) else _option(prefix, name, value)
            )
    return words


def _switch(prefix: str, name: str, value: bool) -> str:
    return f"--{prefix}{name}" if value else f"--{prefix}no-{name}"


def _option(prefix: str, name: str, value: Any) -> list[str]:
    return [f"--{prefix}{name}", str(value)]
