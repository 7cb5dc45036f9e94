"""Rendered samples on disk: four orthogonal views of two neighbouring poses each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

TEST_AZIMUTHS_DEG = (-75.0, 15.0, 105.0, 195.0)
NEIGHBOUR = 1 / 16  # of a movement's cycle between the two poses of a sample
DEPTH_UNIT = 1 / 16384  # world units, of the stored depths


@dataclass(frozen=True)
class Shots:
    """Objects from the four orthogonal views, in two neighbouring poses."""

    views: Tensor  # [B, 4, 4, S, S] in [0, 1], premultiplied
    depth: Tensor  # [B, 4, S, S] world units, 0 where nothing is
    before: Tensor  # [B, 4, 4, S, S] in the other pose
    planes: Tensor  # [B, 4] of symmetry, 0 where there is none


class Samples:
    """The arrays of one or more folders of rendered samples, read from disk as they are needed."""

    def __init__(self, folders: tuple[Path, ...], validation: bool) -> None:
        self.places: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []
        self.planes: list[Tensor] = []
        for folder in folders:
            shots = iter(json.loads((folder / "samples.json").read_text()))
            for path in sorted(folder.glob("rgba_*.npy")):
                files = [
                    path.with_name(path.name.replace("rgba", kind)) for kind in ("rgba", "depth", "test")
                ]
                rgba, depth, test = (np.load(file, mmap_mode="r") for file in files)
                for k in range(len(rgba)):
                    shot = next(shots)
                    if shot["validation"] == validation:
                        # Animals are fewer than people in armour, and differ more from each other.
                        times = 2 if shot["actor"].startswith("fauna/") and not validation else 1
                        self.places += [(rgba, depth, test, k)] * times
                        self.planes += [torch.tensor(shot["plane"] or (0.0,) * 4)] * times

    def __len__(self) -> int:
        return len(self.places)

    def views(self, index: int, pose: int) -> tuple[Tensor, Tensor]:
        """Premultiplied [4, 4, S, S] in [0, 1] and depth [4, S, S] of a pose from the orthogonal views."""
        rgba, depth, _, k = self.places[index]
        far = torch.from_numpy(depth[k, pose].astype(np.float32) * np.float32(DEPTH_UNIT))
        return _premultiplied(rgba[k, pose]), far

    def test_views(self, index: int) -> Tensor:
        """[4, S, S, 4] straight alpha of the first pose, seen from between the orthogonal views."""
        _, _, test, k = self.places[index]
        return torch.from_numpy(test[k].astype(np.float32) / 255)


def _premultiplied(rgba: np.ndarray) -> Tensor:
    """[..., 4, S, S] in [0, 1] of bytes [..., S, S, 4]."""
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(rgba, -1, -3))).float() / 255
    return torch.cat([pixels[..., :3, :, :] * pixels[..., 3:, :, :], pixels[..., 3:, :, :]], -3)
