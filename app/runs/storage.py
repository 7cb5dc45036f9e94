"""Folders of runs and drafts: `runs/<visitor>/<run>/` and `runs/<visitor>/drafts/<draft>/`.

A visitor is a secret token that only the visitor's browser knows; the folder is named by its hash. A run
or draft is found through the visitor's folder alone, so that an id is worth nothing to anyone else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, ConfigDict, Field, with_config

from app.runs.limits import Limits
from ar4d.errors import UserError
from ar4d.files import readable_errors, write_text
from ar4d.records import load_record

_ID = re.compile(r"[A-Za-z0-9_-]{22}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")
SETTLED_SECONDS = 3600.0  # an incomplete folder that is older will not be completed
_NO_RUN = "There is no such run here: it was deleted, or it belongs to another visitor."
_NO_DRAFT = "This cut-out no longer exists; choose the video again."

_log = logging.getLogger(__name__)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class JobRecord:
    """Contents of job.json: what the application records about a run. The rest is in its run.json."""

    name: str
    """The visitor's name for the clip."""
    created: float
    """Seconds since the epoch."""
    enqueued: Annotated[bool, Field(validation_alias=AliasChoices("enqueued", "wanted"))] = False
    """Whether the run waits or is at work; a restarted server resumes it. Once called "wanted"."""
    attempts: int = 0
    """How often the run was started since the visitor last asked for it."""
    pinned: bool = False
    """Whether the clean-up spares it."""
    share: str | None = None
    """The secret of the run's link."""
    command_source: str = ""
    """The clip's name on a command line; empty if it was cut out of a box."""
    origin: str = ""
    """Name of the run whose frames it took over; empty if it took none."""
    origin_frame: int | None = None
    """The first frame that it made itself, counted from 0; None if it only refined."""


def new_id() -> str:
    """A random id of 128 bits."""
    return secrets.token_urlsafe(16)


def new_token() -> str:
    """A random visitor's token of 256 bits."""
    return secrets.token_urlsafe(32)


class Storage:
    """The folder that holds all runs and drafts."""

    def __init__(self, root: Path, limits: Limits) -> None:
        """
        Raises:
            UserError: the folder cannot be made or written to.
        """
        self.root, self.limits = root, limits
        with readable_errors(root / "runs"):
            root.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=root).close()

    # --- finding --------------------------------------------------------------------------------

    def visitor(self, token: str) -> Path:
        """A visitor's folder, which may not exist yet.

        Raises:
            UserError: `token` is not a token.
        """
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise UserError("This visitor's token is not valid; leave it away to get a new one.")
        return self.root / hashlib.sha256(token.encode()).hexdigest()[:32]

    def run(self, token: str, run_id: str) -> Path:
        """The folder of one of the visitor's runs.

        Raises:
            UserError: the visitor has no run of this id. Another visitor's run, a deleted one and a guess
                look alike.
        """
        return _child(self.visitor(token), run_id, "run.json", _NO_RUN)

    def draft(self, token: str, draft_id: str) -> Path:
        """The folder of one of the visitor's cut-outs.

        Raises:
            UserError: the visitor has no cut-out of this id.
        """
        return _child(self.visitor(token) / "drafts", draft_id, "source", _NO_DRAFT)

    def new_run(self, token: str) -> Path:
        """A path for a new run; the folder does not exist yet."""
        return self.visitor(token) / new_id()

    def new_draft(self, token: str) -> Path:
        """The folder of a new draft, which holds an empty `source/`."""
        folder = self.visitor(token) / "drafts" / new_id()
        (folder / "source").mkdir(parents=True)
        return folder

    def runs(self, token: str) -> list[Path]:
        """The folders of the visitor's runs, newest first."""
        return sorted(_runs_in(self.visitor(token)), key=_created, reverse=True)

    def all_runs(self) -> Iterator[Path]:
        """The folders of all visitors' runs."""
        for visitor in _folders(self.root):
            yield from _runs_in(visitor)

    def shared(self, share: str) -> Path | None:
        """The folder of the run that is shared under a link; None if there is none."""
        if not _ID.fullmatch(share):
            return None
        for folder in self.all_runs():
            record = _record_or_none(folder)
            if record is not None and record.share == share:
                return folder
        return None

    # --- enforcing the limits ------------------------------------------------------------------

    def require_room(self) -> None:
        """Checks that the disk has room for a run.

        Raises:
            UserError: the disk is almost full.
        """
        free = shutil.disk_usage(self.root).free
        if free < self.limits.free_gb * 1e9:
            raise UserError(
                f"The server's disk is full ({free / 1e6:.0f} MB are left); delete runs that you do not need."
            )

    def require_turn(self, token: str) -> None:
        """Checks that the visitor may queue another run.

        Raises:
            UserError: the visitor has as many unfinished runs as the limits allow.
        """
        records = (_record_or_none(folder) for folder in self.runs(token))
        under_way = sum(record.enqueued for record in records if record is not None)
        if under_way >= self.limits.waiting:
            raise UserError(
                f"{under_way} of your runs are queued or at work, the most that one visitor may have; "
                "wait for one or cancel it."
            )

    def clean_up(self) -> list[Path]:
        """Deletes drafts and runs over the limits, oldest first.

        Runs that are pinned, queued or at work stay, and so do those whose job record is damaged.

        Returns:
            The folders of the deleted runs.
        """
        gone = []
        for visitor in _folders(self.root):
            for incomplete in _incomplete_in(visitor):
                shutil.rmtree(incomplete, ignore_errors=True)
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
        """Deletes a run. It leaves the lists at once, even if deleting its files is interrupted."""
        hidden = folder.with_name(f".{folder.name}")
        folder.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
        return folder


def read_job_record(folder: Path) -> JobRecord:
    """Reads a run's job record; a run that the command line made has none and gets a default.

    Raises:
        UserError: job.json is damaged or from an incompatible version.
    """
    path = folder / "job.json"
    try:
        return load_record(path, JobRecord, "a job's record", "delete the file to reset it")
    except FileNotFoundError:
        return JobRecord(name=folder.name, created=folder.stat().st_mtime)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); delete it to reset it.") from error


def update_job_record(folder: Path, **changes: Any) -> JobRecord:
    """Writes the job record with some of its values changed."""
    record = dataclasses.replace(read_job_record(folder), **changes)
    write_text(folder / "job.json", json.dumps(dataclasses.asdict(record), indent=1))
    return record


def create_job_record(folder: Path, name: str, command_source: str) -> None:
    """Writes the job record of a new run."""
    record = JobRecord(name, time.time(), command_source=command_source)
    write_text(folder / "job.json", json.dumps(dataclasses.asdict(record), indent=1))


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; a file with two names (a run links its draft's clip) counts once."""
    seen, total = set(), 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:  # just deleted
            continue
        if path.is_file() and status.st_ino not in seen:
            seen.add(status.st_ino)
            total += status.st_size
    return total


def safe_name(name: str) -> str:
    """A file name without characters that are special in a path or a shell."""
    name = re.sub(r"[^\w.-]+", "_", Path(name).name).strip("._")
    return name[-80:] or "clip"


def link(source: Path, copy: Path) -> None:
    """Makes a file, or a folder with its files, appear in another place without copying its contents."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, copy, copy_function=os.link)
    else:
        os.link(source, copy)


def strip_server_paths(text: str) -> str:
    """Removes the server's folders from a text: "/srv/runs/x/clip.mp4" becomes "clip.mp4"."""
    return re.sub(r"(?<![\w/.:])/(?:[^\s/]+/)+(?=[^\s/])", "", text)


def _child(parent: Path, name: str, proof: str, message: str) -> Path:
    """A visitor's folder called `name`, which is whole if it holds `proof`."""
    if not isinstance(name, str) or not _ID.fullmatch(name) or not (parent / name / proof).exists():
        raise UserError(message)
    return parent / name


def _folders(parent: Path) -> list[Path]:
    if not parent.exists():
        return []
    return [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _runs_in(visitor: Path) -> list[Path]:
    return [folder for folder in _folders(visitor) if (folder / "run.json").exists()]


def _incomplete_in(visitor: Path) -> list[Path]:
    """Folders that a killed server left half made or half deleted."""
    settled = time.time() - SETTLED_SECONDS
    others = (path for path in visitor.iterdir() if path.is_dir() and path.name != "drafts")
    incomplete = (p for p in others if p.name.startswith(".") or not (p / "run.json").exists())
    return [path for path in incomplete if _touched(path) < settled]


def _record_or_none(folder: Path) -> JobRecord | None:
    """The job record; None if it is damaged, which must not stop what concerns all runs."""
    try:
        return read_job_record(folder)
    except UserError as error:
        _log.warning("A job record is left out: %s", error)
        return None


def _deletable(folder: Path) -> bool:
    record = _record_or_none(folder)
    return record is not None and not (record.pinned or record.enqueued)


def _created(folder: Path) -> float:
    record = _record_or_none(folder)
    return _touched(folder) if record is None else record.created


def _touched(folder: Path) -> float:
    return folder.stat().st_mtime


@contextmanager
def whole_or_gone(folder: Path) -> Iterator[None]:
    """Deletes the folder if the body raises, so that nothing half made is left behind."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
