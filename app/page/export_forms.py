"""The formats as the page's cards show them: what each is, what opens it, and a form of its options."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from app.runs.exports import CUTOUT
from ar4d.errors import UserError
from ar4d.formats import Format, all_formats
from ar4d.formats.forms import schema_of
from ar4d.formats.sizes import Content
from ar4d.formats.viewers import VIEWERS
from ar4d.runs import Run

HIDDEN_KINDS = ("array", "object")  # the page fills such options from the viewer
GROUPS = (
    ("Look at it", ("html", "mp4", "gif", "png")),
    ("Edit it", ("glb", "webm", "mov", "usd-mesh")),
)
"""Formats that most people want, in this order; the others follow."""
REST = "Splats and data"


def groups() -> list[dict[str, Any]]:
    """The cards in their groups, as JSON."""
    formats = {name: format for name, format in all_formats().items() if format.available}
    shown = []
    for title, names in GROUPS:
        shown.append(
            {"title": title, "cards": [card(formats.pop(name)) for name in names if name in formats]}
        )
    rest = [card(format) for format in formats.values()]
    return [*shown, {"title": REST, "cards": [*rest, _cutout()]}]


def card(format: Format) -> dict[str, Any]:
    """One format as JSON."""
    title, _, summary = format.label.partition(": ")
    schemas = schema_of(format.options).items()
    asked = ((name, schema) for name, schema in schemas if schema.get("format") != "path")  # no visitor's
    fields = [_field(name, schema, format) for name, schema in asked]
    names = format.option_names
    return {
        "name": format.name,
        "title": title,
        "summary": summary,
        "opens": format.opens,
        "fields": [field for field in fields if field["kind"] not in HIDDEN_KINDS],
        "main": list(format.main),
        "path": "path" in names,  # takes a camera's path
        "still": {"target", "time", "azimuth_deg"} <= names,  # a picture of one view
    }


def estimates(run: Run, wanted: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """About how many bytes each format has with the options that are wanted; None if nobody can say."""
    content, found = content_of(run), {}
    for name, values in wanted.items():
        format = all_formats().get(name)
        found[name] = None
        if format is not None and format.estimate is not None:
            with suppress(UserError):  # a value that is still being typed
                found[name] = format.estimate(content, format.make_options(values))
    return found


def content_of(run: Run) -> Content:
    """What the sizes of a run's files depend on."""
    from ar4d.formats import timeline

    asset = run.result()
    return Content(len(asset.at(0.0)), asset.num_frames, timeline.duration(asset))


def _cutout() -> dict[str, Any]:
    return {
        "name": CUTOUT, "title": "Cut-out", "summary": "the clip's frames with their alpha",
        "opens": "everything that shows pictures, and `ar4d lift --background alpha`",
        "fields": [], "main": [], "path": False, "still": False,
    }  # fmt: skip


def _field(name: str, schema: dict[str, Any], format: Format) -> dict[str, Any]:
    default = format.suggested.get(name, schema.get("default"))
    field = {
        "name": name,
        "label": _label(name),
        "kind": schema.get("type", "object"),
        "default": default,
        "optional": schema.get("optional", False),
        "hint": " ".join(schema.get("description", "").split()),
    }
    if "enum" in schema:
        field["choices"] = [{"value": value, "label": _choice(name, value)} for value in schema["enum"]]
    if name == "background":
        clear = format.name != "mp4"
        values = ["transparent", "white", "black"] if clear else ["white", "black"]
        field["choices"] = [{"value": value, "label": value} for value in values]
        field["color"] = True
    return field


def _label(name: str) -> str:
    names = {
        "viewer": "For", "fps": "Frames a second", "size": "Height", "orbit": "Turn around it",
        "num_frames": "Frames", "azimuth_deg": "Start (degrees)", "elevation_deg": "Elevation (degrees)",
    }  # fmt: skip
    return names.get(name, name.replace("_", " ").capitalize())


def _choice(name: str, value: Any) -> str:
    return VIEWERS[value].title if name == "viewer" else str(value)
