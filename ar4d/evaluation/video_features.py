"""Feature vectors of clips, by networks whose weights the user provides.

Each function that loads a network takes the file that the user named, or else looks where an environment
variable points, and says why a network is not available. Nothing stands in for one that is missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.errors import UserError
from ar4d.evaluation.arrangements import lengthened
from ar4d.evaluation.availability import NotAvailable
from ar4d.evaluation.i3d import InceptionI3d
from ar4d.evaluation.resnet3d import ResNet50
from ar4d.weights.state import fill

Features = Callable[[Tensor], Tensor]
"""[N, T, H, W, 3] clips in [0, 1] become [N, D] features."""

I3D_VARIABLE = "AR4D_I3D"
I3D_400_VARIABLE = "AR4D_I3D_400"
RESNET_VARIABLE = "AR4D_RESNET3D"
KINETICS_MEAN = (114.7748, 107.7354, 99.4750)
"""Mean colour of Kinetics, of 255."""
I3D_LEAST = 10
"""Fewest frames that the I3D network takes in the published scripts."""
SEGMENT = 16
"""Frames of a segment of FID-VID."""


def i3d_torchscript(weights: Path | None) -> Features | NotAvailable:
    """I3D as FVD uses it: the TorchScript file of StyleGAN-V, `i3d_torchscript.pt`.

    Frames are resized to 224² bilinearly, scaled to [-1, 1] and passed with `rescale=False, resize=False,
    return_features=True`, which gives 400 logits per clip. Clips of fewer than ten images are lengthened (see
    `arrangements.lengthened`).

    Raises:
        UserError: the named file is no such network.
    """
    path = _named(weights, I3D_VARIABLE)
    if path is None:
        return _absent("FVD", "i3d_torchscript.pt", I3D_VARIABLE)
    if not path.is_file():
        raise UserError(f"There is no I3D file at {path}; correct the path or leave FVD out.")
    try:
        network = torch.jit.load(path, map_location="cpu").eval()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a TorchScript network; take the published i3d_torchscript.pt."
        ) from error

    @torch.no_grad()
    def features(clips: Tensor) -> Tensor:
        x = 2 * _resized(lengthened(clips, I3D_LEAST), 224, "bilinear") - 1
        try:
            parts = [
                network(clip[None], rescale=False, resize=False, return_features=True)
                for clip in x.movedim(-1, 1)
            ]
        except RuntimeError as error:
            raise UserError(
                f"{path} is a TorchScript network, but not I3D as FVD uses it; take i3d_torchscript.pt."
            ) from error
        return torch.cat(parts).float()

    return features


def i3d_kinetics_400(weights: Path | None) -> Features | NotAvailable:
    """I3D as Consistent4D's script uses it: `i3d_pretrained_400.pt`, frames resized to 224² bicubically.

    Raises:
        UserError: the named file does not hold these weights.
    """
    path = _named(weights, I3D_400_VARIABLE)
    if path is None:
        return _absent("Consistent4D's FVD", "i3d_pretrained_400.pt", I3D_400_VARIABLE)
    network = InceptionI3d()
    fill(network, path, "I3D", "take the published i3d_pretrained_400.pt")

    @torch.no_grad()
    def features(clips: Tensor) -> Tensor:
        x = 2 * _resized(lengthened(clips, I3D_LEAST), 224, "bicubic") - 1
        return torch.cat([network(clip[None]) for clip in x.movedim(-1, 1)])

    return features


def resnet3d_50(weights: Path | None) -> Features | NotAvailable:
    """3D ResNet-50 as FID-VID uses it (DisCo's script): `resnet-50-kinetics.pth`.

    Frames are resized to 112² bicubically and the mean of Kinetics is subtracted. A clip is cut into segments
    of 16 frames, the last one filled up with the last frame; its features are the mean over segments.

    Raises:
        UserError: the named file does not hold these weights.
    """
    path = _named(weights, RESNET_VARIABLE)
    if path is None:
        return _absent("FID-VID", "resnet-50-kinetics.pth", RESNET_VARIABLE)
    network = ResNet50()
    fill(network, path, "3D ResNet-50", "take the published resnet-50-kinetics.pth")

    @torch.no_grad()
    def features(clips: Tensor) -> Tensor:
        mean = clips.new_tensor(KINETICS_MEAN)
        x = (255 * _resized(clips, 112, "bicubic") - mean).movedim(-1, 1)
        return torch.stack([network(segments(clip)).mean(0) for clip in x])

    return features


def segments(clip: Tensor, length: int = SEGMENT) -> Tensor:
    """[C, T, H, W] cut into [S, C, length, H, W]; the last segment repeats the last frame."""
    missing = -clip.shape[1] % length
    whole = torch.cat([clip, clip[:, -1:].expand(-1, missing, -1, -1)], dim=1)
    return torch.stack(whole.split(length, dim=1))


def _named(weights: Path | None, variable: str) -> Path | None:
    named = weights or os.environ.get(variable)
    return Path(named).expanduser() if named else None


def _absent(metric: str, file: str, variable: str) -> NotAvailable:
    return NotAvailable(
        f"{metric} was not measured, its network is not here: get {file} and set {variable} to its path."
    )


def _resized(clips: Tensor, size: int, mode: str) -> Tensor:
    """[N, T, H, W, 3] in [0, 1] resized to `size`²; with the low-pass of PIL where `mode` is bicubic."""
    count, length = clips.shape[:2]
    flat = clips.flatten(0, 1).movedim(-1, 1).float()
    flat = F.interpolate(flat, (size, size), mode=mode, align_corners=False, antialias=mode == "bicubic")
    return flat.movedim(1, -1).unflatten(0, (count, length))
