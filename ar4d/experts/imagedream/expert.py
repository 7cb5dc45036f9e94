"""ImageDream and MVDream: four orthogonal views of what a picture or a prompt shows."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.hardware import half_precision, missing_gpu, missing_libraries
from ar4d.experts.imagedream.cameras import camera_embedding
from ar4d.experts.imagedream.config import IMAGEDREAM, MVDREAM, VIEWS
from ar4d.experts.imagedream.encoding import decode_latents, encode_features, encode_latents, encode_text
from ar4d.experts.imagedream.parts import Parts, load_parts
from ar4d.experts.imagedream.sampler import Guide, OnStep, denoise
from ar4d.experts.protocols import Unavailable
from ar4d.weights.hub import fetch, why_unavailable
from ar4d.weights.release import Release

STEPS = 30
VIEW_ORDER = (1, 2, 3, 0)
"""The network's view 1 is what LGM takes for azimuth 0 (LGM, `infer.py`)."""
LIBRARIES = ("diffusers", "transformers")


class MultiViewDiffusion:
    """What ImageDream and MVDream have in common."""

    name: ClassVar[str]
    release: ClassVar[Release]
    gpu_gib: ClassVar[float]
    """Weights and one step's activations; an estimate, with room."""

    def __init__(self, parts: Parts):
        self.parts = parts

    @classmethod
    def available(cls, device: torch.device | str, folder: Path | None = None) -> Unavailable | None:
        """Why it cannot run, or None if it can.

        Args:
            device: where it would run.
            folder: where the user keeps the release; None: the model hub and its cache.
        """
        refusal = missing_gpu(cls.name, device, cls.gpu_gib) or missing_libraries(cls.name, *LIBRARIES)
        if refusal is not None:
            return refusal
        reason = why_unavailable(cls.release, folder)
        return None if reason is None else Unavailable(reason)

    @classmethod
    def load(cls, device: torch.device | str, folder: Path | None = None) -> Self:
        """Loads the published weights; CUDA computes in half precision, everything else in float32.

        Raises:
            UserError: the weights are unavailable or do not fit.
        """
        return cls(load_parts(fetch(cls.release, folder), device, half_precision(device)))

    def _sample(
        self, guide: Guide, generator: torch.Generator, guidance: float, steps: int, on_step: OnStep | None
    ) -> Tensor:
        """[4, S, S, 3] at azimuths 0, 90, 180, 270 degrees, float32 in [0, 1]."""
        config = self.parts.unet.config
        shape = (guide.camera.shape[0], config.in_channels, config.image_size, config.image_size)
        # Drawn on the CPU, so that a seed means the same on every device.
        noise = torch.randn(shape, generator=generator)
        latents = denoise(
            self.parts.unet,
            self.parts.scheduler,
            noise,
            guide,
            guidance=guidance,
            steps=steps,
            on_step=on_step,
        )
        return decode_latents(self.parts, latents[:VIEWS])[list(VIEW_ORDER)]


class ImageDream(MultiViewDiffusion):
    """A picture becomes four views (Wang and Shi, arXiv 2312.02201).

    Their azimuths are right relative to each other, not to the picture: see `align.py`.
    """

    name = "ImageDream"
    release = IMAGEDREAM
    gpu_gib = 6.0

    @torch.no_grad()
    def views(
        self,
        rgb: Tensor,
        elevation_deg: float = 0.0,
        *,
        prompt: str = "",
        negative_prompt: str = "",
        guidance: float = 5.0,
        steps: int = STEPS,
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Imagines the object from four sides.

        Args:
            rgb: [S, S, 3] in [0, 1], the object on white.
            elevation_deg: of the four cameras, positive is above.
            guidance: weight of picture and prompt; above 1.

        Returns:
            [4, 256, 256, 3] in [0, 1], float32, a quarter turn apart, on white.
        """
        generator = torch.Generator().manual_seed(seed)
        guide = Guide(
            text=encode_text(self.parts, [negative_prompt, prompt]),
            camera=camera_embedding(elevation_deg, image_view=True),
            features=encode_features(self.parts, rgb),
            latents=encode_latents(self.parts, rgb, generator),
        )
        return self._sample(guide, generator, guidance, steps, on_step)


class MVDream(MultiViewDiffusion):
    """A prompt becomes four views (Shi et al., arXiv 2308.16512). Their backgrounds are not white."""

    name = "MVDream"
    release = MVDREAM
    gpu_gib = 5.0

    @torch.no_grad()
    def views(
        self,
        prompt: str,
        elevation_deg: float = 0.0,
        *,
        negative_prompt: str = "",
        guidance: float = 7.5,
        steps: int = STEPS,
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Imagines what the prompt says from four sides; as `ImageDream.views`.

        Raises:
            UserError: the prompt is empty or too long.
        """
        if not prompt.strip():
            raise UserError("MVDream makes views of what a prompt says and the prompt is empty; write one.")
        guide = Guide(
            text=encode_text(self.parts, [negative_prompt, prompt]),
            camera=camera_embedding(elevation_deg, image_view=False),
        )
        return self._sample(guide, torch.Generator().manual_seed(seed), guidance, steps, on_step)
