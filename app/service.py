"""What a visitor can do: the page and the API are two ways to ask for it."""

from __future__ import annotations

import dataclasses
import os
import re
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.runs import storage
from app.runs.drafts import Box, Facts, source_of
from app.runs.estimates import Estimate, Estimator
from app.runs.event_log import copy_history
from app.runs.limits import Limits
from app.runs.prompt_jobs import CLIP, FILMING_ROLES
from app.runs.queue import Job, Jobs
from app.runs.storage import Storage, change_label, read_label
from app.runs.tasks import CutOut, Export
from app.runs.worker import TaskFailed, Worker, WorkerDied
from ar4d.clip import Clip, ClipSettings
from ar4d.errors import UserError
from ar4d.events import drain
from ar4d.files import atomic, readable_errors
from ar4d.imagine import experts_of
from ar4d.runs import Recipe, Run
from ar4d.settings import Settings

if TYPE_CHECKING:
    from app.server import Viewers
    from app.viewer import RunViewer

HOUSEKEEPING_SECONDS = 300.0
DOWNLOAD_SECONDS = 6 * 3600.0  # how long an upload or a download lies about


class Studio:
    """The server's one instance: storage, queue, viewers, and the worker for what is quick."""

    def __init__(self, root: Path, viewers: Viewers, limits: Limits | None = None, device: str = "") -> None:
        """
        Args:
            device: "cpu" or "cuda"; by default what the machine has.
        """
        from app.runs.devices import workers

        self.limits = limits or Limits()
        self.storage = Storage(root.resolve(), self.limits)
        self.cache = self.storage.root / ".cache"  # uploads and downloads
        self.cache.mkdir(exist_ok=True)
        self.viewers = viewers
        self.estimator = Estimator(self.storage.root / "timings.jsonl")
        self._desk = Worker("desk")
        handles, self.device = workers(device)
        self.jobs = Jobs(handles, self.estimator, self.device)
        self._shown: dict[Path, str] = {}  # ids of the runs' viewers
        self._showing = threading.Lock()
        self._closed = threading.Event()

    def open_doors(self) -> None:
        """Starts the workers, goes on with what a former server left, and keeps the house from now on."""
        self._desk.start()
        self.jobs.warm_up()
        self.jobs.restore(list(self.storage.all_runs()))
        threading.Thread(target=self._keep_house, daemon=True, name="ar4d-housekeeping").start()

    def close(self) -> None:
        self._closed.set()
        self.jobs.close()
        self._desk.close()

    # --- clips ----------------------------------------------------------------------------------

    def take(self, token: str, path: Path, name: str | None = None, command_source: str = "") -> Path:
        """Makes a draft of a video.

        Args:
            path: of the video, which stays where it is.
            name: what to call it; by default the file's.
            command_source: how a command line would name it; by default its name.

        Returns:
            The draft's folder.

        Raises:
            UserError: the file is too large, or the disk is full.
        """
        self.storage.require_room()
        size = path.stat().st_size
        if size > self.limits.upload_mb * 1e6:
            raise UserError(
                f"{path.name} is {size / 1e6:.0f} MB large and this server takes at most "
                f"{self.limits.upload_mb} MB; make it shorter or smaller."
            )
        folder = self.storage.new_draft(token)
        copy = folder / "source" / _safe_name(name or path.name)
        with _whole_or_gone(folder), readable_errors(copy):
            shutil.copyfile(path, copy)
            storage.write_label(folder, copy.name, command_source or copy.name)
        return folder

    def cut_out(self, folder: Path, settings: ClipSettings, size: int, box: Box | None = None) -> Facts:
        """Makes or remakes the cut-out of a draft.

        Raises:
            UserError: as `ar4d.clip.load_clip`, or the clip is over the limits.
        """
        if not 1 <= settings.num_frames <= self.limits.num_frames:
            raise UserError(
                f"This server makes 1 to {self.limits.num_frames} frames, not {settings.num_frames}."
            )
        self._check_size(size)
        limits = self.limits
        task = CutOut(folder, settings, size, box, limits.clip_seconds, limits.clip_megapixels * 1e6)
        self._at_desk(task)
        os.utime(folder)
        return Facts.read(folder)

    # --- runs -----------------------------------------------------------------------------------

    def check(self, settings: Settings, num_frames: int) -> None:
        """
        Raises:
            UserError: settings that cannot work here, or that are over the limits.
        """
        from ar4d.lifting import check

        steps = settings.initialize.iterations + settings.generate.iterations * max(num_frames - 1, 0)
        steps += settings.refine.iterations + settings.refine.warm_start if settings.refine.enabled else 0
        for value, limit, what in (
            (settings.initialize.gaussians, self.limits.gaussians, "Gaussians"),
            (steps, self.limits.steps, "optimisation steps in all"),
        ):
            if value > limit:
                raise UserError(f"This server allows {limit:,} {what}, not {value:,}; choose fewer.")
        self._check_size(settings.size)
        self._check_size(settings.pseudo_size)
        check(settings)

    def start(self, token: str, draft: Path, settings: Settings) -> Path:
        """Makes a run of a draft and queues it.

        Returns:
            The run's folder.

        Raises:
            UserError: no cut-out, impossible settings, a full disk, or too many runs under way.
        """
        self.storage.require_room()
        self.storage.require_turn(token)
        facts = Facts.read(draft)
        self.check(settings, facts.num_frames)
        clip_settings = ClipSettings(**facts.settings)
        if settings.kind == "scene":
            clip_settings = clip_settings.of_scene()
        if facts.size != settings.size or facts.settings != dataclasses.asdict(clip_settings):
            facts = self.cut_out(draft, clip_settings, settings.size, facts.box)
        source, label = source_of(draft), read_label(draft)
        folder = self.storage.new_run(token)
        kept = folder / "source" / source.name
        with _whole_or_gone(folder), readable_errors(kept):
            kept.parent.mkdir(parents=True)
            os.link(source, kept)
            clip = Clip.load(draft / "input")
            storage.write_label(folder, label.name, "" if facts.box else label.command_source)
            Run.create(folder, Recipe(str(kept), clip_settings, settings), clip, experts_of(draft / CLIP))
            self.jobs.submit(folder)
        return folder

    def rerun(self, token: str, run: Path, settings: Settings, first_frame: int) -> Path:
        """A new run with other settings that takes over another one's frames before `first_frame`.

        `first_frame` = the number of frames: only the refinement is made anew.

        Raises:
            UserError: the other run has too few frames, or as `start`.
        """
        self.storage.require_room()
        self.storage.require_turn(token)
        old = Run.open(run)
        if not 0 <= first_frame <= old.num_finished:
            raise UserError(
                f"Only {old.num_finished} frames of this run are finished; choose a frame up to "
                f"{old.num_finished + 1} to go on from."
            )
        clip = old.clip
        settings = dataclasses.replace(settings, size=clip.size)
        self.check(settings, clip.num_frames)
        folder = self.storage.new_run(token)
        label = read_label(run)
        with _whole_or_gone(folder), readable_errors(folder / "frames"):
            (folder / "frames").mkdir(parents=True)
            storage.write_label(folder, label.name, label.command_source)
            filmed = {role: name for role, name in old.record.experts.items() if role in FILMING_ROLES}
            new = Run.create(folder, dataclasses.replace(old.record.recipe, settings=settings), clip, filmed)
            for k in range(first_frame):
                os.link(old.frame_path(k), new.frame_path(k))
            if (run / "source").exists():
                shutil.copytree(run / "source", folder / "source", copy_function=os.link)
            copy_history(old, new, first_frame)
            self.jobs.submit(folder)
        return folder

    def resume(self, token: str, run: Path) -> Job:
        """
        Raises:
            UserError: it is finished, or too many runs are under way.
        """
        self.storage.require_room()
        self.storage.require_turn(token)
        if self.jobs.get(run).alive:
            return self.jobs.get(run)
        with self._showing:
            job = self.jobs.submit(run)
            viewer = self.viewers.get(self._shown.get(run, ""))
            if viewer is not None:
                self._feed(viewer, run)
        return job

    def pin(self, run: Path) -> None:
        """Spares a run from the clean-up, or no longer."""
        change_label(run, pinned=not read_label(run).pinned)

    def delete(self, run: Path) -> None:
        """
        Raises:
            UserError: it waits or works.
        """
        if self.jobs.get(run).alive:
            raise UserError("This run is still under way; cancel it before you delete it.")
        self._forget(run)
        self.storage.delete(run)

    def estimate(self, settings: Settings, num_frames: int, first_frame: int = 0) -> Estimate:
        device = "cpu" if settings.device == "cpu" else self.device
        return self.estimator.estimate(settings, num_frames, device, first_frame)

    # --- seeing and taking away -----------------------------------------------------------------

    def viewer_path(self, run: Path) -> str:
        """Where a run can be watched, below the server's root; its viewer is opened if it is not."""
        from app.viewer import RunViewer

        with self._showing:
            id = self._shown.get(run)
            if id is not None and self.viewers.get(id) is not None:
                return f"/viewer/{id}/"
            viewer = RunViewer(None)
            self._feed(viewer, run)
            self._shown[run] = viewer.id
            return self.viewers.add(viewer)

    def _feed(self, viewer: RunViewer, run: Path) -> None:
        opened = Run.open(run)
        self.jobs.get(run).follow(lambda: viewer.show_run(opened), viewer.on, viewer.pause)

    def share(self, run: Path, on: bool) -> str | None:
        """The secret of a run's link, or None once nobody else may watch any more."""
        label = read_label(run)
        share = (label.share or storage.new_id()) if on else None
        if share != label.share:
            change_label(run, share=share)
        if not on:
            self._close_viewer(run)  # whoever has its address loses it
        return share

    def shared(self, share: str) -> str | None:
        """The path of the viewer that a link leads to, or None if there is no such link."""
        run = self.storage.shared(share)
        return self.viewer_path(run) if run is not None else None

    def export(self, run: Path, format: str, options: dict[str, Any] | None = None) -> Path:
        """Writes a finished run in a format; returns one file, zipped where there are several.

        Raises:
            UserError: it is not finished, no such format, or as `ar4d.export.export`.
        """
        from ar4d.export import find_format

        if format == "cutout":
            return self._cutout(run)
        kind, options = find_format(format), options or {}
        many = kind.writes_folder(kind.make_options(options))
        self.storage.require_room()
        Run.open(run).asset()
        ending = ".zip" if many else kind.suffix
        stem = Path(_safe_name(read_label(run).name)).stem + (f"-{format}" if many else "")
        # A folder of its own: neither two exports at a time nor two options share a file.
        out = self.cache / secrets.token_urlsafe(16) / f"{stem}{ending}"
        out.parent.mkdir()
        return self._at_desk(Export(run, format, out, options))

    def _cutout(self, run: Path) -> Path:
        """The clip's frames with their alpha: what the command line takes with `--background alpha`."""
        out = self.cache / secrets.token_urlsafe(16) / "cutout.zip"
        out.parent.mkdir()
        with atomic(out) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for picture in sorted((run / "input").glob("*.png")):
                archive.write(picture, f"cutout/{picture.name}")
        return out

    # --- inside ---------------------------------------------------------------------------------

    def _at_desk(self, task: Any) -> Any:
        try:
            return drain(self._desk.run(task))
        except WorkerDied as error:
            raise UserError(f"{error} Try a shorter or smaller clip; everything else goes on.") from error
        except TaskFailed as error:
            raise UserError(f"An error of this program: {error}. Please report it.") from error

    def _check_size(self, size: int) -> None:
        if not 16 <= size <= self.limits.size:
            raise UserError(f"This server fits clips at 16 to {self.limits.size} pixels, not {size}.")

    def _forget(self, run: Path) -> None:
        self.jobs.forget(run)
        self._close_viewer(run)

    def _close_viewer(self, run: Path) -> None:
        with self._showing:
            id = self._shown.pop(run, None)
        if id is not None:
            self.viewers.close(id)

    def _keep_house(self) -> None:
        while not self._closed.wait(HOUSEKEEPING_SECONDS):
            self.tidy()

    def tidy(self) -> None:
        """Deletes what is over the limits, and old uploads and downloads."""
        for run in self.storage.clean_up():
            self._forget(run)
        for folder in self.cache.iterdir():
            if folder.stat().st_mtime < time.time() - DOWNLOAD_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        with self._showing:
            self._shown = {run: id for run, id in self._shown.items() if self.viewers.get(id)}


@contextmanager
def _whole_or_gone(folder: Path) -> Iterator[None]:
    """What could not be made wholly leaves nothing behind, not on a full disk either."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _safe_name(name: str) -> str:
    """A file name without anything that a path or a shell could take amiss."""
    name = re.sub(r"[^\w.-]+", "_", Path(name).name).strip("._")
    return name[-80:] or "clip"
