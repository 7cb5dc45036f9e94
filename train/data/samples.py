"""Rendered samples on disk: four orthogonal views of two neighbouring poses each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

TEST_AZIMUTHS_DEG = (-75.0, 15.0, 105.0, 195.0)
"""Azimuths of the additional views of validation samples."""
NEIGHBOUR = 1 / 16
"""Share of a movement's cycle between the two poses of a sample."""
DEPTH_UNIT = 1 / 16384
"""World units of a stored depth of 1."""


class Samples:
    """The arrays of one or more folders of rendered samples, memory-mapped."""

    def __init__(self, folders: tuple[Path, ...], validation: bool) -> None:
        """
        Args:
            folders: as `train.data.render_actors` and `train.data.render_shapes` write them.
            validation: take the validation samples rather than the training samples.
        """
        self.places: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []
        self.planes: list[Tensor] = []
        for folder in folders:
            records = iter(json.loads((folder / "samples.json").read_text()))
            for path in sorted(folder.glob("rgba_*.npy")):
                files = [
                    path.with_name(path.name.replace("rgba", kind)) for kind in ("rgba", "depth", "test")
                ]
                rgba, depth, test = (np.load(file, mmap_mode="r") for file in files)
                for k in range(len(rgba)):
                    record = next(records)
                    if record["validation"] == validation:
                        # Animals are rarer than people in armour, and differ more from each other.
                        times = 2 if record["actor"].startswith("fauna/") and not validation else 1
                        self.places += [(rgba, depth, test, k)] * times
                        self.planes += [torch.tensor(record["plane"] or (0.0,) * 4)] * times

    def __len__(self) -> int:
        return len(self.places)

    def views(self, index: int, pose: int) -> tuple[Tensor, Tensor]:
        """Premultiplied views [4, 4, S, S] in [0, 1] and depths [4, S, S] of pose 0 or 1 of a sample."""
        rgba, depth, _, k = self.places[index]
        far = torch.from_numpy(depth[k, pose].astype(np.float32) * np.float32(DEPTH_UNIT))
        return _premultiplied(rgba[k, pose]), far

    def test_views(self, index: int) -> Tensor:
        """Straight-alpha views [4, S, S, 4] of pose 0 at TEST_AZIMUTHS_DEG."""
        _, _, test, k = self.places[index]
        return torch.from_numpy(test[k].astype(np.float32) / 255)


def _premultiplied(rgba: np.ndarray) -> Tensor:
    """Premultiplied [..., 4, S, S] in [0, 1] from straight-alpha bytes [..., S, S, 4]."""
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(rgba, -1, -3))).float() / 255
    return torch.cat([pixels[..., :3, :, :] * pixels[..., 3:, :, :], pixels[..., 3:, :, :]], -3)
