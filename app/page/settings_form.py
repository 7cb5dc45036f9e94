"""Every setting of a run as a component, built from the dataclasses so that none is missing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import gradio as gr

from ar4d.engines.registry import engines
from ar4d.errors import UserError
from ar4d.experts.registry import entries
from ar4d.presets import find
from ar4d.records import adapter
from ar4d.settings import EngineSettings, Settings, validated

HIDDEN = ("engine", "preset")
"""Settings that the form has other controls for."""
_SPOKEN = {
    "means": "positions",
    "quats": "rotations",
    "lr": "learning rate",
    "lr_final": "last learning rate",
    "l1": "L1",
}
"""Labels of settings whose names are abbreviations."""


@dataclass(frozen=True)
class Leaf:
    """One setting."""

    default: Any
    schema: dict[str, Any]
    """JSON schema of its values: type, bounds, choices, description."""
    role: str | None
    """The role of the expert that it names, if it names one."""


class EngineForms:
    """The forms of all engines; the one of the chosen preset's engine is shown and read.

    AR4D's is laid out by hand, the others come from their dataclasses.
    """

    def __init__(self) -> None:
        self.own = SettingsForm()
        self._forms = {"ar4d": self.own}
        self.columns: dict[str, Any] = {}

    def add_others(self) -> None:
        """Adds the forms of the other engines to the current layout, hidden."""
        for name, engine in engines().items():
            if name == "ar4d":
                continue
            self._forms[name] = form = SettingsForm(engine.settings_type)
            with gr.Column(visible=False) as self.columns[name], gr.Tabs():
                for group in form.groups():
                    with gr.Tab(_title(group) if group else "General"), gr.Row(elem_classes="grid"):
                        form.rest(group)

    @property
    def components(self) -> list[Any]:
        """The components of all forms."""
        return [component for form in self._forms.values() for component in form.components]

    def updates(self, settings: EngineSettings) -> list[Any]:
        """The values of `components` for other settings: those of other engines stay."""
        values = []
        for name, form in self._forms.items():
            here = name == settings.engine
            values += form.updates(settings) if here else [gr.skip()] * len(form.components)
        return values

    def visible(self, engine: str) -> list[Any]:
        """The values of `columns` for an engine."""
        return [gr.Column(visible=name == engine) for name in self.columns]

    def read(self, preset: str, values: Sequence[Any]) -> Any:
        """The settings that the form of the preset's engine shows.

        Raises:
            UserError: there is no such preset, or a value does not fit its setting.
        """
        engine, start = find(preset).settings.engine, 0
        for name, form in self._forms.items():
            end = start + len(form.components)
            if name == engine:
                return form.read(preset, values[start:end])
            start = end
        raise UserError(f"The page has no form for the engine {engine}; use the command line.")


class SettingsForm:
    """Components by the dotted name of their setting, in the order in which they were made."""

    def __init__(self, kind: type[EngineSettings] = Settings) -> None:
        """
        Args:
            kind: the dataclass of an engine's settings.
        """
        self.leaves = leaves(kind)
        self._components: dict[str, Any] = {}

    @property
    def components(self) -> list[Any]:
        """The components in order."""
        return list(self._components.values())

    def __getitem__(self, key: str) -> Any:
        return self._components[key]

    def field(self, key: str, label: str | None = None, info: str | None = None, **options: Any) -> Any:
        """Adds the component of one setting to the current layout.

        Args:
            key: dotted name of the setting.
            label: by default from the name.
            info: by default the setting's description.
            options: further arguments of the component.
        """
        leaf = self.leaves[key]
        info = _in_page_words(leaf.schema.get("description", "")) if info is None else info
        common = {"label": label or _title(key), "info": info or None, "value": leaf.default, **options}
        self._components[key] = component = _component(leaf, common)
        return component

    def rest(self, group: str) -> None:
        """Adds the components of a group ("" is the top level) that do not exist yet."""
        for key in self.leaves:
            own_group = key.partition(".")[0] if "." in key else ""
            if own_group == group and key not in self._components and key not in HIDDEN:
                self.field(key)

    def groups(self) -> list[str]:
        """The names of the groups, the top level ("") last."""
        return [*dict.fromkeys(key.split(".")[0] for key in self.leaves if "." in key), ""]

    def updates(self, settings: EngineSettings) -> list[Any]:
        """The values of the components for other settings."""
        return [_get(settings, key) for key in self._components]

    def read(self, preset: str, values: Sequence[Any]) -> Any:
        """The settings that the components show.

        Raises:
            UserError: there is no such preset, or a value does not fit its setting.
        """
        return change(find(preset).settings, dict(zip(self._components, values, strict=True)))


def change(settings: EngineSettings, changes: Any) -> Any:
    """The settings with some values replaced.

    Args:
        changes: values by dotted name, as {"generate.field.width": 128}; they may come from a stranger.

    Raises:
        UserError: there is no such setting, or a value does not fit.
    """
    if not isinstance(changes, dict):
        raise UserError('Settings are a dictionary such as {"generate.iterations": 100}.')
    known = leaves(type(settings))
    values = dataclasses.asdict(settings)
    for key, value in changes.items():
        if key not in known or key in HIDDEN:
            raise UserError(f'There is no setting "{key}"; the documentation lists all of them.')
        *groups, name = key.split(".")
        inner = values
        for group in groups:
            inner = inner[group]
        inner[name] = value
    return validated(settings, values)


@cache
def leaves(kind: type[EngineSettings] = Settings) -> dict[str, Leaf]:
    """Every setting of an engine by its dotted name."""
    return dict(_walk(kind(), ""))


def _walk(settings: Any, prefix: str) -> Iterator[tuple[str, Leaf]]:
    schemas = _schemas(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.metadata.get("local"):  # names a file of this machine, which is no visitor's business
            continue
        if dataclasses.is_dataclass(value):
            yield from _walk(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, Leaf(value, schemas[field.name], field.metadata.get("role"))


def _schemas(kind: type) -> dict[str, dict[str, Any]]:
    """JSON schemas of a dataclass's fields, with the docstrings of inherited ones."""
    found: dict[str, dict[str, Any]] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            for name, schema in adapter(base).json_schema()["properties"].items():
                found[name] = found.get(name, {}) | schema
    return found


def _component(leaf: Leaf, common: dict[str, Any]) -> Any:
    schema = leaf.schema
    if leaf.role is not None:
        names = [entry.name for entry in entries() if leaf.role in entry.roles]
        return gr.Dropdown([*dict.fromkeys([leaf.default, "auto", *names])], **common)
    if "enum" in schema:
        return gr.Dropdown(schema["enum"], **common)
    if "anyOf" in schema:  # a number, or a word in its place
        words = [option["const"] for option in schema["anyOf"] if "const" in option]
        return gr.Dropdown([leaf.default, *words], allow_custom_value=True, **common)
    if schema["type"] == "boolean":
        return gr.Checkbox(**common)
    # Without bounds: Gradio would raise its own error while a number is being typed.
    return gr.Number(precision=0 if schema["type"] == "integer" else None, **common)


def _get(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def _title(key: str) -> str:
    """A label for a setting; the tab that it is on names its group."""
    *groups, name = key.split(".")
    return ": ".join([*groups[1:], _SPOKEN.get(name, name)]).replace("_", " ").capitalize()


def _in_page_words(description: str) -> str:
    """A setting's description with other settings' labels in place of their names in code."""
    return re.sub(r"`([\w.]+)`", lambda name: f"“{_title(f'_.{name[1]}')}”", description)
