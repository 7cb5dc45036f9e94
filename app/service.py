"""The server's service: everything that the page and the API let a visitor do."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.metrics import Metrics
from app.runs import other_views, storage
from app.runs.cutting import Cuts
from app.runs.drafts import CutoutRecord, source_of
from app.runs.estimates import Estimate, Estimator
from app.runs.event_log import copy_history
from app.runs.exports import Exports
from app.runs.limits import Limits
from app.runs.prompt_jobs import CLIP, PROMPT_ROLES
from app.runs.queue import Job, Jobs
from app.runs.repeats import find_same_run
from app.runs.storage import Storage, link, read_job_record, safe_name, update_job_record, whole_or_gone
from app.runs.tasks import CutOut
from app.runs.uploads import require_size, take_in
from app.runs.worker import readable_failures
from ar4d.clip import Clip, ClipSettings
from ar4d.engines.registry import engine_of
from ar4d.errors import UserError
from ar4d.events import Event, drain
from ar4d.files import readable_errors
from ar4d.imagine import experts_of
from ar4d.runs import Recipe, Run
from ar4d.settings import EngineSettings, Settings

Cutting = Generator[Event, None, CutoutRecord]

if TYPE_CHECKING:
    from app.server import Viewers
    from app.viewer import RunViewer

CLEAN_UP_SECONDS = 300.0
STOP_SECONDS = 2.0  # that workers get to stop by themselves once the server ends
MAX_NAME = 80  # characters of a run's name
DOWNLOAD_SECONDS = 6 * 3600.0  # age at which uploads and downloads are deleted


class Service:
    """Storage, queue, viewers and the worker for short tasks. A server has one instance."""

    def __init__(
        self, root: Path, viewers: Viewers, limits: Limits | None = None, device: str = "", ray: str = ""
    ) -> None:
        """
        Args:
            device: "cpu" or "cuda"; by default the best that the machine has.
            ray: address of a Ray cluster whose devices to use in place of this machine's.
        """
        from app.runs.devices import utility_worker, workers

        self.limits = limits or Limits()
        self.storage = Storage(root.resolve(), self.limits)
        self.cache = self.storage.root / ".cache"  # uploads and downloads
        self.cache.mkdir(exist_ok=True)
        self.viewers = viewers
        self.estimator = Estimator(self.storage.root / "timings.jsonl")
        self._utility_worker = utility_worker(self.limits)
        self.metrics = Metrics()
        self._cuts = Cuts(self._utility_worker)
        handles, self.device = workers(device, self.estimator, ray)
        self.jobs = Jobs(handles, self.estimator, self.device, self.metrics)
        self.metrics.watch(self)
        self.exports = Exports(self.cache, self.storage, self.limits, self._utility_worker.run)
        self._viewer_ids: dict[Path, str] = {}  # by run
        self._viewer_lock = threading.Lock()
        self._closed = threading.Event()
        self._started = False

    def start(self) -> None:
        """Starts the workers, restores queued runs and starts the periodic clean-up."""
        self._utility_worker.start()
        self.jobs.warm_up()
        self.jobs.restore(list(self.storage.all_runs()))
        threading.Thread(target=self._clean_up_regularly, daemon=True, name="ar4d-clean-up").start()
        self._started = True

    def close(self, grace_seconds: float = 0.0) -> None:
        """Stops the workers; unfinished runs stay enqueued, and get `grace_seconds` to store their frame."""
        self._closed.set()
        self._utility_worker.release()
        self.jobs.close(grace_seconds, STOP_SECONDS)
        self._utility_worker.close(STOP_SECONDS)

    def require_ready(self) -> None:
        """Checks that the server takes new runs.

        Raises:
            UserError: it is starting or stopping, or its disk is full.
        """
        if self._closed.is_set():
            raise UserError("The server is shutting down.")
        if not self._started:
            raise UserError("The server is starting.")
        self.storage.require_room()

    def processes(self) -> dict[str, int]:
        """Ids of the server's processes, by name."""
        workers = {worker.name: worker.pid for worker in [*self.jobs.workers, self._utility_worker]}
        return {"server": os.getpid()} | {name: pid for name, pid in workers.items() if pid is not None}

    # --- clips ----------------------------------------------------------------------------------

    def create_draft(
        self, token: str, path: Path | Sequence[Path], name: str | None = None, command_source: str = ""
    ) -> Path:
        """Makes a draft of a video, of an archive, or of several pictures.

        Args:
            path: path of the video or paths of the pictures, which are copied.
            name: name of the copy; by default the first file's name.
            command_source: the video's name on a command line; by default the copy's.

        Returns:
            The draft's folder.

        Raises:
            UserError: they are too large or do not belong together, or the disk is full.
        """
        self.storage.require_room()
        paths = [path] if isinstance(path, Path) else list(path)
        most = self.limits.upload_mb * 1e6
        require_size(paths, name or paths[0].name, most)
        folder = self.storage.new_draft(token)
        called = safe_name(name or paths[0].name)
        with whole_or_gone(folder), readable_errors(folder / "source" / called):
            copy = take_in(paths, called, folder / "source", most)
            storage.create_job_record(folder, copy.name, command_source or copy.name)
        return folder

    def cut_out(self, folder: Path, settings: ClipSettings, size: int) -> CutoutRecord:
        """Makes the cut-out of a draft; raises as `cutting_out`."""
        return drain(self.cutting_out(folder, settings, size))

    def cutting_out(self, folder: Path, settings: ClipSettings, size: int) -> Cutting:
        """Makes the cut-out of a draft and yields its progress.

        Returns:
            The cut-out's record.

        Raises:
            UserError: as `ar4d.clip.load_clip`, the clip exceeds the limits, or it was cancelled.
        """
        if not 1 <= settings.num_frames <= self.limits.num_frames:
            raise UserError(
                f"This server makes 1 to {self.limits.num_frames} frames, not {settings.num_frames}."
            )
        self._check_size(size)
        limits = self.limits
        bounds = limits.clip_seconds, limits.clip_megapixels * 1e6, limits.clip_frames
        task = CutOut(folder, settings, size, *bounds)
        with readable_failures(limits.decode_seconds):
            whole = yield from self._cuts.run(task, limits.decode_seconds)
        if not whole:
            raise UserError("The cut-out was cancelled; an earlier one is still there.")
        os.utime(folder)
        return CutoutRecord.read(folder)

    def cancel_cut_out(self, folder: Path) -> None:
        """Stops the cut-out of a draft if it is being made, or waits to be."""
        self._cuts.cancel(folder)

    def add_views(self, draft: Path, paths: Sequence[Path]) -> None:
        """Adds videos from other sides to a draft, for its next cut-out; raises as `other_views.take`."""
        self.storage.require_room()
        other_views.take(draft, paths, self.limits.upload_mb * 1e6)

    # --- runs -----------------------------------------------------------------------------------

    def check(self, settings: EngineSettings, num_frames: int) -> None:
        """Checks settings before a run.

        Raises:
            UserError: the settings cannot work on this machine, or exceed the limits.
        """
        from ar4d.lifting import check

        steps = sum(stage.steps for stage in engine_of(settings).plan(settings, num_frames))
        amounts = [(steps, self.limits.steps, "optimisation steps in all")]
        sizes = [settings.size]
        if isinstance(settings, Settings):
            amounts.append((settings.initialize.gaussians, self.limits.gaussians, "Gaussians"))
            sizes.append(settings.pseudo_size)
        for value, limit, what in amounts:
            if value > limit:
                raise UserError(f"This server allows {limit:,} {what}, not {value:,}; choose fewer.")
        for size in sizes:
            self._check_size(size)
        check(settings)

    def create_run(self, token: str, draft: Path, settings: EngineSettings) -> Path:
        """Makes a run of a draft and queues it.

        Returns:
            The run's folder.

        Raises:
            UserError: the draft has no cut-out, the settings are refused, the disk is full, or the visitor
                has too many unfinished runs.
        """
        self.storage.require_room()
        self.storage.require_turn(token)
        cutout = CutoutRecord.read(draft)
        self.check(settings, cutout.num_frames)
        clip_settings = cutout.settings.of_scene() if settings.kind == "scene" else cutout.settings
        if cutout.size != settings.size or cutout.settings != clip_settings:
            cutout = self.cut_out(draft, clip_settings, settings.size)
        source, record = source_of(draft), read_job_record(draft)
        folder = self.storage.new_run(token)
        video = folder / "source" / source.name
        with whole_or_gone(folder), readable_errors(video):
            link(source, video)
            storage.create_job_record(folder, record.name, record.command_source)
            recipe = Recipe(str(video), cutout.settings, settings)
            sides = other_views.of_draft(draft, settings)
            Run.create(folder, recipe, Clip.load(draft / "input"), experts_of(draft / CLIP), sides)
            self.jobs.submit(folder)
        return folder

    def same_run(self, token: str, draft: Path, settings: EngineSettings) -> Path | None:
        """The visitor's run that `create_run` would repeat, if any; raises as `CutoutRecord.read`."""
        return find_same_run(self.jobs, self.storage.runs(token), draft, settings)

    def rerun(self, token: str, run: Path, settings: EngineSettings, first_frame: int) -> Path:
        """Makes and queues a run with other settings that takes over the first `first_frame` frames made.

        If `first_frame` is the number of frames, only what follows the frames is made again.

        Raises:
            UserError: the run has too few finished frames, or as `create_run`.
        """
        self.storage.require_room()
        self.storage.require_turn(token)
        old = Run.open(run)
        if not 0 <= first_frame <= old.num_finished:
            raise UserError(
                f"Only {old.num_finished} frames of this run are finished; choose a frame up to "
                f"{old.num_finished + 1} to continue from."
            )
        clip = old.clip
        settings = dataclasses.replace(settings, size=clip.size)
        self.check(settings, clip.num_frames)
        folder = self.storage.new_run(token)
        record = read_job_record(run)
        with whole_or_gone(folder), readable_errors(folder / "frames"):
            (folder / "frames").mkdir(parents=True)
            storage.create_job_record(folder, record.name, record.command_source)
            anew = first_frame if first_frame < clip.num_frames else None
            update_job_record(folder, origin=record.name, origin_frame=anew)
            clip_experts = {role: name for role, name in old.record.experts.items() if role in PROMPT_ROLES}
            recipe = dataclasses.replace(old.record.recipe, settings=settings)
            new = Run.create(folder, recipe, clip, clip_experts)
            other_views.hand_on(old, folder)
            for k in old.order[:first_frame]:
                os.link(old.frame_path(k), new.frame_path(k))
            if (run / "source").exists():
                link(run / "source", folder / "source")
            copy_history(old, new, first_frame)
            self.jobs.submit(folder)
        return folder

    def resume(self, token: str, run: Path) -> Job:
        """Queues a stopped or failed run.

        Raises:
            UserError: the run is finished, or the visitor has too many unfinished runs.
        """
        self.storage.require_room()
        self.storage.require_turn(token)
        job = self.jobs.get(run)
        if job.alive:
            return job
        with self._viewer_lock:
            job = self.jobs.submit(run)
            viewer = self.viewers.get(self._viewer_ids.get(run, ""))
            if viewer is not None:
                self._feed(viewer, run)
        return job

    def pin(self, run: Path) -> None:
        """Pins a run, which the clean-up then spares, or unpins it."""
        update_job_record(run, pinned=not read_job_record(run).pinned)

    def rename(self, run: Path, name: str) -> None:
        """Gives a run another name.

        Raises:
            UserError: the name is empty.
        """
        name = " ".join(name.split())[:MAX_NAME]
        if not name:
            raise UserError("A run needs a name; type at least one character.")
        update_job_record(run, name=name)

    def delete(self, run: Path) -> None:
        """Deletes a run.

        Raises:
            UserError: the run is queued or at work.
        """
        if self.jobs.get(run).alive:
            raise UserError("This run is still queued or at work; cancel it before you delete it.")
        self._forget(run)
        self.storage.delete(run)

    def estimate(self, settings: EngineSettings, num_frames: int, first_frame: int = 0) -> Estimate:
        """Estimates a run on this server."""
        device = "cpu" if settings.device == "cpu" else self.device
        return self.estimator.estimate(settings, num_frames, device, first_frame)

    # --- viewing and exporting -----------------------------------------------------------------

    def viewer_path(self, run: Path) -> str:
        """Path of a run's viewer below the server's root; opens the viewer if there is none."""
        from app.viewer import RunViewer

        with self._viewer_lock:
            id = self._viewer_ids.get(run)
            if id is not None and self.viewers.get(id) is not None:
                return f"/viewer/{id}/"
            viewer = RunViewer(None, record=True)
            self._feed(viewer, run)
            self._viewer_ids[run] = viewer.id
            return self.viewers.add(viewer)

    def reload_viewer(self, run: Path) -> None:
        """Shows a run's result again, after it was cleaned up, to those who watch it."""
        with self._viewer_lock:
            viewer = self.viewers.get(self._viewer_ids.get(run, ""))
        if viewer is not None:
            viewer.show_run(Run.open(run))

    def _feed(self, viewer: RunViewer, run: Path) -> None:
        job = self.jobs.get(run)
        job.follow(lambda: viewer.show_run(job.run), viewer.on, viewer.pause)

    def share(self, run: Path, on: bool) -> str | None:
        """Shares a run under a link, or ends that; returns the link's secret, or None."""
        record = read_job_record(run)
        share = (record.share or storage.new_id()) if on else None
        if share != record.share:
            update_job_record(run, share=share)
        if not on:
            self._close_viewer(run)  # its address is no longer valid
        return share

    def shared(self, share: str) -> Path | None:
        """The run that a link leads to; None if there is no such link."""
        return self.storage.shared(share)

    def export(self, run: Path, format: str, options: dict[str, Any] | None = None) -> Path:
        """Exports a finished run; returns one file, which is a ZIP archive if the format writes several.

        Raises:
            UserError: the run is not finished, there is no such format, or as `ar4d.formats.export`.
        """
        return self.exports.make(run, format, options or {})

    # --- internals ---------------------------------------------------------------------------------

    def _check_size(self, size: int) -> None:
        if not 16 <= size <= self.limits.size:
            raise UserError(f"This server fits clips at 16 to {self.limits.size} pixels, not {size}.")

    def _forget(self, run: Path) -> None:
        self.jobs.forget(run)
        self._close_viewer(run)

    def _close_viewer(self, run: Path) -> None:
        with self._viewer_lock:
            id = self._viewer_ids.pop(run, None)
        if id is not None:
            self.viewers.close(id)

    def _clean_up_regularly(self) -> None:
        while not self._closed.wait(CLEAN_UP_SECONDS):
            self.clean_up()

    def clean_up(self) -> None:
        """Deletes runs and drafts over the limits, and old uploads and downloads."""
        for run in self.storage.clean_up():
            self._forget(run)
        for folder in self.cache.iterdir():
            if folder.stat().st_mtime < time.time() - DOWNLOAD_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        with self._viewer_lock:
            self._viewer_ids = {run: id for run, id in self._viewer_ids.items() if self.viewers.get(id)}
