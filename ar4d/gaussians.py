"""The one Gaussian container: activated values, frozen, on any device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ar4d.errors import UserError


@dataclass(frozen=True)
class Gaussians:
    """A set of N anisotropic 3D Gaussians, G = {μ, r, s, α, c} of the paper's Sec. 3.

    World coordinates: right-handed, y up, the object at the origin inside [-1, 1]^3.
    """

    means: Tensor  # [N, 3] world units
    quats: Tensor  # [N, 4] wxyz, unit length
    scales: Tensor  # [N, 3] standard deviations along the own axes, world units, > 0
    opacities: Tensor  # [N] in (0, 1)
    colors: Tensor  # [N, 3] RGB in [0, 1]

    def __len__(self) -> int:
        return self.means.shape[0]

    def map(self, function: Callable[[Tensor], Tensor]) -> Gaussians:
        """Applies `function` to every attribute."""
        return Gaussians(**{f.name: function(getattr(self, f.name)) for f in fields(self)})

    def to(self, device: torch.device | str) -> Gaussians:
        return self.map(lambda x: x.to(device))

    def detach(self) -> Gaussians:
        """The same values without a gradient history, in memory of their own."""
        return self.map(lambda x: x.detach().clone())

    def select(self, keep: Tensor) -> Gaussians:
        """The Gaussians where the mask (or index) `keep` says so."""
        return self.map(lambda x: x[keep])

    def state(self) -> dict[str, Tensor]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def save(self, path: Path) -> None:
        """Writes a safetensors file; `load` returns the same bits."""
        save_file({k: v.detach().cpu().contiguous() for k, v in self.state().items()}, path)

    @staticmethod
    def load(path: Path) -> Gaussians:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, cut short or holds something else.
        """
        try:
            return Gaussians(**load_file(path))
        except (OSError, SafetensorError, TypeError) as error:
            raise UserError(
                f"{path} does not hold Gaussians ({error}); delete it to have it made again."
            ) from error


def concatenate(parts: Sequence[Gaussians]) -> Gaussians:
    """One set that holds all of `parts`, in order."""
    names = [f.name for f in fields(Gaussians)]
    return Gaussians(**{name: torch.cat([getattr(p, name) for p in parts]) for name in names})


def interpolate(a: Gaussians, b: Gaussians, weight: float) -> Gaussians:
    """Between corresponding Gaussians: linear, rotations along the shorter normalised chord.

    Args:
        weight: 0 gives `a`, 1 gives `b`.
    """
    sign = torch.where((a.quats * b.quats).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    quats = F.normalize(torch.lerp(a.quats, sign * b.quats, weight), dim=-1)
    mixed = {f.name: torch.lerp(getattr(a, f.name), getattr(b, f.name), weight) for f in fields(a)}
    return Gaussians(**{**mixed, "quats": quats})


def rotation_matrices(quats: Tensor) -> Tensor:
    """Rotation matrices of unit quaternions.

    Args:
        quats: [..., 4] wxyz; need not be unit, they are normalised here.

    Returns:
        [..., 3, 3].
    """
    w, x, y, z = F.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def quaternions(rotations: Tensor) -> Tensor:
    """Unit quaternions (wxyz, w ≥ 0) of rotation matrices: the inverse of `rotation_matrices`.

    Each of the four rows below is the quaternion times a different one of its own components;
    the largest diagonal tells which row is best conditioned.

    Args:
        rotations: [..., 3, 3].
    """
    m = rotations
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, a, b, c], -1),
            torch.stack([a, 1 + xx - yy - zz, d, e], -1),
            torch.stack([b, d, 1 - xx + yy - zz, f], -1),
            torch.stack([c, e, f, 1 - xx - yy + zz], -1),
        ],
        dim=-2,
    )
    best = candidates.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*m.shape[:-2], 1, 4)
    quats = F.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def multiply_quaternions(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product a ⊗ b (first b, then a); [..., 4] wxyz each."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )
