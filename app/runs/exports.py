"""Exports of finished runs: made by a worker one after the other, each with its progress and a Cancel."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import zipfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.runs.limits import Limits
from app.runs.storage import Storage, read_job_record, safe_name, strip_server_paths
from app.runs.tasks import Export
from app.runs.worker import TaskFailed, WorkerDied
from ar4d.errors import UserError
from ar4d.events import Event, Progress
from ar4d.files import atomic
from ar4d.runs import Run

State = Literal["waiting", "working", "finished", "cancelled", "failed"]
CUTOUT = "cutout"
AT_ONCE = 4  # exports of one run that wait or are at work
REMEMBERED = 500  # exports whose state can be asked for
CANCEL = "cancel"  # the file that stops an export

_log = logging.getLogger(__name__)


@dataclass
class Making:
    """One export: what is made, and how far it is."""

    id: str
    run: Path
    out: Path
    state: State = "waiting"
    task: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    path: Path | None = None
    """The file, once it is finished."""
    ended: threading.Event = field(default_factory=threading.Event)

    def to_json(self) -> dict[str, Any]:
        """What a browser needs to know."""
        size = self.path.stat().st_size if self.path is not None and self.path.exists() else 0
        return {
            "id": self.id, "state": self.state, "task": self.task, "done": self.done, "total": self.total,
            "error": self.error, "name": self.out.name, "size": size,
        }  # fmt: skip


class Exports:
    """The exports of a server's runs."""

    def __init__(
        self,
        cache: Path,
        storage: Storage,
        limits: Limits,
        work: Callable[[Any], Generator[Event, None, Any]],
    ) -> None:
        """
        Args:
            cache: folder for the files; each export has a folder of its own, with a name nobody can guess.
            work: runs a task in a worker and yields its events.
        """
        self._cache, self._storage, self._limits, self._work = cache, storage, limits, work
        self._makings: dict[str, Making] = {}
        self._tickets: dict[str, Path] = {}
        self._lock = threading.Lock()

    # --- tickets ------------------------------------------------------------------------------------

    def ticket(self, run: Path) -> str:
        """A secret that lets a page export and clean up a run, without the visitor's token."""
        with self._lock:
            for ticket, known in self._tickets.items():
                if known == run:
                    return ticket
            ticket = secrets.token_urlsafe(16)
            self._tickets[ticket] = run
            return ticket

    def run_of(self, ticket: str) -> Path:
        """The run of a ticket.

        Raises:
            UserError: there is none, or it was deleted.
        """
        run = self._tickets.get(ticket)
        if run is None or not (run / "run.json").exists():
            raise UserError("This run is gone: it was deleted, or the server was restarted; open it again.")
        return run

    # --- making -------------------------------------------------------------------------------------

    def start(self, run: Path, format: str, options: dict[str, Any], original: bool = False) -> Making:
        """Begins an export, which a thread then follows.

        Raises:
            UserError: the run is not finished, there is no such format or option, the video is too large for
                this server, or too many exports of this run are under way.
        """
        from ar4d.formats import find_format

        self._storage.require_room()
        if format != CUTOUT:
            kind = find_format(format)
            checked = kind.make_options(options)
            self._require_modest(checked)
            if not Run.open(run).asset_path.exists():
                raise UserError("This run is not finished yet; its files can be made when it is.")
            ending = ".zip" if kind.writes_folder(checked) else kind.suffix
        else:
            ending = ".zip"
        with self._lock:
            under_way = [m for m in self._makings.values() if m.run == run and not m.ended.is_set()]
        if len(under_way) >= AT_ONCE:
            raise UserError(f"{len(under_way)} exports of this run are under way; wait for one or cancel it.")
        id = secrets.token_urlsafe(16)
        stem = Path(safe_name(read_job_record(run).name)).stem
        name = f"{stem}-{format}{ending}" if ending == ".zip" and format != CUTOUT else f"{stem}{ending}"
        out = self._cache / id / (f"{stem}-cutout.zip" if format == CUTOUT else name)
        out.parent.mkdir()
        making = Making(id, run, out)
        with self._lock:
            self._makings[id] = making
            for old in list(self._makings)[:-REMEMBERED]:
                del self._makings[old]
        task = Export(run, format, out, options, original, out.parent / CANCEL)
        threading.Thread(target=self._follow, args=(making, task), daemon=True, name="ar4d-export").start()
        return making

    def make(self, run: Path, format: str, options: dict[str, Any]) -> Path:
        """Exports a run and waits for it; returns the file.

        Raises:
            UserError: as `start`, or the export failed.
        """
        making = self.start(run, format, options)
        making.ended.wait()
        if making.path is None:
            raise UserError(making.error)
        return making.path

    def find(self, run: Path, id: str) -> Making:
        """An export of a run.

        Raises:
            UserError: there is none.
        """
        making = self._makings.get(id)
        if making is None or making.run != run:
            raise UserError("This export is gone; make the file again.")
        return making

    def cancel(self, making: Making) -> None:
        """Cancels an export, which then leaves no file behind; nothing happens if it has ended."""
        if not making.ended.is_set():
            making.state = "cancelled"
            if making.out.parent.exists():
                (making.out.parent / CANCEL).touch()

    def _follow(self, making: Making, task: Export) -> None:
        try:
            path = _cut_out(task) if task.format == CUTOUT else self._worked(making, task)
            if making.state != "cancelled":
                making.path, making.state = path, "finished"
        except (UserError, WorkerDied, TaskFailed) as error:
            if making.state != "cancelled":
                making.state, making.error = "failed", _sentence(error)
        except Exception as error:  # noqa: BLE001 (it is reported)
            _log.exception("An export failed")
            making.state, making.error = "failed", f"An error in this program: {error}. Please report it."
        finally:
            if making.path is None:
                shutil.rmtree(making.out.parent, ignore_errors=True)
            making.ended.set()

    def _worked(self, making: Making, task: Export) -> Path:
        events = self._work(task)
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                return end.value
            if isinstance(event, Progress):
                if making.state == "waiting":
                    making.state = "working"
                making.task, making.done, making.total = event.task, event.done, event.total

    def _require_modest(self, options: Any) -> None:
        """
        Raises:
            UserError: a video has more pixels than the server draws.
        """
        from ar4d.formats import VideoOptions

        if not isinstance(options, VideoOptions):
            return
        seconds = options.seconds if options.seconds is not None else 10.0 * (options.plays or 1)
        megapixels = options.size * (options.width or options.size) * seconds * options.fps / 1e6
        if megapixels > self._limits.video_megapixels:
            raise UserError(
                f"This video has {seconds * options.fps:,.0f} frames of "
                f"{options.width or options.size} × {options.size} pixels, more than this server draws; "
                "choose fewer seconds or a smaller size."
            )


def _cut_out(task: Export) -> Path:
    """The clip's frames with their alpha, as the command line reads them with `--background alpha`."""
    with atomic(task.out) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for picture in sorted((task.folder / "input").glob("*.png")):
            archive.write(picture, f"cutout/{picture.name}")
    return task.out


def _sentence(error: Exception) -> str:
    text = strip_server_paths(str(error))
    if isinstance(error, WorkerDied):
        return f"{text} Try fewer frames or a smaller size."
    return f"An error in this program: {text}. Please report it." if isinstance(error, TaskFailed) else text
