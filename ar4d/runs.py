"""A run's folder: what is written when, and how it is read again.

    run.json            settings, source, experts really used, versions, timings, status
    input/              the preprocessed clip
    cutout.png          what the background removal found, frame by frame
    imagined.safetensors  G₁ as the expert made it, while it is fitted
    stage1.safetensors  G₁
    views/              the clip from other sides, where an expert drew them
    tokens/             the codes of each frame, where an engine predicts them
    frames/0001.…       each other frame of stage 2, as it is finished, by its index in the clip
    refined.safetensors the asset
    cleanup.json        which splats were deleted by hand, if any
    cleaned.safetensors the asset without them
    metrics.json        reference view, per frame
    events.jsonl        every event, as it came

Every file appears whole or not at all, so a run that was killed resumes from its last whole frame.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Generator, Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path

import imageio.v3 as iio
import torch
from filelock import FileLock, Timeout
from pydantic import ValidationError

from ar4d.asset import ASSET_FILE, Asset4D, load_asset
from ar4d.cleaned import CleanedByHand
from ar4d.clip import Clip, cutout_preview, generation_order
from ar4d.devices import resolve_device
from ar4d.engines.registry import engine_of
from ar4d.errors import UserError
from ar4d.events import (
    Event,
    ExpertChosen,
    Finished,
    FrameFinished,
    FrameImagined,
    Planned,
    Refined,
    Role,
    StageFinished,
    TokensPredicted,
    ViewsDrawn,
    ViewsImagined,
    Warned,
    from_json,
    to_json,
)
from ar4d.experts.played import BegunViews, KnownTokens, PlayedViews
from ar4d.files import atomic, readable_errors, write_text
from ar4d.gaussians import Gaussians
from ar4d.lifting import lift_events
from ar4d.records import first_problem, load_record
from ar4d.run_record import ClipLength, Metrics, Recipe, Record, ReferenceQuality, Status, read_record
from ar4d.tokens import load_tokens, save_tokens
from ar4d.views import ViewGrid, load_begun, save_begun

RECORDED = ("torch", "numpy", "numba", "gsplat")  # versions that decide the result's bits


class Run(CleanedByHand):
    """One folder. Make it with `create` or `open`, let it `work`, read its results."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record

    @staticmethod
    def create(
        folder: Path,
        recipe: Recipe,
        clip: Clip,
        experts: Mapping[str, str] | None = None,
        views: ViewGrid | None = None,
    ) -> Run:
        """A new run.

        Args:
            experts: those that made the clip itself, if it is not a recording: role and name.
            views: of the clip from other sides, where they exist already.

        Raises:
            UserError: the folder holds a run already, or cannot be written to.
        """
        if (folder / "run.json").exists():
            raise UserError(
                f"{folder} holds a run already: add --resume to continue it, or choose another --out."
            )
        chosen = {"canonical": clip.canonical, "canonical_reason": clip.canonical_reason}
        run = Run(folder, Record(recipe, experts=dict(experts or {}), **chosen))
        with readable_errors(folder / "input"):
            clip.save(folder / "input")
            if views is not None:
                views.save(folder / "views")
        with atomic(folder / "cutout.png") as path:
            iio.imwrite(path, cutout_preview(clip), extension=".png")
        run._write_record()
        return run

    def finish(self, warnings: Sequence[str] = ()) -> None:
        """Records that the run is finished, where its result came from elsewhere."""
        self.record.status = "finished"
        self.record.warnings = list(warnings)
        self._write_record()

    @staticmethod
    def open(folder: Path) -> Run:
        """An existing run.

        Raises:
            UserError: there is none, or its run.json cannot be read.
        """
        return Run(folder, read_record(folder / "run.json"))

    @property
    def clip(self) -> Clip:
        return Clip.load(self.folder / "input")

    @property
    def num_frames(self) -> int:
        """Number of frames of the clip; its pictures are not read.

        Raises:
            UserError: the clip's record is missing or damaged.
        """
        path, remedy = self.folder / "input" / "clip.json", "start again from the video"
        try:
            return load_record(path, ClipLength, "a clip's record", remedy).num_frames
        except OSError as error:
            raise UserError(f"The clip of this run is gone ({error.strerror}: {path}); {remedy}.") from error

    @property
    def status(self) -> Status:
        return self.record.status

    def frame_path(self, index: int) -> Path:
        """File of a frame, counted from 0."""
        if index == self.record.canonical:
            return self.folder / "stage1.safetensors"
        return self.folder / f"frames/{index:04d}.safetensors"

    @property
    def asset_path(self) -> Path:
        """File of the finished asset."""
        return self.folder / ASSET_FILE

    @property
    def imagined_path(self) -> Path:
        """File of the canonical frame as an expert made it, while it is being fitted."""
        return self.folder / "imagined.safetensors"

    @property
    def preview_path(self) -> Path:
        """File of the asset as a refinement that is at work has it so far."""
        return self.folder / "preview.safetensors"

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the clip's frames in the order in which they are generated."""
        return generation_order(self.num_frames, self.record.canonical)

    @property
    def finished(self) -> tuple[int, ...]:
        """Indices of the finished frames in the order of their generation, without a gap."""
        return tuple(takewhile(lambda index: self.frame_path(index).exists(), self.order))

    @property
    def num_finished(self) -> int:
        """How many frames are finished."""
        return len(self.finished)

    def frames(self) -> list[Gaussians]:
        """The finished frames in the clip's order."""
        return [Gaussians.load(self.frame_path(index)) for index in sorted(self.finished)]

    def asset(self) -> Asset4D:
        """The finished asset.

        Raises:
            UserError: the run is not finished.
        """
        path = self.asset_path
        if not path.exists():
            raise UserError(f"{self.folder} is not finished: run {_again(self.folder)}.")
        return load_asset(path)

    def metrics(self) -> tuple[list[float], list[float]] | None:
        """PSNR and SSIM of the asset at the reference view, per frame; None while there is none.

        Raises:
            UserError: metrics.json is damaged.
        """
        path = self.folder / "metrics.json"
        if not path.exists():
            return None
        remedy = f"run {_again(self.folder)} to write it again"
        reference = load_record(path, Metrics, "a run's metrics", remedy).reference
        return reference.psnr, reference.ssim

    def events(self) -> Iterator[Event]:
        """Replays the recorded events; their Gaussians and assets are None.

        The first one is `Planned`, also if the run was recorded by a version without it. A line that was
        cut off because the process was killed is left out. One that this version cannot read for another
        reason becomes a `Warned` that names it.

        Raises:
            UserError: the run's clip or its engine is missing.
        """
        settings = self.record.recipe.settings
        yield Planned(engine_of(settings).plan(settings, self.num_frames))
        path = self.folder / "events.jsonl"
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                yield from_json(line)
            except json.JSONDecodeError:
                continue
            except ValidationError as error:
                yield Warned(f"{path.name}, line {number} was left out: {first_problem(error)}.")

    def work(self) -> Generator[Event, None, None]:
        """Does what is left of the run, writing each result as it comes; yields the events.

        Closing the generator, Ctrl-C or an error stops the run and keeps what is done.

        Raises:
            UserError: another process works on this run, or see `lift`.
        """
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield from self._work()
        except Timeout as error:
            raise UserError(
                f"Another process is working on {self.folder}; wait for it or stop it."
            ) from error

    def _work(self) -> Generator[Event, None, None]:
        self.record.status, self.record.error = "running", None
        self.record.versions = {name: version(name) for name in RECORDED}
        device = resolve_device(self.record.recipe.settings.device)
        self.record.machine = (
            torch.cuda.get_device_name()
            if device.type == "cuda"
            else platform.processor() or platform.machine()
        )
        self._write_record()
        status: Status = "stopped"
        try:
            with open(self.folder / "events.jsonl", "a", encoding="utf-8") as log:
                kept = [Gaussians.load(self.frame_path(index)) for index in self.finished]
                stream = lift_events(self.clip, self.record.recipe.settings, kept, self._kept_experts())
                for event in stream:
                    self._write(event)
                    log.write(to_json(event) + "\n")
                    log.flush()
                    yield event
            status = "finished"
        except UserError as error:
            status, self.record.error = "failed", str(error)
            raise
        except Exception as error:
            status, self.record.error = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            self.record.status = status
            self._write_record()

    def _kept_experts(self) -> dict[Role, object]:
        """What an interrupted run had from an expert already."""
        codes = load_tokens(self.folder / "tokens")
        if codes is not None:
            return {"clip_to_gaussians": KnownTokens(codes)}
        folder = self.folder / "views"
        if (folder / "views.json").exists():
            return {"clip_to_views": PlayedViews(ViewGrid.load(folder))}
        begun = load_begun(folder)
        return {} if begun is None else {"clip_to_views": BegunViews(*begun)}

    def _write(self, event: Event) -> None:
        match event:
            case FrameImagined(gaussians=Gaussians() as gaussians):
                with atomic(self.imagined_path) as path:
                    gaussians.save(path)
            case FrameFinished(gaussians=Gaussians() as gaussians):
                with atomic(self.frame_path(event.frame_index)) as path:
                    gaussians.save(path)
                self.imagined_path.unlink(missing_ok=True)
            case ExpertChosen():
                self.record.experts[event.role] = event.name
            case Warned() if event.message not in self.record.warnings:
                self.record.warnings.append(event.message)
            case StageFinished():
                before = self.record.seconds.get(event.stage, 0.0)
                self.record.seconds[event.stage] = round(before + event.seconds, 3)
            case ViewsDrawn(rgba=rgba) if rgba is not None:
                save_begun(self.folder / "views", event.azimuths_deg, event.start, rgba)
            case TokensPredicted(codes=codes) if codes is not None:
                save_tokens(self.folder / "tokens", event.frame_index, codes)
            case ViewsImagined(grid=grid) if grid is not None:
                grid.save(self.folder / "views")
            case Refined(asset=asset) if asset is not None:
                with atomic(self.preview_path) as path:
                    asset.save(path)
            case Finished(asset=asset) if asset is not None:
                with atomic(self.asset_path) as path:
                    asset.save(path)
                self.preview_path.unlink(missing_ok=True)
                metrics = Metrics(ReferenceQuality(list(event.psnr), list(event.ssim)))
                write_text(self.folder / "metrics.json", json.dumps(dataclasses.asdict(metrics), indent=1))
            case _:
                return
        self._write_record()

    def _write_record(self) -> None:
        write_text(self.folder / "run.json", json.dumps(dataclasses.asdict(self.record), indent=1))


def _again(folder: Path) -> str:
    return f"`ar4d lift --resume --out {folder}`"
