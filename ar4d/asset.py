"""The result: an animated set of Gaussians that can be evaluated at any time."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ar4d.deformation import DeformationField, NodeField, global_field
from ar4d.errors import UserError
from ar4d.gaussians import Gaussians, interpolate
from ar4d.parameters import Parameters
from ar4d.settings import FieldSettings

_WIDER = {torch.float16: torch.float32, torch.int16: torch.int32}  # of a copy that was kept small
ASSET_FILE, CLEANED_FILE = "refined.safetensors", "cleaned.safetensors"  # in a run's folder


class Asset4D(Protocol):
    """Gaussians that move, for t in [0, 1] over the clip's length."""

    @property
    def num_frames(self) -> int:
        """Frames of the clip it was made from."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second of the clip, which lasts (num_frames - 1) / fps seconds."""
        ...

    def at(self, t: float) -> Gaussians:
        """The Gaussians at time `t` in [0, 1]; continuous in t. Frame k is t = k / (num_frames - 1)."""
        ...

    def to(self, device: torch.device | str) -> Asset4D: ...

    def save(self, path: Path) -> None:
        """Writes one safetensors file that `load_asset` reads."""
        ...


def frame_time(frame_index: int, num_frames: int) -> float:
    """The time t of a frame; a clip of one frame has only t = 0."""
    return frame_index / (num_frames - 1) if num_frames > 1 else 0.0


@dataclass(frozen=True)
class DeformedGaussians:
    """What stage 3 makes: canonical Gaussians and the global field that moves them (Eq. 9)."""

    canonical: Parameters
    field: DeformationField
    field_settings: FieldSettings
    num_frames: int
    fps: float

    @torch.no_grad()
    def at(self, t: float) -> Gaussians:
        g = self.canonical.activated(self.field, t)
        return Gaussians(g.means, g.quats, g.scales, g.opacities, g.colors.clamp(0, 1))

    def to(self, device: torch.device | str) -> DeformedGaussians:
        return DeformedGaussians(
            self.canonical.to(device), self.field.to(device), self.field_settings, self.num_frames, self.fps
        )

    def save(self, path: Path) -> None:
        tensors = {f"canonical.{k}": v for k, v in self.canonical.state().items()}
        tensors |= {f"field.{k}": v for k, v in self.field.state_dict().items()}
        meta = {
            "kind": "deformed",
            "sigmoid_colors": self.canonical.sigmoid_colors,
            "field": asdict(self.field_settings),
        }
        _save(path, tensors, meta, self)


@dataclass(frozen=True)
class FrameSequence:
    """What stage 2 makes, taken as it is: one set per frame, interpolated between frames."""

    frames: tuple[Gaussians, ...]
    fps: float

    @property
    def num_frames(self) -> int:
        return len(self.frames)

    def at(self, t: float) -> Gaussians:
        position = min(max(t, 0.0), 1.0) * (self.num_frames - 1)
        k = round(position)
        if abs(position - k) < 1e-6:
            return self.frames[k]
        k = int(position)
        return interpolate(self.frames[k], self.frames[k + 1], position - k)

    def to(self, device: torch.device | str) -> FrameSequence:
        return FrameSequence(tuple(g.to(device) for g in self.frames), self.fps)

    def save(self, path: Path) -> None:
        names = self.frames[0].state()
        tensors = {f"frames.{n}": torch.stack([g.state()[n] for g in self.frames]) for n in names}
        _save(path, tensors, {"kind": "frames"}, self)


def load_asset(path: Path | str) -> Asset4D:
    """Reads the asset that `save` wrote.

    Args:
        path: the file, or the folder of a finished run; of a run that was cleaned up, the cleaned asset.

    Raises:
        UserError: the file is missing, cut short or not an asset, or the run is not finished.
    """
    path = Path(path)
    if path.is_dir():
        path = _asset_in(path)
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {})["ar4d"])
            names = file.keys()
            tensors = {name: _whole(file.get_tensor(name)) for name in names}
        if meta["kind"] == "frames":
            return _load_frames(tensors, meta)
        return _load_deformed(tensors, meta)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is not a finished 4D asset ({error}); lift the clip again.") from error


def _whole(tensor: Tensor) -> Tensor:
    """A stored tensor as the program works with it: single precision and 32-bit indices."""
    return tensor.to(_WIDER.get(tensor.dtype, tensor.dtype))


def _asset_in(folder: Path) -> Path:
    for name in (CLEANED_FILE, ASSET_FILE):
        if (folder / name).exists():
            return folder / name
    if (folder / "run.json").exists():
        raise UserError(f"The run {folder} is not finished yet; let it finish first.")
    raise UserError(f"{folder} holds no finished run; give the folder of a run, or its {ASSET_FILE}.")


def _load_frames(tensors: dict[str, Tensor], meta: dict) -> FrameSequence:
    named = {name.removeprefix("frames."): value for name, value in tensors.items()}
    frames = tuple(Gaussians(**{n: v[k] for n, v in named.items()}) for k in range(meta["num_frames"]))
    return FrameSequence(frames, meta["fps"])


def _load_deformed(tensors: dict[str, Tensor], meta: dict) -> DeformedGaussians:
    canonical = Parameters(
        **{n.removeprefix("canonical."): v for n, v in tensors.items() if n.startswith("canonical.")},
        sigmoid_colors=meta["sigmoid_colors"],
    )
    settings = FieldSettings(**meta["field"])
    # The stored nodes take the place of the means: an asset that was cut may have fewer Gaussians than nodes.
    points = tensors.get("field.nodes", canonical.means)
    field = global_field(settings, points.expand(meta["num_frames"], -1, -1), tensors.get("field.freedom"))
    if isinstance(field, NodeField):
        field.indices, field.weights = tensors["field.indices"], tensors["field.weights"]
    field.load_state_dict({n.removeprefix("field."): v for n, v in tensors.items() if n.startswith("field.")})
    return DeformedGaussians(canonical, field, settings, meta["num_frames"], meta["fps"])


def _save(path: Path, tensors: dict[str, Tensor], meta: dict, asset: Asset4D) -> None:
    meta = {**meta, "num_frames": asset.num_frames, "fps": asset.fps}
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        path,
        metadata={"ar4d": json.dumps(meta)},
    )
