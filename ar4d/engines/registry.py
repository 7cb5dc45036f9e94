"""All engines by name, and settings as a union tagged by engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ar4d import plugins
from ar4d.engines.ar4d.pipeline import AR4D
from ar4d.engines.base import Engine
from ar4d.engines.star.pipeline import StarEngine
from ar4d.engines.sv4d2.pipeline import SV4D2
from ar4d.errors import UserError
from ar4d.records import adapter
from ar4d.settings import EngineSettings

_registered: dict[str, Engine] = {"ar4d": AR4D(), "sv4d2": SV4D2(), "star": StarEngine()}


def register(engine: Engine) -> None:
    """Adds an engine, or replaces the one of its name."""
    _registered[engine.name] = engine


def engines() -> Mapping[str, Engine]:
    """The built-in engines, those registered, and those of installed packages (group `ar4d.engines`)."""
    return {engine.name: engine for engine in installed().objects} | _registered


def installed() -> plugins.Plugins:
    """What installed packages bring, and what they fail to bring."""
    return plugins.load("ar4d.engines", Engine)


def engine_of(settings: EngineSettings) -> Engine:
    """The engine that settings belong to.

    Raises:
        UserError: it is not installed.
    """
    return engine_named(settings.engine)


def parse_settings(values: Any) -> EngineSettings:
    """Settings from a stored record; records without a tag are AR4D's.

    Raises:
        UserError: the engine is not installed.
        pydantic.ValidationError: a value is not one of its settings'.
    """
    if isinstance(values, EngineSettings):
        return values
    tag = values.get("engine", "ar4d") if isinstance(values, Mapping) else "ar4d"
    return adapter(engine_named(tag).settings_type).validate_python(values)


def engine_named(name: str) -> Engine:
    """The engine called `name`.

    Raises:
        UserError: it is not installed.
    """
    known = engines()
    if name not in known:
        raise UserError(plugins.unknown(f'engine "{name}"', known, installed().failures))
    return known[name]
