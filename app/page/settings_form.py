"""Every setting of a run as a component: made from the dataclasses, so that none is forgotten."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import types
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import gradio as gr

from ar4d import settings as settings_module
from ar4d.errors import UserError
from ar4d.experts.registry import entries
from ar4d.presets import find
from ar4d.settings import Settings

EXPERT_ROLES = {"initialize.expert": "image_to_gaussians", "generate.expert": "views_to_gaussians"}
HIDDEN = ("preset",)


class SettingsForm:
    """Components by the dotted name of their setting, in the order in which they were made."""

    def __init__(self) -> None:
        self._components: dict[str, Any] = {}

    @property
    def components(self) -> list[Any]:
        return list(self._components.values())

    def __getitem__(self, key: str) -> Any:
        return self._components[key]

    def field(self, key: str, label: str | None = None, info: str | None = None, **options: Any) -> Any:
        """Makes the component of one setting where the layout stands."""
        default, hint, doc = _leaves()[key]
        info = doc if info is None else info
        common = {"label": label or _title(key), "info": info or None, "value": default, **options}
        component = _component(key, hint, common)
        self._components[key] = component
        return component

    def rest(self, group: str) -> None:
        """Makes the components of a group ("" is the top) that have none yet."""
        for key in _leaves():
            where = key.partition(".")[0] if "." in key else ""
            if where == group and key not in self._components and key not in HIDDEN:
                self.field(key)

    def updates(self, settings: Settings) -> list[Any]:
        """What to return to show other settings."""
        return [_get(settings, key) for key in self._components]

    def read(self, preset: str, values: Sequence[Any]) -> Settings:
        """The settings that the components show.

        Raises:
            UserError: no such preset, or a value that is none.
        """
        changes = {key: _checked(key, value) for key, value in zip(self._components, values, strict=True)}
        return change(find(preset).settings, changes)


def change(settings: Settings, changes: dict[str, Any]) -> Settings:
    """The settings with values replaced that are named with dots, as "generate.field.width"."""
    own = {key: value for key, value in changes.items() if "." not in key}
    for group in {key.partition(".")[0] for key in changes if "." in key}:
        inner = {k.partition(".")[2]: v for k, v in changes.items() if k.partition(".")[0] == group}
        own[group] = change(getattr(settings, group), inner)
    return dataclasses.replace(settings, **own)


def checked_changes(changes: Any) -> dict[str, Any]:
    """Settings by dotted name, as a stranger gave them.

    Raises:
        UserError: there is no such setting, or its value is none that it could have.
    """
    if not isinstance(changes, dict):
        raise UserError('Settings are a dictionary such as {"generate.iterations": 100}.')
    for key in changes:
        if key not in _leaves() or key in HIDDEN:
            raise UserError(f'There is no setting "{key}"; `python -m ar4d presets` lists them.')
    return {key: _checked(key, value) for key, value in changes.items()}


def _component(key: str, hint: Any, common: dict[str, Any]) -> Any:
    if key in EXPERT_ROLES:
        names = [entry.name for entry in entries() if EXPERT_ROLES[key] in entry.roles]
        return gr.Dropdown(["auto", *names], **common)
    if get_origin(hint) is Literal:
        return gr.Dropdown(list(get_args(hint)), **common)
    if hint is bool:
        return gr.Checkbox(**common)
    return gr.Number(precision=0 if hint is int else None, **common)


def _checked(key: str, value: Any) -> Any:
    _, hint, _ = _leaves()[key]
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    if choices:
        fits = value in choices
    elif hint is bool:
        fits = isinstance(value, bool)
    elif hint is str:
        fits = isinstance(value, str)
    else:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        fits = fits and (hint is float or value == int(value)) and (value >= 0 or key == "elevation_deg")
    if not fits:
        expected = f"one of {', '.join(map(str, choices))}" if choices else _EXPECTED[hint]
        raise UserError(f"The setting “{_title(key)}” must be {expected}, not {value!r}.")
    return hint(value) if hint in (int, float) else value


_EXPECTED = {bool: "on or off", str: "a word", int: "a whole number from 0 on", float: "a number"}


@cache
def _leaves() -> dict[str, tuple[Any, Any, str]]:
    """Dotted name: default, type and description of every setting."""
    return dict(_walk(Settings, Settings(), ""))


def _walk(kind: type, values: Any, prefix: str) -> list[tuple[str, tuple[Any, Any, str]]]:
    hints, docs, found = get_type_hints(kind), _docs()[kind.__name__], []
    for field in dataclasses.fields(kind):
        value, hint = getattr(values, field.name), hints[field.name]
        if dataclasses.is_dataclass(value):
            found += _walk(type(value), value, f"{prefix}{field.name}.")
        else:
            if get_origin(hint) in (Union, types.UnionType):
                raise TypeError(f"{field.name} has no single type")
            found.append((prefix + field.name, (value, hint, docs.get(field.name, ""))))
    return found


@cache
def _docs() -> dict[str, dict[str, str]]:
    """The strings below the fields of each class in settings.py."""
    found = {}
    for node in ast.parse(inspect.getsource(settings_module)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = {
                field.target.id: " ".join(text.value.value.split())
                for field, text in zip(node.body, node.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                if isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            }
    return found


def _get(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def _title(key: str) -> str:
    words = [part for part in key.split(".") if part not in ("initialize", "generate", "refine")]
    return ": ".join(words).replace("_", " ").capitalize()
