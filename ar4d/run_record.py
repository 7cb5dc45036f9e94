"""What a run's folder says of it: run.json and metrics.json."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, PlainValidator, ValidationError, with_config
from pydantic_core import PydanticCustomError

from ar4d.clip import ClipSettings
from ar4d.engines.registry import parse_settings
from ar4d.errors import UserError
from ar4d.records import first_problem, load_record
from ar4d.settings import EngineSettings

Status = Literal["new", "running", "stopped", "failed", "finished"]


def _settings(values: Any) -> EngineSettings:
    """Settings of the engine that the record names."""
    try:
        return parse_settings(values)
    except ValidationError as error:
        raise PydanticCustomError("settings", "{problem}", {"problem": first_problem(error)}) from error
    except UserError as error:
        raise PydanticCustomError("engine", "{problem}", {"problem": str(error)}) from error


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that makes a run: replaying it gives the same result on the same machine."""

    source: str
    """Path of the clip."""
    clip: ClipSettings
    settings: Annotated[EngineSettings, PlainValidator(_settings)]


@with_config(ConfigDict(extra="forbid"))
@dataclasses.dataclass
class Record:
    """Contents of run.json."""

    recipe: Recipe
    status: Status = "new"
    experts: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    canonical: int = 0
    """Index in the clip of the frame that stage 1 lifts."""
    canonical_reason: str = ""
    """Why it is that frame; empty where the first frame was taken without a choice."""
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    machine: str = ""
    error: str | None = None


@dataclasses.dataclass
class ReferenceQuality:
    """PSNR (dB) and SSIM of an asset at the reference view, one value a frame."""

    psnr: list[float]
    ssim: list[float]


@dataclasses.dataclass
class ClipLength:
    """The part of a clip's record that a run needs without reading the pictures."""

    num_frames: int


@dataclasses.dataclass
class Metrics:
    """Contents of metrics.json."""

    reference: ReferenceQuality


def read_record(path: Path) -> Record:
    """Reads a run.json.

    Raises:
        UserError: the file is missing, cut short, of another version or not a run.json.
    """
    try:
        return load_record(path, Record, "a run's record", "lift the clip again")
    except OSError as error:
        raise UserError(
            f"{path.parent} holds no run: {path.name} cannot be read ({error.strerror})."
        ) from error
