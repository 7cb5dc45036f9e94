"""LGM as an expert: `ViewsToGaussians`, and the second half of the paper's image → Gaussians."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.hardware import half_precision, missing_gpu
from ar4d.experts.lgm.config import BIG, VIEWS, LgmConfig
from ar4d.experts.lgm.inputs import canonical_cameras, network_input, on_white, resize, rotate
from ar4d.experts.lgm.model import LgmNetwork, activate
from ar4d.experts.protocols import Unavailable
from ar4d.gaussians import Gaussians
from ar4d.weights.hub import fetch, why_unavailable
from ar4d.weights.loading import load_weights
from ar4d.weights.release import Release

WEIGHTS = Release(
    repo="ashawkey/LGM",
    files=("model_fp16_fixrot.safetensors",),
    gib=0.8,
    licence="MIT",
    sha256={
        "model_fp16_fixrot.safetensors": "744d6324656342c64f871308e73db97f0eb51858d94329b30090e986a6d050ab"
    },
)
GPU_GIB = 2.5
"""1.1 GiB (`python -m ar4d experts --memory`), the CUDA context and workspaces; with room."""
MIN_OPACITY = 0.005


class LGM:
    """Four orthogonal views become Gaussians in one pass."""

    name = "LGM"

    def __init__(self, network: LgmNetwork, min_opacity: float = MIN_OPACITY):
        """
        Args:
            network: with its weights, on the device where it runs.
            min_opacity: fainter Gaussians are left out; 0 keeps all, one per pixel of the maps.
        """
        self.network = network
        self.min_opacity = min_opacity

    @classmethod
    def available(cls, device: torch.device | str, folder: Path | None = None) -> Unavailable | None:
        """Why LGM cannot run, or None if it can.

        Args:
            device: where it would run.
            folder: where the user keeps the weights; None: the model hub and its cache.
        """
        gpu = missing_gpu(cls.name, device, GPU_GIB)
        if gpu is not None:
            return gpu
        reason = _outdated(WEIGHTS, folder) or why_unavailable(WEIGHTS, folder)
        return None if reason is None else Unavailable(reason)

    @classmethod
    def load(
        cls,
        device: torch.device | str,
        folder: Path | None = None,
        *,
        config: LgmConfig = BIG,
        weights: Release = WEIGHTS,
        min_opacity: float = MIN_OPACITY,
    ) -> LGM:
        """Loads the published weights.

        Args:
            device: CUDA computes in half precision, everything else in float32.
            folder: where the user keeps the weights; None: the model hub and its cache.
            config: the size that `weights` were made for.

        Raises:
            UserError: the weights are unavailable, are an outdated version or do not fit.
        """
        outdated = _outdated(weights, folder)
        if outdated is not None:
            raise UserError(outdated)
        path = fetch(weights, folder) / weights.files[0]
        with torch.device("meta"):
            network = LgmNetwork(config)
        load_weights(network, path, device=device, dtype=half_precision(device))
        return cls(network, min_opacity)

    def reconstruct(self, rgba: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """Reconstructs the object from its views (see `ViewsToGaussians`).

        Args:
            rgba: [4, S, S, 4] in [0, 1], straight alpha, at azimuths 0, 90, 180, 270 degrees.
            elevation_deg: of all four cameras, positive is above.
        """
        return self.from_rgb(on_white(rgba), elevation_deg)

    @torch.no_grad()
    def from_rgb(self, rgb: Tensor, elevation_deg: float = 0.0) -> Gaussians:
        """The same for four pictures [4, S, S, 3] that are on white already."""
        if rgb.shape[0] != VIEWS or rgb.shape[1] != rgb.shape[2] or rgb.shape[3] != 3:
            raise ValueError(f"LGM takes [4, S, S, 3], not {list(rgb.shape)}")
        weight = self.network.conv.weight
        size = self.network.config.input_size
        cameras, to_world = canonical_cameras(elevation_deg, size)
        views = network_input(resize(rgb.float().to(weight.device), size), cameras.to(weight.device))
        gaussians = activate(self.network(views.to(weight.dtype))[0].float())
        if self.min_opacity > 0:
            gaussians = gaussians.select(gaussians.opacities >= self.min_opacity)
        return rotate(gaussians, to_world.to(weight.device)) if elevation_deg else gaussians


def _outdated(weights: Release, folder: Path | None) -> str | None:
    """Refuses the first release, whose file lies where the mended one is missing."""
    if folder is None or (folder / weights.files[0]).is_file():
        return None
    old = next((n for n in ("model_fp16.safetensors", "model.safetensors") if (folder / n).is_file()), None)
    if old is None:
        return None
    return (
        f"{folder / old} is LGM's first release, trained with rotations normalised along the wrong axis; "
        f"take the mended weights: `{weights.fetch_command} --local-dir {folder}`."
    )
