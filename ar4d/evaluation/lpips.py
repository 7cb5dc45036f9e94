"""LPIPS: how different two pictures look, by the features of a network that learnt to recognise things.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018, with
AlexNet and the calibration called v0.1. Its weights are not part of this project. With the public
packages `lpips` and `torchvision` installed, anyone can make the file:

    import lpips, torch
    metric = lpips.LPIPS(net="alex", version="0.1")
    convs = [m for m in metric.net.modules() if isinstance(m, torch.nn.Conv2d)]
    state = {f"conv{i}.{k}": v for i, conv in enumerate(convs) for k, v in conv.state_dict().items()}
    state |= {f"lin{i}.weight": lin.model[1].weight.detach() for i, lin in enumerate(metric.lins)}
    torch.save(state, "lpips_alexnet.pt")

and pass its path, or name it in the environment variable AR4D_LPIPS. Nothing stands in for LPIPS
where the file is missing: the number is left out and the report says so.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ar4d.errors import UserError

VARIABLE = "AR4D_LPIPS"
ABSENT = (
    "LPIPS was not measured, its weights are not here: make the file as ar4d.evaluation.lpips explains "
    f"and pass its path or set {VARIABLE} to it."
)

_SHIFT = (-0.030, -0.088, -0.188)  # mean and deviation of ImageNet's pixels, scaled to [-1, 1]
_SCALE = (0.458, 0.448, 0.450)
_CHANNELS = (3, 64, 192, 384, 256, 256)
_KERNELS = (11, 5, 3, 3, 3)
_STRIDES = (4, 1, 1, 1, 1)
_PADDINGS = (2, 2, 1, 1, 1)
_POOLED_BEFORE = (1, 2)  # these convolutions read the maximum over 3×3 pixels, every second one
_PIXELS_AT_ONCE = 2**21  # per pass through the network, which bounds its memory


@dataclass(frozen=True)
class Lpips:
    """The metric with its weights. Call it with two batches of pictures."""

    state: dict[str, Tensor]  # conv0.weight … conv4.bias, lin0.weight … lin4.weight

    @staticmethod
    def load(path: Path) -> Lpips:
        """Reads a weights file, `.safetensors` or what `torch.save` wrote.

        Raises:
            UserError: the file is missing, cannot be read or holds something else.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"There is no LPIPS weights file at {path}; correct the path or leave LPIPS out.")
        try:
            if path.suffix == ".safetensors":
                state = load_file(path)
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
            raise UserError(
                f"{path} cannot be read as LPIPS weights; make it again as ar4d.evaluation.lpips says."
            ) from error
        _check(state, path)
        return Lpips({name: state[name].float() for name in weight_shapes()})

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of each pair of pictures; 0 = the same, about 0.1 close, above 0.5 unrelated.

        Args:
            a: [B, H, W, 3] RGB in [0, 1], at least 32 pixels each way.
            b: as `a`.

        Returns:
            [B], ≥ 0; smaller is better.
        """
        at_once = max(1, _PIXELS_AT_ONCE // (a.shape[1] * a.shape[2]))
        return torch.cat(
            [self._distances(*pair) for pair in zip(a.split(at_once), b.split(at_once), strict=True)]
        )

    @torch.no_grad()
    def _distances(self, a: Tensor, b: Tensor) -> Tensor:  # [B]
        state = {name: tensor.to(a.device) for name, tensor in self.state.items()}
        distance = a.new_zeros(len(a))
        layers = zip(_features(a, state), _features(b, state), strict=True)
        for i, (x, y) in enumerate(layers):  # [B, C, h, w]
            difference = (_unit(x) - _unit(y)).square()
            distance = distance + F.conv2d(difference, state[f"lin{i}.weight"]).mean(dim=(1, 2, 3))
        return distance


def find_weights(path: Path | None = None) -> Path | None:
    """The weights file that the user named: the argument, or else the environment variable AR4D_LPIPS."""
    named = path or os.environ.get(VARIABLE)
    return Path(named) if named else None


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """What a weights file holds: names and shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, size in enumerate(_KERNELS):
        shapes[f"conv{i}.weight"] = (_CHANNELS[i + 1], _CHANNELS[i], size, size)
        shapes[f"conv{i}.bias"] = (_CHANNELS[i + 1],)
        shapes[f"lin{i}.weight"] = (1, _CHANNELS[i + 1], 1, 1)
    return shapes


def _features(images: Tensor, state: dict[str, Tensor]) -> list[Tensor]:
    """The five rectified feature maps, [B, C, h, w] each, of [B, H, W, 3] in [0, 1]."""
    shift, scale = images.new_tensor(_SHIFT), images.new_tensor(_SCALE)
    x = ((2 * images - 1 - shift) / scale).permute(0, 3, 1, 2)
    features = []
    for i in range(5):
        if i in _POOLED_BEFORE:
            x = F.max_pool2d(x, kernel_size=3, stride=2)
        x = F.conv2d(x, state[f"conv{i}.weight"], state[f"conv{i}.bias"], _STRIDES[i], _PADDINGS[i]).relu()
        features.append(x)
    return features


def _unit(x: Tensor) -> Tensor:
    """Every pixel's features, [B, C, h, w], scaled to unit length."""
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def _check(state: object, path: Path) -> None:
    for name, shape in weight_shapes().items():
        tensor = state.get(name) if isinstance(state, dict) else None
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
            raise UserError(
                f"{path} is not an LPIPS weights file ({name} of shape {shape} is missing); make it as "
                "`ar4d/evaluation/lpips.py` explains."
            )
