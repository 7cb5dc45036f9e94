"""A run's folder: what is written when, and how it is read again.

    run.json            settings, source, experts really used, versions, timings, status
    input/              the preprocessed clip
    cutout.png          what the background removal found, frame by frame
    stage1.safetensors  G₁
    views/              the clip from other sides, where an expert drew them
    frames/0001.…       each later frame of stage 2, as it is finished
    refined.safetensors the asset
    metrics.json        reference view, per frame
    events.jsonl        every event, as it came

Every file appears whole or not at all, so a run that was killed goes on from its last whole frame.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from collections.abc import Generator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import imageio.v3 as iio
import torch
from filelock import FileLock, Timeout
from pydantic import PlainValidator, TypeAdapter, ValidationError

from ar4d.asset import Asset4D, load_asset
from ar4d.clip import Clip, ClipSettings, cutout_preview
from ar4d.devices import resolve_device
from ar4d.engines.registry import parse_settings
from ar4d.errors import UserError
from ar4d.events import Event, ExpertChosen, Finished, FrameFinished, StageFinished, ViewsImagined, Warned
from ar4d.files import atomic, readable_errors, write_text
from ar4d.gaussians import Gaussians
from ar4d.lifting import lift_events
from ar4d.settings import EngineSettings

Status = Literal["new", "running", "stopped", "failed", "finished"]
RECORDED = ("torch", "numpy", "numba", "gsplat")  # versions that decide the result's bits


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that makes a run: replaying it gives the same result on the same machine."""

    source: str
    """Path of the clip."""
    clip: ClipSettings
    settings: Annotated[EngineSettings, PlainValidator(parse_settings)]


@dataclasses.dataclass
class Record:
    """What run.json holds."""

    recipe: Recipe
    status: Status = "new"
    experts: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    machine: str = ""
    error: str | None = None


class Run:
    """One folder. Make it with `create` or `open`, let it `work`, read its results."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record

    @staticmethod
    def create(folder: Path, recipe: Recipe, clip: Clip, experts: Mapping[str, str] | None = None) -> Run:
        """A new run.

        Args:
            experts: those that made the clip itself, if it is not a recording: role and name.

        Raises:
            UserError: the folder holds a run already, or cannot be written to.
        """
        if (folder / "run.json").exists():
            raise UserError(
                f"{folder} holds a run already: add --resume to go on with it, or choose another --out."
            )
        run = Run(folder, Record(recipe, experts=dict(experts or {})))
        with readable_errors(folder / "input"):
            clip.save(folder / "input")
        with atomic(folder / "cutout.png") as path:
            iio.imwrite(path, cutout_preview(clip), extension=".png")
        run._write_record()
        return run

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
    def status(self) -> Status:
        return self.record.status

    def frame_path(self, index: int) -> Path:
        return self.folder / ("stage1.safetensors" if index == 0 else f"frames/{index:04d}.safetensors")

    @property
    def num_finished(self) -> int:
        """How many frames are finished, from the first one on without a gap."""
        count = 0
        while self.frame_path(count).exists():
            count += 1
        return count

    def frames(self) -> list[Gaussians]:
        """The finished frames."""
        return [Gaussians.load(self.frame_path(k)) for k in range(self.num_finished)]

    def asset(self) -> Asset4D:
        """The finished asset.

        Raises:
            UserError: the run is not finished.
        """
        path = self.folder / "refined.safetensors"
        if not path.exists():
            raise UserError(f"{self.folder} is not finished: run `ar4d lift --resume --out {self.folder}`.")
        return load_asset(path)

    def metrics(self) -> tuple[list[float], list[float]] | None:
        """PSNR and SSIM of the asset at the reference view, per frame; None while there is none."""
        path = self.folder / "metrics.json"
        if not path.exists():
            return None
        reference = json.loads(path.read_text(encoding="utf-8"))["reference"]
        return reference["psnr"], reference["ssim"]

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
                for event in lift_events(self.clip, self.record.recipe.settings, self.frames()):
                    self._write(event)
                    log.write(json.dumps(describe(event), default=dataclasses.asdict) + "\n")
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

    def _write(self, event: Event) -> None:
        match event:
            case FrameFinished():
                with atomic(self.frame_path(event.frame_index)) as path:
                    event.gaussians.save(path)
            case ExpertChosen():
                self.record.experts[event.role] = event.name
            case Warned() if event.message not in self.record.warnings:
                self.record.warnings.append(event.message)
            case StageFinished():
                before = self.record.seconds.get(event.stage, 0.0)
                self.record.seconds[event.stage] = round(before + event.seconds, 3)
            case ViewsImagined():
                event.grid.save(self.folder / "views")
            case Finished():
                with atomic(self.folder / "refined.safetensors") as path:
                    event.asset.save(path)
                metrics = {"reference": {"psnr": event.psnr, "ssim": event.ssim}}
                write_text(self.folder / "metrics.json", json.dumps(metrics, indent=1))
            case _:
                return
        self._write_record()

    def _write_record(self) -> None:
        write_text(self.folder / "run.json", json.dumps(dataclasses.asdict(self.record), indent=1))


def read_record(path: Path) -> Record:
    """Reads a run.json.

    Raises:
        UserError: the file is missing or is no run.json.
    """
    try:
        return TypeAdapter(Record).validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path.parent} holds no run: {path.name} cannot be read ({error.strerror})."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path} is not a run's record: {where}: {first['msg']}.") from error


def describe(event: Event) -> dict:
    """An event as JSON: its name, the time, and whatever is not Gaussians."""
    values = {
        f.name: getattr(event, f.name)
        for f in dataclasses.fields(event)
        if not isinstance(getattr(event, f.name), Gaussians) and f.name not in ("asset", "grid")
    }
    return {"event": type(event).__name__, "time": round(time.time(), 3), **values}
