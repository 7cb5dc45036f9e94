"""The viewer of one run, which its events or its folder feed."""

from __future__ import annotations

import json
import logging
import os
import secrets
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from app.viewer.inputs import thumbnails
from app.viewer.live import Layout, View, draw, encode
from app.viewer.posters import Form, Posters
from app.viewer.stages import SingleFlightCache, Stages
from ar4d.asset import Asset4D, load_asset
from ar4d.cleaned import CLEANUP_FILE
from ar4d.clip import Clip
from ar4d.errors import UserError
from ar4d.events import (
    CanonicalChosen,
    Event,
    Finished,
    FrameFinished,
    FrameImagined,
    Planned,
    Progress,
    Refined,
    Stage,
    StageInfo,
    StageStarted,
    Step,
)
from ar4d.formats.player import record
from ar4d.gaussians import Gaussians
from ar4d.player.packing import pack
from ar4d.player.state import DEPTH_COLORS, extent
from ar4d.runs import Run

STEP_SECONDS = 0.25  # time between two reports of progress within a frame
DEFAULT_FPS = 8.0  # frame rate until a clip or an asset is known
LOOP_BYTES = 32 << 20
"""Size of the cache of packed splats: a loop of 24 frames of 8,000 Gaussians in quarter steps. With it,
many visitors who watch the same loop cost hardly more than one."""
_recorder = ThreadPoolExecutor(1, thread_name_prefix="ar4d-recorder")  # one at a time, beside the runs
_log = logging.getLogger(__name__)
MAX_PIXELS = {"cpu": 1_000_000, "cuda": 2_500_000}  # largest view that the server draws


class RunViewer:
    """One run and the answers to its visitors' questions.

    It stores nothing about a single visitor: time, camera and display mode live in the browser, which
    asks for splats or drawn pictures (protocol.py). Events may come from any thread.

    Attributes:
        id: a secret; a visitor who knows it may watch.
        counts: numbers of splat buffers asked for and packed, and of views drawn.
    """

    def __init__(self, clip: Clip | None, elevation_deg: float = 0.0, record: bool = False) -> None:
        """
        Args:
            record: make a recording of the finished asset, which a browser fetches once and plays by itself.
        """
        self.id = secrets.token_urlsafe(24)
        self.counts: Counter[str] = Counter()
        self.closed = False
        self._inputs = thumbnails(clip) if clip else []
        self._clip_fps = clip.fps if clip else None
        self._run: Run | None = None
        self._device = _live_device()
        self._stages = Stages(self._device, canonical=clip.canonical if clip else 0)
        self._buffers: SingleFlightCache[bytes] = SingleFlightCache(LOOP_BYTES, len)
        self._plan: tuple[StageInfo, ...] = ()
        self._psnr: dict[int, float] = {}
        self._imagined: int | None = None  # index of the frame that is shown as an expert made it
        self._refined: tuple[float, ...] = ()  # PSNR of the finished asset, dB by frame
        self._progress: dict | None = None
        self._notified = 0.0  # when the watchers were last notified
        self._notice = ""
        self._extent = 1.0
        self._record = record
        self._recording: tuple[int, bytes] | None = None  # with the revision that it shows
        self._recording_of: int | None = None  # the revision that is being recorded
        self._watchers: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._elevation_deg = elevation_deg
        self._posters = Posters()

    # --- the run -------------------------------------------------------------------

    def on(self, event: Event) -> None:
        """Takes a run's event; frames and the asset are visible as soon as they exist."""
        match event:
            case Planned():
                self._plan = event.stages
                self._stages.plan([stage.name for stage in event.stages])
            case CanonicalChosen():
                self._stages.canonical = event.frame_index
            case StageStarted():
                self._progress = {"stage": event.stage, "frame": None, "fraction": 0.0}
            case Progress():
                fraction = event.done / event.total if event.total else None
                self._progress = {"task": event.task, "fraction": fraction}
                if event.done < event.total and not self._is_due():
                    return
            case Step():
                fraction = event.step / max(event.num_steps, 1)
                self._progress = {"stage": event.stage, "frame": event.frame_index, "fraction": fraction}
                if event.step < event.num_steps and not self._is_due():
                    return
            case FrameImagined():
                self._set_imagined(event.frame_index, event.gaussians, event.stage)
            case FrameFinished():
                self._set_frame(event)
                self._imagined = None
                self._psnr[event.frame_index] = event.psnr
                self._progress = None
            case Refined():
                asset = event.asset or self._preview()
                if asset is None:
                    return
                self._stages.set_preview(asset)
            case Finished(asset=None) if self._run:  # from now on, frames are read from the run's folder
                self.show_run(self._run)
            case Finished(asset=asset) if asset is not None:
                self._refined = event.psnr
                self._stages.set_asset(asset)
                self._progress = None
            case _:
                return
        self._notified = time.monotonic()
        self._notify()

    def _preview(self) -> Asset4D | None:
        """The asset that the run's refinement has so far; None if it has just been replaced."""
        if self._run is None or not self._run.preview_path.exists():
            return None
        try:
            return load_asset(self._run.preview_path)
        except UserError:  # the run has ended meanwhile, and its asset comes next
            return None

    def _is_due(self) -> bool:
        return time.monotonic() > self._notified + STEP_SECONDS

    def show_run(self, run: Run) -> None:
        """Shows an existing run; nothing is computed, and frames stay on the disk until they are watched.

        If the run is at work, its events then announce further frames.

        Raises:
            UserError: the run's clip, first frame or asset cannot be read.
        """
        clip, made_by = run.clip, {}
        stages = Stages(self._device, canonical=run.record.canonical)
        for event in run.events():
            match event:
                case Planned():
                    self._plan = event.stages
                    stages.plan([stage.name for stage in event.stages])
                case FrameFinished():
                    made_by[event.frame_index] = event.stage
                    self._psnr[event.frame_index] = event.psnr
                case Finished():
                    self._refined = event.psnr
        for k in run.finished:
            usual = stages.names[min(k, 1, len(stages.names) - 1)]  # if the log does not say it
            stages.set_frame(k, run.frame_path(k), made_by.get(k, usual))
        if run.asset_path.exists():
            stages.set_asset(run.result())
        stages.revision = self._stages.revision + 1
        self._extent = extent(stages.first())
        self._inputs, self._clip_fps = thumbnails(clip), clip.fps
        self._run, self._stages, self._progress, self._imagined = run, stages, None, None
        self._set_imagined(run.record.canonical, None, stages.names[0] if stages.names else "initialize")
        self._elevation_deg = run.record.recipe.settings.elevation_deg
        self._notify()

    def pause(self) -> None:
        """Shows that the run is no longer at work."""
        self._progress = None
        self._notify()

    def notice(self, text: str) -> None:
        """Shows a sentence in place of progress; an empty one removes it."""
        self._notice, self._progress = text, None
        self._notify()

    def close(self) -> None:
        """Ends the conversations with all browsers; closing twice does nothing."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
        self._notify()

    def _set_imagined(self, index: int, frame: Gaussians | None, stage: Stage) -> None:
        """Takes a frame as an expert made it, or what the run's folder has of it, unless it is finished."""
        if index in self._stages.finished:
            return
        if frame is None:
            if self._run is None or not self._run.imagined_path.exists():
                return
            try:
                frame = Gaussians.load(self._run.imagined_path)
            except UserError:  # the finished frame has just taken its place
                return
        self._imagined = index
        self._show_frame(index, frame, stage)

    def _set_frame(self, event: FrameFinished) -> None:
        """Takes a frame from the run's folder if it is there, else from the event."""
        index, frame = event.frame_index, event.gaussians
        if self._run and self._run.frame_path(index).exists():
            frame = self._run.frame_path(index)
        if frame is None:
            return  # the file was deleted
        self._show_frame(index, frame, event.stage)

    def _show_frame(self, index: int, frame: Gaussians | Path, stage: Stage) -> None:
        self._stages.set_frame(index, frame, stage)
        if index == self._stages.canonical:
            self._extent = extent(self._stages.first())

    # --- the browsers ------------------------------------------------------------

    def state(self) -> dict:
        """All that a browser needs to know, as JSON; it is sent whenever it changes."""
        stages, asset = self._stages, self._stages.asset
        done = stages.finished
        return {
            "numFrames": len(self._inputs) or (asset.num_frames if asset else done.stop),
            "fps": self._clip_fps or (asset.fps if asset else DEFAULT_FPS),
            "inputs": len(self._inputs),
            "firstDone": done.start,
            "framesDone": done.stop,  # one past the last
            "newest": max(done.start if done.start < stages.canonical else done.stop - 1, 0),
            "finished": asset is not None,
            "stages": self._described_stages(),
            "best": self._best(),
            "revision": stages.revision,
            "progress": self._progress,
            "imagined": self._imagined,
            "psnr": [round(self._psnr.get(k, 0.0), 2) for k in range(done.stop)],
            "notice": self._notice,
            "elevation": self._elevation_deg,
            "extent": self._extent,
            "depthColors": DEPTH_COLORS,
            "live": self._device != "cpu",
            "recorded": self._recording is not None and self._recording[0] == stages.revision,
            "maxPixels": MAX_PIXELS[self._device],
        }

    def _best(self) -> Stage | None:
        """The stage of a finished run that is closest to the clip; None if there is no choice."""
        stages, refined = self._stages, self._refined
        if stages.asset is None or len(stages.names) < 2 or not refined or len(self._psnr) < len(refined):
            return None
        if self._run and (self._run.folder / CLEANUP_FILE).exists():  # it is the asset that was cleaned up
            return stages.names[-1]
        before = stages.names[-2]
        generated = [self._psnr[k] for k in range(len(refined))] if stages.has_all(before) else []
        return before if sum(generated) > sum(refined) else stages.names[-1]

    def _described_stages(self) -> list[dict]:
        """The stages with their titles and last positions (None while a stage has no result)."""
        titles = {stage.name: (stage.title, stage.short_title) for stage in self._plan}
        described = []
        for name in self._stages.names:
            title, short_title = titles.get(name, (name, name))
            limits = self._stages.limits(name)
            limit = None if limits is None else limits[1]
            described.append({"name": name, "title": title, "shortTitle": short_title, "limit": limit})
        return described

    def splats(self, stage: Stage, position: float) -> bytes:
        """The packed splats of a stage at a position in frames.

        Raises:
            UserError: the stage has no result yet.
        """
        self.counts["asked"] += 1
        return self._buffers.get(
            (stage, position, self._stages.revision, len(self._stages.finished)),
            lambda: self._pack(stage, position),
        )

    def _pack(self, stage: Stage, position: float) -> bytes:
        self.counts["packed"] += 1
        return pack(self._stages.at(stage, position))

    def picture(
        self, stages: Sequence[Stage], position: float, view: View, layout: Layout, quality: int
    ) -> bytes:
        """A JPEG of one stage, or of several with the same camera, in a row or a column.

        Raises:
            UserError: a stage has no result yet, or the view is too large.
        """
        if view.width * view.height * len(stages) > MAX_PIXELS[self._device]:
            raise UserError(f"A view of {view.width}×{view.height} pixels is too large; make it smaller.")
        self.counts["drawn"] += 1
        images = [draw(self._stages.at(stage, position), view, self._extent) for stage in stages]
        return encode(torch.cat(images, dim=1 if layout == "row" else 0), quality)

    @property
    def has_poster(self) -> bool:
        """Whether there is something to draw a poster of."""
        return self._stages.first() is not None

    def poster(self, form: Form = "webp") -> bytes:
        """The newest result's first frame from the clip's camera: a WebP with alpha, or a JPEG for previews.

        Raises:
            UserError: there is no result yet.
        """
        folder = self._run.folder if self._run else None
        return self._posters.of(self._stages, self._elevation_deg, form, folder)

    def input_frame(self, index: int) -> bytes:
        """A small PNG of the clip's frame, with its alpha.

        Raises:
            UserError: there is no such frame.
        """
        if not 0 <= index < len(self._inputs):
            raise UserError(f"The clip has no frame {index}.")
        return self._inputs[index]

    def recording(self) -> bytes:
        """The recording of the finished asset: the length of its description, that as JSON, its data.

        Raises:
            UserError: there is none yet.
        """
        if self._recording is None:
            raise UserError("The asset is not recorded yet.")
        return self._recording[1]

    def prepare(self) -> None:
        """Records the asset in the background now, so that the first visitor need not ask for its splats."""
        self._start_recording(watched=True)

    def _start_recording(self, watched: bool = False) -> None:
        """Records the asset in the background, if anybody watches and it is not recorded yet."""
        revision, asset = self._stages.revision, self._stages.asset
        with self._lock:
            watched = watched or bool(self._watchers)
            if not self._record or asset is None or not watched or self._recording_of == revision:
                return
            self._recording_of = revision
        _recorder.submit(self._make_recording, asset, revision)

    def _make_recording(self, asset: Asset4D, revision: int) -> None:
        try:
            made = record(asset)
        except Exception:  # noqa: BLE001 (it is only a faster way to the same view)
            _log.exception("An asset could not be recorded; its splats are sent one by one")
            return
        meta = json.dumps(made.meta).encode()
        self._recording = revision, struct.pack("<I", len(meta)) + meta + made.data
        self._notify()

    def rest(self) -> None:
        """Frees what can be computed again, when the last visitor has left."""
        self._buffers.clear()
        self._stages.forget()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` (in any thread) whenever the state changes; returns a function that ends it."""
        with self._lock:
            self._watchers.add(callback)
        self._start_recording()

        def unsubscribe() -> None:
            with self._lock:
                self._watchers.discard(callback)

        return unsubscribe

    def _notify(self) -> None:
        with self._lock:
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher()
        self._start_recording()


def _live_device() -> str:
    """The device for drawing views. A ZeroGPU Space can use its GPU inside special calls only."""
    return "cuda" if torch.cuda.is_available() and not os.environ.get("SPACES_ZERO_GPU") else "cpu"
