"""Licences that somebody has to accept before an expert may be used, and those that were accepted.

An acceptance is a line in a file of the user's own (`AR4D_HOME`, by default `~/.config/ar4d`), made by
`python -m ar4d fetch NAME --accept-licence`, or a name in the variable `AR4D_ACCEPT`.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from ar4d.files import write_text

ACCEPT_VARIABLE = "AR4D_ACCEPT"
HOME_VARIABLE = "AR4D_HOME"


def acceptances_file() -> Path:
    home = os.environ.get(HOME_VARIABLE)
    return (Path(home).expanduser() if home else Path.home() / ".config/ar4d") / "accepted-licences.txt"


def is_accepted(name: str) -> bool:
    """Whether the licence of the expert called `name` was accepted by this user."""
    if name in os.environ.get(ACCEPT_VARIABLE, "").replace(",", " ").split():
        return True
    path = acceptances_file()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return any(line.split("\t")[0] == name for line in lines)


def accept(name: str, licence: str) -> None:
    """Notes that the user accepted the licence of the expert called `name`."""
    if is_accepted(name):
        return
    path = acceptances_file()
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, f"{before}{name}\t{licence}\t{datetime.date.today().isoformat()}\n")


def refusal(name: str, licence: str) -> str:
    """The sentence for an expert whose licence was not accepted yet."""
    return (
        f"{name} is under {licence}, which somebody has to accept: read it, then say so with "
        f"`python -m ar4d fetch {name} --accept-licence`."
    )
