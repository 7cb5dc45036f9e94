"""The clips of a batch, each with its name and its options of `ar4d lift`."""

from __future__ import annotations

import csv
import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from ar4d.cli import lift
from ar4d.clip import ClipSettings
from ar4d.clip.pictures import PICTURE_SUFFIXES
from ar4d.errors import UserError
from ar4d.presets import known

COLUMNS = ("clip", "name")
"""Columns of a CSV file that are no options of `ar4d lift`."""
NO_CLIPS = PICTURE_SUFFIXES | {".csv", ".json", ".txt"}
"""Suffixes of files that are passed over in a folder of clips."""
FORBIDDEN = ("out", "resume", "from", "prompt")
"""Options of `ar4d lift` that a batch chooses itself."""


@dataclass(frozen=True)
class BatchClip:
    """A clip of a batch."""

    path: Path
    name: str
    """Name of its run's folder."""
    options: tuple[str, ...]
    """Options of `ar4d lift`."""


@dataclass(frozen=True)
class Refused:
    """A clip, or a whole file of clips, that the batch leaves out."""

    name: str
    reason: str


def collect(sources: Sequence[str], options: Sequence[str]) -> tuple[list[BatchClip], list[Refused]]:
    """Reads what a batch is to lift.

    Args:
        sources: clips, folders of clips, patterns such as "clips/*.mp4", and CSV files with a clip a row.
        options: options of `ar4d lift` for all clips; those of a CSV's row override them.

    Returns:
        The clips, and what is left out: a CSV with an unknown column, a row with a value that does not fit,
        a second clip of one name, a source that does not exist.

    Raises:
        UserError: the options for all clips do not fit.
    """
    _check_options(options)
    clips: dict[str, BatchClip] = {}
    refused: list[Refused] = []
    for source in sources:
        try:
            for found in _expand(source, tuple(options)):
                if isinstance(found, Refused):
                    refused.append(found)
                elif found.name in clips:
                    refused.append(Refused(str(found.path), _same_name(found, clips[found.name])))
                else:
                    clips[found.name] = found
        except UserError as error:
            refused.append(Refused(source, str(error)))
    return list(clips.values()), refused


def _same_name(clip: BatchClip, first: BatchClip) -> str:
    return (
        f'{clip.path} and {first.path} would both be called "{clip.name}"; '
        "give one of them another name in the column name of a CSV file."
    )


def _expand(source: str, options: tuple[str, ...]) -> Iterator[BatchClip | Refused]:
    path = Path(source)
    if path.suffix.lower() == ".csv" and path.is_file():
        yield from _rows(path, options)
    elif path.exists():
        for member in _members(path):
            yield BatchClip(member, member.stem, options)
    else:
        found = sorted(glob.glob(source, recursive=True))
        if not found:
            raise UserError(f"There is no {source}; give clips, a folder, a pattern or a CSV file.")
        for name in found:
            yield BatchClip(Path(name), Path(name).stem, options)


def _members(path: Path) -> list[Path]:
    """The clips in a folder; a file, or a folder that holds nothing but pictures, is one clip itself."""
    if not path.is_dir():
        return [path]
    visible = sorted(member for member in path.iterdir() if not member.name.startswith("."))
    clips = [member for member in visible if member.is_dir() or member.suffix.lower() not in NO_CLIPS]
    if clips:
        return clips
    if not visible:
        raise UserError(f"{path} is empty; give a folder that holds clips.")
    return [path]


def _rows(path: Path, options: tuple[str, ...]) -> Iterator[BatchClip | Refused]:
    """The rows of a CSV file. Its clips are relative to its own folder."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a CSV file: {error}.") from error
    reader = csv.DictReader(text.splitlines())
    columns = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if "clip" not in columns:
        raise UserError(f'{path} has no column "clip"; its first line names the columns.')
    for column in columns:
        if column not in COLUMNS and not _is_option(column):
            raise UserError(
                f'{path} has the column "{column}", which is neither clip, name nor an option of `ar4d lift`.'
            )
    for number, row in enumerate(reader, 2):
        where = f"{path}, line {number}"
        if None in row or None in row.values():
            yield Refused(where, f"{where} has not as many values as there are columns.")
            continue
        values = {column: text.strip() for column, text in row.items()}
        clip = values["clip"]
        if not clip:
            yield Refused(where, f"{where} names no clip.")
            continue
        name = values.get("name") or Path(clip).stem
        if Path(name).name != name or name.startswith("."):
            yield Refused(where, f'{where} has the name "{name}", which is not a folder\'s name.')
            continue
        given = [_as_option(c, text) for c, text in values.items() if text and c not in COLUMNS]
        try:
            _check_options([*options, *given], where)
        except UserError as error:
            yield Refused(where, str(error))
            continue
        yield BatchClip((path.parent / clip), name, (*options, *given))


def _is_option(column: str) -> bool:
    values = [ClipSettings(), *(preset.settings for preset in known().values())]
    return column.replace("-", "_") in {"views", *(name for value in values for name in _names(value))}


def _names(settings: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all settings in a dataclass."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _names(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def _as_option(column: str, value: str) -> str:
    """A column's value as an option; true and false become a flag."""
    name = column.replace("_", "-")
    if value.lower() == "true":
        return f"--{name}"
    if value.lower() == "false":
        group, dot, last = name.rpartition(".")
        return f"--{group}{dot}no-{last}"
    return f"--{name}={value}"


def _check_options(options: Sequence[str], where: str = "The command line") -> None:
    for option in options:
        name = option.partition("=")[0]
        if name.removeprefix("--") in FORBIDDEN:
            raise UserError(f"{where} gives {name}, which a batch chooses itself; leave it out.")
    if not _fits(options):
        wrong = next((option for option in options if not _fits([option])), " ".join(options))
        raise UserError(f"{where} gives {wrong}, which `ar4d lift` does not take; see ar4d lift --help.")


def _fits(options: Sequence[str]) -> bool:
    try:
        lift.parse(["clip", *options], quiet=True)
    except SystemExit:
        return False
    return True
