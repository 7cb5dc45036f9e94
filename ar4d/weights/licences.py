"""Licences that a user has to accept before an expert may be used, and those that were accepted.

An acceptance is a line in a file of the user's own, in the folder that `AR4D_HOME` names (by default the
platform's folder for settings, as `~/.config/ar4d`). `ar4d fetch NAME --accept-licence` adds one; a name in
the variable `AR4D_ACCEPT` does the same for one process.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import platformdirs

from ar4d.files import write_text

ACCEPT_VARIABLE = "AR4D_ACCEPT"
HOME_VARIABLE = "AR4D_HOME"


def acceptances_file() -> Path:
    home = os.environ.get(HOME_VARIABLE)
    folder = Path(home).expanduser() if home else platformdirs.user_config_path("ar4d")
    return folder / "accepted-licences.txt"


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
        f"{name} is under {licence}, which a user has to accept: read it, then say so with "
        f"`ar4d fetch {name} --accept-licence`."
    )
