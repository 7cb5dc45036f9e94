"""LPIPS: how different two pictures look, by the features of a network that learnt to recognise things.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018, with the
calibration called v0.1, by AlexNet (`ALEX`, what a plain "LPIPS" means in this project) or VGG-16 (`VGG`,
what Consistent4D's script takes). The weights are not part of this project. With the public packages
`lpips` and `torchvision` installed, anyone can make the files:

    import lpips, torch
    for net in ("alex", "vgg"):
        metric = lpips.LPIPS(net=net, version="0.1")
        convs = [m for m in metric.net.modules() if isinstance(m, torch.nn.Conv2d)]
        state = {f"conv{i}.{k}": v for i, conv in enumerate(convs) for k, v in conv.state_dict().items()}
        state |= {f"lin{i}.weight": lin.model[1].weight.detach() for i, lin in enumerate(metric.lins)}
        torch.save(state, f"lpips_{net}.pt")

and pass a path, or name it in the environment variable AR4D_LPIPS (AlexNet) or AR4D_LPIPS_VGG. Nothing stands
in for LPIPS where the file is missing: the number is left out and the report says so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.errors import UserError
from ar4d.weights.state import read_state

LEAST_SIZE = 32
"""Pixels each way, below which AlexNet has nothing left to compare."""
VARIABLE = "AR4D_LPIPS"
VGG_VARIABLE = "AR4D_LPIPS_VGG"


@dataclass(frozen=True)
class Network:
    """The convolutions whose rectified features LPIPS compares."""

    name: str
    title: str
    variable: str
    """The environment variable that names the weights file."""
    channels: tuple[int, ...]
    """Of each convolution's output."""
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    paddings: tuple[int, ...]
    pooled_before: tuple[int, ...]
    """These convolutions read a maximum over squares of `pooling` pixels, every second one."""
    pooling: int
    compared: tuple[int, ...]
    """The convolutions whose features are compared."""


ALEX = Network(
    "alex", "LPIPS", VARIABLE, (64, 192, 384, 256, 256), (11, 5, 3, 3, 3), (4, 1, 1, 1, 1), (2, 2, 1, 1, 1),
    (1, 2), 3, (0, 1, 2, 3, 4),
)  # fmt: skip
VGG = Network(
    "vgg", "LPIPS (VGG)", VGG_VARIABLE, (*(64,) * 2, *(128,) * 2, *(256,) * 3, *(512,) * 6), (3,) * 13,
    (1,) * 13, (1,) * 13, (2, 4, 7, 10), 2, (1, 3, 6, 9, 12),
)  # fmt: skip

_SHIFT = (-0.030, -0.088, -0.188)  # mean and deviation of ImageNet's pixels, scaled to [-1, 1]
_SCALE = (0.458, 0.448, 0.450)
_PIXELS_AT_ONCE = 2**21  # per pass through the network, which bounds its memory


@dataclass(frozen=True)
class Lpips:
    """The metric with its weights. Call it with two batches of pictures."""

    state: dict[str, Tensor]  # conv0.weight, conv0.bias …, lin0.weight … lin4.weight
    net: Network = ALEX

    @staticmethod
    def load(path: Path, net: Network = ALEX) -> Lpips:
        """Reads a weights file, `.safetensors` or what `torch.save` wrote.

        Raises:
            UserError: the file is missing, cannot be read or holds something else.
        """
        state = read_state(Path(path), "LPIPS", "make it again as ar4d.evaluation.lpips says")
        _check(state, path, net)
        return Lpips({name: state[name].float() for name in weight_shapes(net)}, net)

    def to(self, device: torch.device | str) -> Lpips:
        """The metric with its weights on a device, where a loss takes them in every step."""
        return Lpips({name: tensor.to(device) for name, tensor in self.state.items()}, self.net)

    @torch.no_grad()
    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of each pair of pictures; 0 = the same, about 0.1 close, above 0.5 unrelated.

        Args:
            a: [B, H, W, 3] RGB in [0, 1], at least `LEAST_SIZE` pixels each way.
            b: as `a`.

        Returns:
            [B], ≥ 0; smaller is better.
        """
        at_once = max(1, _PIXELS_AT_ONCE // (a.shape[1] * a.shape[2]))
        return torch.cat(
            [self.distances(*pair) for pair in zip(a.split(at_once), b.split(at_once), strict=True)]
        )

    def distances(self, a: Tensor, b: Tensor) -> Tensor:
        """What a call gives, all pairs at once and with gradients, for losses."""
        state = {name: tensor.to(a.device) for name, tensor in self.state.items()}
        distance = a.new_zeros(len(a))
        layers = zip(_features(a, state, self.net), _features(b, state, self.net), strict=True)
        for i, (x, y) in enumerate(layers):  # [B, C, h, w]
            difference = (_unit(x) - _unit(y)).square()
            distance = distance + F.conv2d(difference, state[f"lin{i}.weight"]).mean(dim=(1, 2, 3))
        return distance


def find_weights(path: Path | None = None, net: Network = ALEX) -> Path | None:
    """The weights file that the user named: the argument, or else the network's environment variable."""
    named = path or os.environ.get(net.variable)
    return Path(named) if named else None


def absent(net: Network = ALEX) -> str:
    """The sentence for LPIPS without weights."""
    return (
        f"{net.title} was not measured, its weights are not here: make the file as ar4d.evaluation.lpips "
        f"explains and pass its path or set {net.variable} to it."
    )


def weight_shapes(net: Network = ALEX) -> dict[str, tuple[int, ...]]:
    """What a weights file holds: names and shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (inputs, outputs) in enumerate(pairwise((3, *net.channels))):
        shapes[f"conv{i}.weight"] = (outputs, inputs, net.kernels[i], net.kernels[i])
        shapes[f"conv{i}.bias"] = (outputs,)
    for k, i in enumerate(net.compared):
        shapes[f"lin{k}.weight"] = (1, net.channels[i], 1, 1)
    return shapes


def _features(images: Tensor, state: dict[str, Tensor], net: Network) -> list[Tensor]:
    """The five rectified feature maps, [B, C, h, w] each, of [B, H, W, 3] in [0, 1]."""
    shift, scale = images.new_tensor(_SHIFT), images.new_tensor(_SCALE)
    x = ((2 * images - 1 - shift) / scale).permute(0, 3, 1, 2)
    features = []
    for i in range(len(net.channels)):
        if i in net.pooled_before:
            x = F.max_pool2d(x, kernel_size=net.pooling, stride=2)
        conv = state[f"conv{i}.weight"], state[f"conv{i}.bias"]
        x = F.conv2d(x, *conv, net.strides[i], net.paddings[i]).relu()
        if i in net.compared:
            features.append(x)
    return features


def _unit(x: Tensor) -> Tensor:
    """Every pixel's features, [B, C, h, w], scaled to unit length."""
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def _check(state: dict[str, Tensor], path: Path, net: Network) -> None:
    for name, shape in weight_shapes(net).items():
        tensor = state.get(name)
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != shape:
            raise UserError(
                f"{path} is not a weights file of {net.title} ({name} of shape {shape} is missing); make it "
                "as `ar4d/evaluation/lpips.py` explains."
            )
