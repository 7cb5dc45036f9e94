"""Moving pictures of a result beside the truth, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ar4d.evaluation.ground_truth import GroundTruth
from ar4d.evaluation.registry import Frames
from ar4d.files import atomic

CELL = 112
"""Width and height of a view, in pixels."""
COLUMNS = 6
"""Most views beside each other."""
MILLISECONDS = 150
"""How long a frame is shown."""


def save_turntable(found: Mapping[str, Frames], truth: GroundTruth, path: Path) -> None:
    """Writes an animated WebP: the truth above, what was found below, a column per view."""
    views = sorted(truth.views, key=lambda v: (v.name != truth.reference, v.azimuth_deg % 360))
    step = max(1, -(-len(views) // COLUMNS))
    columns = [torch.cat([_small(v.rgb), _small(found[v.name].rgb)], dim=1) for v in views[::step]]
    sheet = (torch.cat(columns, dim=2).clamp(0, 1) * 255).round().byte().cpu().numpy()
    first, *rest = [Image.fromarray(frame) for frame in sheet]
    with atomic(path) as temporary:
        first.save(
            temporary, "WEBP", save_all=True, append_images=rest, duration=MILLISECONDS, loop=0, quality=70
        )


def _small(frames: Tensor) -> Tensor:
    """[F, CELL, CELL, 3] of [F, H, W, 3]."""
    resized = F.interpolate(frames.movedim(-1, 1), (CELL, CELL), mode="bilinear", antialias=True)
    return resized.movedim(1, -1)
