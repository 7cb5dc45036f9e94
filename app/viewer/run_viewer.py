"""A run as a visitor sees it: fed by the run's events or by its folder."""

from __future__ import annotations

import io
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from PIL import Image

from app.viewer.live import DEPTH_COLORS, Layout, View, draw, encode
from app.viewer.scene import place_reference, start_server
from app.viewer.splats import pack
from app.viewer.stages import Recent, StageName, Stages
from ar4d.clip import Clip
from ar4d.errors import UserError
from ar4d.events import Event, Finished, FrameFinished, Progress, StageStarted, Step
from ar4d.gaussians import Gaussians
from ar4d.runs import Run

STEP_SECONDS = 0.25  # how often progress within a frame is worth telling
DEFAULT_FPS = 8.0  # of a viewer that knows neither clip nor asset
LOOP_BYTES = 32 << 20
"""Of packed splats: a loop of 24 frames of 8,000 in quarters. Many who watch it cost hardly more than one."""
INPUT_SIDE = 256  # pixels, of the clip's frames beside the 3D view
MAX_PIXELS = {"cpu": 1_000_000, "cuda": 2_500_000}  # of one live view


class RunViewer:
    """One run, and everything that its viewers ask for.

    It keeps nothing about a single visitor: time, camera and display mode live in the browser, which
    asks for splats or finished pictures (protocol.py). Events may come from any thread.

    Attributes:
        id: unguessable; knowing it is the permission to watch.
        counts: how many splat buffers were asked for and made, and how many views were drawn.
    """

    def __init__(self, clip: Clip | None, elevation_deg: float = 0.0) -> None:
        self.id = secrets.token_urlsafe(24)
        self.counts: Counter[str] = Counter()
        self.closed = False
        self._inputs = _thumbnails(clip) if clip else []
        self._clip_fps = clip.fps if clip else None
        self._run: Run | None = None
        self._device = _live_device()
        self._stages = Stages(self._device)
        self._buffers: Recent[bytes] = Recent(LOOP_BYTES, len)
        self._psnr: dict[int, float] = {}
        self._progress: dict | None = None
        self._told = 0.0  # when progress was last told
        self._notice = ""
        self._extent = 1.0
        self._watchers: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._server = start_server()
        self._place_reference(elevation_deg)

    @property
    def port(self) -> int:
        """Of the viser server, on this machine only."""
        return self._server.get_port()

    # --- what the run tells -------------------------------------------------------------------

    def on(self, event: Event) -> None:
        """Takes note of a run's event; frames and the asset are visible as soon as they exist."""
        match event:
            case StageStarted():
                self._progress = {"stage": event.stage, "frame": None, "fraction": 0.0}
            case Progress():
                fraction = event.done / event.total if event.total else None
                self._progress = {"task": event.task, "fraction": fraction}
                if event.done < event.total and not self._worth_telling():
                    return
            case Step():
                fraction = event.step / max(event.num_steps, 1)
                self._progress = {"stage": event.stage, "frame": event.frame_index, "fraction": fraction}
                if event.step < event.num_steps and not self._worth_telling():
                    return
            case FrameFinished():
                self._set_frame(event)
                self._psnr[event.frame_index] = event.psnr
                self._progress = None
            case Finished(asset=None) if self._run:  # from here on, it reads frames from the run's folder
                self.show_run(self._run)
            case Finished(asset=asset) if asset is not None:
                self._stages.set_asset(asset)
                self._progress = None
            case _:
                return
        self._told = time.monotonic()
        self._tell()

    def _worth_telling(self) -> bool:
        return time.monotonic() > self._told + STEP_SECONDS

    def show_run(self, run: Run) -> None:
        """Shows an existing run's folder; nothing is computed, and frames stay on the disk until watched.

        The run may go on: its events then say which further frames lie in the folder.

        Raises:
            UserError: the folder's clip, first frame or asset cannot be read.
        """
        clip, stages = run.clip, Stages(self._device)
        count = 0
        while run.frame_path(count).exists():
            stages.set_frame(count, run.frame_path(count))
            count += 1
        if (run.folder / "refined.safetensors").exists():
            stages.set_asset(run.asset())
        stages.revision = self._stages.revision + 1
        if count:
            self._extent = _extent(stages.at("initial", 0.0))
        self._inputs, self._clip_fps = _thumbnails(clip), clip.fps
        self._run, self._stages, self._progress = run, stages, None
        self._place_reference(run.record.recipe.settings.elevation_deg)
        self._tell()

    def pause(self) -> None:
        """Nothing is being made any more, for now or for good."""
        self._progress = None
        self._tell()

    def notice(self, text: str) -> None:
        """A sentence to show in the viewer, in place of progress; an empty one takes it away."""
        self._notice, self._progress = text, None
        self._tell()

    def close(self) -> None:
        """Stops the server and lets the watchers know; closing twice does nothing."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
        self._tell()
        self._server.stop()

    def _place_reference(self, elevation_deg: float) -> None:
        self._elevation_deg = elevation_deg
        place_reference(self._server, elevation_deg)

    def _set_frame(self, event: FrameFinished) -> None:
        """Takes a frame from the run's folder if it is there, else from the event."""
        index, frame = event.frame_index, event.gaussians
        if self._run and self._run.frame_path(index).exists():
            frame = self._run.frame_path(index)
        if frame is None:
            return  # the file was deleted
        self._stages.set_frame(index, frame)
        if index == 0:
            self._extent = _extent(self._stages.at("initial", 0.0))

    # --- what the browsers ask for ------------------------------------------------------------

    def state(self) -> dict:
        """Everything a browser has to know, as JSON: sent whenever it changes."""
        stages, asset = self._stages, self._stages.asset
        return {
            "numFrames": len(self._inputs) or (asset.num_frames if asset else stages.num_frames),
            "fps": self._clip_fps or (asset.fps if asset else DEFAULT_FPS),
            "inputs": len(self._inputs),
            "generated": stages.num_frames,
            "refined": asset is not None,
            "revision": stages.revision,
            "progress": self._progress,
            "psnr": [round(self._psnr.get(k, 0.0), 2) for k in range(stages.num_frames)],
            "notice": self._notice,
            "elevation": self._elevation_deg,
            "extent": self._extent,
            "depthColors": DEPTH_COLORS,
            "live": self._device != "cpu",
            "maxPixels": MAX_PIXELS[self._device],
        }

    def splats(self, stage: StageName, position: float) -> bytes:
        """The packed splats of a stage at a position in frames.

        Raises:
            UserError: there is nothing to show yet.
        """
        self.counts["asked"] += 1
        return self._buffers.get(
            (stage, position, self._stages.revision, self._stages.num_frames),
            lambda: self._pack(stage, position),
        )

    def _pack(self, stage: StageName, position: float) -> bytes:
        self.counts["packed"] += 1
        return pack(self._stages.at(stage, position))

    def picture(
        self, stages: Sequence[StageName], position: float, view: View, layout: Layout, quality: int
    ) -> bytes:
        """A JPEG of one stage, or of several with the same camera, in a row or a column.

        Raises:
            UserError: there is nothing to show yet, or the view is too large.
        """
        if view.width * view.height * len(stages) > MAX_PIXELS[self._device]:
            raise UserError(f"A view of {view.width}×{view.height} pixels is too large; make it smaller.")
        self.counts["drawn"] += 1
        images = [draw(self._stages.at(stage, position), view, self._extent) for stage in stages]
        return encode(torch.cat(images, dim=1 if layout == "row" else 0), quality)

    def input_frame(self, index: int) -> bytes:
        """A small PNG of the clip's frame, with its alpha.

        Raises:
            UserError: there is no such frame.
        """
        if not 0 <= index < len(self._inputs):
            raise UserError(f"The clip has no frame {index}.")
        return self._inputs[index]

    def rest(self) -> None:
        """Nobody watches: lets go of all that can be made again."""
        self._buffers.clear()
        self._stages.forget()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls `callback` (in any thread) whenever the state changes; returns how to end that."""
        with self._lock:
            self._watchers.add(callback)

        def unsubscribe() -> None:
            with self._lock:
                self._watchers.discard(callback)

        return unsubscribe

    def _tell(self) -> None:
        with self._lock:
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher()


def _live_device() -> str:
    """Where Gaussians wait to be drawn. ZeroGPU's card can be used inside its own calls only."""
    return "cuda" if torch.cuda.is_available() and not os.environ.get("SPACES_ZERO_GPU") else "cpu"


def _extent(gaussians: Gaussians) -> float:
    """The radius around the origin that holds nearly all of the object."""
    distances = gaussians.means.norm(dim=-1).cpu()
    return max(float(distances.quantile(0.98)), 1e-3) if len(distances) else 1.0


def _thumbnails(clip: Clip) -> list[bytes]:
    """Its frames as PNGs, so that a viewer need not hold the clip itself."""
    files = []
    for frame in clip.frames:
        image, file = Image.fromarray(frame), io.BytesIO()
        image.thumbnail((INPUT_SIDE, INPUT_SIDE))
        image.save(file, "PNG", compress_level=3)
        files.append(file.getvalue())
    return files
