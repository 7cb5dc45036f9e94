"""A Sphinx extension that writes tables from the code: settings, presets, experts, formats and limits."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer


def _settings(name: str) -> list[list[str]]:
    """One row per setting of a dataclass `module:Class`: option, default, meaning."""
    module, class_name = name.split(":")
    return [
        ["option", "default", "meaning"],
        *_rows(getattr(__import__(module, fromlist=[class_name]), class_name)(), ""),
    ]


def _rows(values: Any, prefix: str) -> list[list[str]]:
    rows = []
    for field in fields(values):
        value = getattr(values, field.name)
        option = f"{prefix}{field.name.replace('_', '-')}"
        if options := field.metadata.get("options"):
            rows.append([" ".join(f"``{name}``" for name in options), "", _doc(type(values), field.name)])
        elif is_dataclass(value):
            rows += _rows(value, f"{option}.")
        else:
            shown = f"``{value}``" if str(value) else ""
            rows.append([f"``--{option}``", shown, _doc(type(values), field.name)])
    return rows


def _doc(owner: type, name: str) -> str:
    for base in owner.__mro__[:-1]:
        docs = ModuleAnalyzer.for_module(base.__module__).find_attr_docs()
        if (base.__name__, name) in docs:
            return " ".join(docs[base.__name__, name]).strip()
    return ""


def _presets(engine: str) -> list[list[str]]:
    from ar4d.presets import PRESETS, comparison

    (_, *names), *rows = comparison(engine or "ar4d")
    header = [["setting", *names], ["", *(f"*{PRESETS[name].label}*" for name in names)]]
    return header + [[f"``{setting}``", *values] for setting, *values in rows]


def _limits(_: str) -> list[list[str]]:
    from app.runs.limits import Limits, variable

    rows = [["variable", "default", "meaning"]]
    for field in fields(Limits):
        rows.append([f"``{variable(field.name)}``", f"``{field.default}``", _doc(Limits, field.name)])
    return rows


def _experts(_: str) -> list[list[str]]:
    from ar4d.experts.registry import ENTRIES

    rows = [["expert", "roles", "needs", "licence", "what it does"]]
    for entry in ENTRIES:
        roles = ", ".join(role.replace("_", " ") for role in entry.roles)
        rows.append([f"``{entry.name}``", roles, entry.needs, entry.licence, entry.summary])
    return rows


def _formats(_: str) -> list[list[str]]:
    from ar4d.formats import FORMATS

    rows = [["``--format``", "what it is", "files"]]
    for format in FORMATS.values():
        files = f"one ``{format.suffix}`` per frame" if format.per_frame else f"one ``{format.suffix}``"
        rows.append([f"``{format.name}``", format.label, files])
    return rows


TABLES = {
    "settings": _settings,
    "presets": _presets,
    "experts": _experts,
    "formats": _formats,
    "limits": _limits,
}


class CodeTable(Directive):
    """`.. code-table:: settings ar4d.settings:Settings`."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        rows = TABLES[self.arguments[0]](self.arguments[1] if len(self.arguments) > 1 else "")
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in rows:
            for k, cell in enumerate(row):
                lines.append(f"   {'* -' if k == 0 else '  -'} {cell}")
        node = nodes.container()
        self.state.nested_parse(StringList([*lines, ""], source="code-table"), 0, node)
        return [node]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("code-table", CodeTable)
    return {"parallel_read_safe": True}
