"""Whose files lie where: `runs/<visitor>/<run>/` and `runs/<visitor>/drafts/<draft>/`.

A visitor is a secret token that only his browser knows; his folder is named by its hash. A run or
draft is found through the visitor's folder alone, so that an id is worth nothing to anyone else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.runs.limits import Limits
from ar4d.errors import UserError
from ar4d.files import write_text

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")
SETTLED_SECONDS = 3600.0  # what is half made after that will not become whole
_NO_RUN = "There is no such run here: it was deleted, or it is somebody else's."
_NO_DRAFT = "This cut-out is not kept any more; choose the video again."


@dataclass(frozen=True)
class Label:
    """What the application notes about a run, in its job.json; all else is in its run.json."""

    name: str
    """What the visitor calls the clip."""
    created: float
    """Seconds since the epoch."""
    wanted: bool = False
    """Whether it waits or works: a server that starts again goes on with it."""
    attempts: int = 0
    """How often it was begun since the visitor last asked for it."""
    pinned: bool = False
    """Spared by the clean-up."""
    share: str | None = None
    """Whoever knows this may watch."""
    command_source: str = ""
    """How a command line would name the clip."""


def new_id() -> str:
    """128 bits that nobody guesses."""
    return secrets.token_urlsafe(16)


def new_token() -> str:
    return secrets.token_urlsafe(32)


class Storage:
    """The folder of all runs."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self.limits = root, limits
        root.mkdir(parents=True, exist_ok=True)

    # --- finding --------------------------------------------------------------------------------

    def visitor(self, token: str) -> Path:
        """A visitor's folder, which may not exist yet.

        Raises:
            UserError: this is no token.
        """
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise UserError("This visitor's token is not valid; reload the page to get a new one.")
        return self.root / hashlib.sha256(token.encode()).hexdigest()[:32]

    def run(self, token: str, run_id: str) -> Path:
        """The folder of a visitor's own run.

        Raises:
            UserError: he has none of this id. A foreign run, a deleted one and a guess look alike.
        """
        return _child(self.visitor(token), run_id, "run.json", _NO_RUN)

    def draft(self, token: str, draft_id: str) -> Path:
        """The folder of a visitor's own cut-out.

        Raises:
            UserError: he has none of this id.
        """
        return _child(self.visitor(token) / "drafts", draft_id, "source", _NO_DRAFT)

    def new_run(self, token: str) -> Path:
        return self.visitor(token) / new_id()

    def new_draft(self, token: str) -> Path:
        folder = self.visitor(token) / "drafts" / new_id()
        (folder / "source").mkdir(parents=True)
        return folder

    def runs(self, token: str) -> list[Path]:
        """A visitor's runs, the newest first."""
        return sorted(_runs_in(self.visitor(token)), key=_created, reverse=True)

    def all_runs(self) -> Iterator[Path]:
        for visitor in _folders(self.root):
            yield from _runs_in(visitor)

    def shared(self, share: str) -> Path | None:
        """The run that a link was made for."""
        if not _ID.fullmatch(share):
            return None
        return next((folder for folder in self.all_runs() if read_label(folder).share == share), None)

    # --- keeping within bounds ------------------------------------------------------------------

    def require_room(self) -> None:
        """
        Raises:
            UserError: the disk is as good as full.
        """
        free = shutil.disk_usage(self.root).free
        if free < self.limits.free_gb * 1e9:
            raise UserError(
                f"The server's disk is full ({free / 1e6:.0f} MB are left); delete runs that are not needed."
            )

    def require_turn(self, token: str) -> None:
        """
        Raises:
            UserError: the visitor has enough runs under way.
        """
        under_way = sum(read_label(folder).wanted for folder in self.runs(token))
        if under_way >= self.limits.waiting:
            raise UserError(
                f"{under_way} of your runs wait or work already, and that is as many as one visitor may "
                "have; wait for one or cancel it."
            )

    def clean_up(self) -> list[Path]:
        """Deletes what is over the limits, the oldest first; never what is pinned, waits or works.

        Returns:
            The runs that are gone.
        """
        gone = []
        for visitor in _folders(self.root):
            for broken in _broken_in(visitor):
                shutil.rmtree(broken, ignore_errors=True)
            drafts = sorted(_folders(visitor / "drafts"), key=_touched)
            for draft in drafts[: max(len(drafts) - self.limits.drafts, 0)]:
                shutil.rmtree(draft, ignore_errors=True)
            runs = sorted(_runs_in(visitor), key=_created)
            surplus = len(runs) - self.limits.runs
            gone += [self.delete(run) for run in [r for r in runs if _deletable(r)][: max(surplus, 0)]]
        left = sorted((run for run in self.all_runs() if _deletable(run)), key=_created)
        total = size_of(self.root)
        while left and total > self.limits.disk_gb * 1e9:
            total -= size_of(left[0])
            gone.append(self.delete(left.pop(0)))
        return gone

    def delete(self, folder: Path) -> Path:
        """Deletes a run. It disappears from the lists at once, whatever happens half-way."""
        hidden = folder.with_name(f".{folder.name}")
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
        return folder


def read_label(folder: Path) -> Label:
    """A run's label; one that was made by the command line has none."""
    path = folder / "job.json"
    if not path.exists():
        return Label(name=folder.name, created=folder.stat().st_mtime)
    known = {f.name for f in dataclasses.fields(Label)}
    values = json.loads(path.read_text(encoding="utf-8"))
    return Label(**{name: value for name, value in values.items() if name in known})


def change_label(folder: Path, **changes) -> Label:
    """Writes the label with some of its values changed."""
    label = dataclasses.replace(read_label(folder), **changes)
    write_text(folder / "job.json", json.dumps(dataclasses.asdict(label), indent=1))
    return label


def write_label(folder: Path, name: str, command_source: str) -> None:
    """The label of a new run."""
    label = Label(name, time.time(), command_source=command_source)
    write_text(folder / "job.json", json.dumps(dataclasses.asdict(label), indent=1))


def size_of(folder: Path) -> int:
    """Bytes of all files below; a file with two names (a run's clip is its draft's) counts once."""
    seen, total = set(), 0
    for path in folder.rglob("*"):
        try:
            facts = path.lstat()
        except FileNotFoundError:  # just deleted
            continue
        if path.is_file() and facts.st_ino not in seen:
            seen.add(facts.st_ino)
            total += facts.st_size
    return total


def discreet(sentence: str) -> str:
    """Without the server's own folders: of "/srv/runs/x/clip.mp4" only "clip.mp4" stays."""
    return re.sub(r"(?<![\w/.:])/(?:[^\s/]+/)+(?=[^\s/])", "", sentence)


def _child(parent: Path, name: str, proof: str, sentence: str) -> Path:
    if not isinstance(name, str) or not _ID.fullmatch(name) or not (parent / name / proof).exists():
        raise UserError(sentence)
    return parent / name


def _folders(parent: Path) -> list[Path]:
    if not parent.exists():
        return []
    return [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _runs_in(visitor: Path) -> list[Path]:
    return [folder for folder in _folders(visitor) if (folder / "run.json").exists()]


def _broken_in(visitor: Path) -> list[Path]:
    """What a server that was killed has left half made or half deleted."""
    settled = time.time() - SETTLED_SECONDS
    others = (path for path in visitor.iterdir() if path.is_dir() and path.name != "drafts")
    hidden_or_unmade = (p for p in others if p.name.startswith(".") or not (p / "run.json").exists())
    return [path for path in hidden_or_unmade if _touched(path) < settled]


def _deletable(folder: Path) -> bool:
    label = read_label(folder)
    return not (label.pinned or label.wanted)


def _created(folder: Path) -> float:
    return read_label(folder).created


def _touched(folder: Path) -> float:
    return folder.stat().st_mtime
