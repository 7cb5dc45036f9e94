"""The options of a format as a form needs them: names, kinds, defaults and hints, out of the dataclass."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from ar4d.errors import UserError
from ar4d.records import BUILDING, first_problem


def schema_of(options: type[Any]) -> dict[str, dict[str, Any]]:
    """JSON schemas of the fields of an options dataclass, with the docstrings of inherited ones."""
    with BUILDING:
        return _schema_of(options)


@cache
def _schema_of(options: type[Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for base in reversed(options.__mro__):
        if dataclasses.is_dataclass(base):
            schema = _adapter(base).json_schema()
            for name, field in schema["properties"].items():
                found[name] = found.get(name, {}) | _flat(field)
    return found


def parse(options: type[Any], values: Mapping[str, Any], name: str) -> Any:
    """The options with `values`, which may come from a stranger, in place of some defaults.

    Args:
        name: of the format, for messages.

    Raises:
        UserError: there is no such option, or a value does not fit.
    """
    known = {field.name for field in dataclasses.fields(options)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f'{name} has no option "{unknown[0]}"; its options are: {", ".join(sorted(known))}.')
    with BUILDING:
        adapter = _adapter(options)
    try:
        return adapter.validate_python(dict(values))
    except ValidationError as error:
        raise UserError(f"The option {first_problem(error)} ({name}).") from error


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """The parser of a dataclass whose attributes' docstrings are their descriptions."""
    if "__pydantic_config__" not in vars(kind):
        with_config(ConfigDict(use_attribute_docstrings=True))(kind)
    return TypeAdapter(kind)


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional value as that of the value, marked as optional."""
    kinds = field.get("anyOf", [])
    given = [kind for kind in kinds if kind.get("type") != "null"]
    if len(given) == 1 and len(kinds) == 2:
        rest = {key: value for key, value in field.items() if key != "anyOf"}
        return {**given[0], **rest, "optional": True}
    return field
