"""Records on the disk as typed values: a damaged one is a sentence that names the file and the field."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ar4d.errors import UserError

T = TypeVar("T")
BUILDING = RLock()
"""Held while a parser is built."""
_WORDS = {
    "missing": "it is missing",
    "missing_argument": "it is missing",
    "unexpected_keyword_argument": "this version does not know it",
}


def load_record(path: Path, kind: type[T], what: str, remedy: str) -> T:
    """Reads a JSON file as a dataclass.

    Args:
        kind: the dataclass; `pydantic.with_config` says whether it forbids unknown fields.
        what: what the file should hold, as "a run's record".
        remedy: what the user can do if it does not, as "lift the clip again".

    Raises:
        OSError: the file is missing or unreadable.
        UserError: it is cut short, was written by an incompatible version or has values of wrong types.
    """
    try:
        return adapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path} is not {what} of this version: {first_problem(error)}; {remedy}.") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong: the dotted name of the field, and why its value does not fit."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].rstrip(".")
    words = _WORDS.get(first["type"]) or message[:1].lower() + message[1:]
    if first["type"] not in _WORDS and isinstance(first["input"], str | int | float | None) and where:
        words += f", not {first['input']!r}"
    return f"{where}: {words}" if where else words


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Pydantic's parser of a type, built once and by one thread at a time.

    Building one reads the type's source for the docstrings of its fields, and CPython 3.11 fails where two
    threads parse source at once ("AST constructor recursion depth mismatch").
    """
    with BUILDING:
        return _built(kind)


@cache
def _built(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
