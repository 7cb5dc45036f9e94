"""Wan as an expert: `TextToVideo`, `TextToImage` (a clip of one frame) and `ImageToVideo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.hardware import (
    free_gpu_memory,
    is_out_of_memory,
    missing_gpu,
    missing_libraries,
    missing_memory,
)
from ar4d.experts.protocols import OnProgress, Unavailable, VideoFrames, VideoRequest
from ar4d.experts.wan import memory, parts
from ar4d.experts.wan.config import WanConfig
from ar4d.weights.hub import fetch, why_unavailable

WITHOUT_GPU = "have any video generator make a short clip of one subject before a plain background"
RAM_GIB = 14.0
"""The prompt's encoder in bfloat16 on its way to the GPU, with room."""


class Wan:
    """Makes clips. Networks are in memory only while they work, the prompt's encoder once per prompt.

    Attributes:
        warnings: sentences about what had to be made smaller since they were last read.
    """

    def __init__(self, config: WanConfig, folder: Path, device: torch.device | str) -> None:
        """
        Args:
            folder: holds the release.
            device: CUDA computes in bfloat16, everything else in float32.
        """
        self.config, self.folder, self.device = config, folder, torch.device(device)
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.warnings: list[str] = []
        self._fit = memory.first_fit(config.name, self.device)
        self._prompts: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
        self._networks: tuple[Any, Any] | None = None

    @property
    def name(self) -> str:
        return self.config.name

    @staticmethod
    def available(
        config: WanConfig, device: torch.device | str, folder: Path | None = None
    ) -> Unavailable | None:
        """Why it cannot run, or None if it can.

        Args:
            device: where it would run.
            folder: where the user keeps the release; None: the model hub and its cache.
        """
        refusal = (
            missing_gpu(config.name, device, memory.least_gib(config.name), WITHOUT_GPU)
            or missing_memory(config.name, RAM_GIB)
            or missing_libraries(config.name, "diffusers", "transformers", "accelerate")
        )
        if refusal is not None:
            return refusal
        reason = why_unavailable(config.release, folder)
        return None if reason is None else Unavailable(reason)

    @staticmethod
    def load(config: WanConfig, device: torch.device | str, folder: Path | None = None) -> Wan:
        """Makes sure of the release; its networks are read when they are needed.

        Raises:
            UserError: the release is unavailable.
        """
        return Wan(config, fetch(config.release, folder), device)

    def generate_video(self, request: VideoRequest, on_progress: OnProgress | None = None) -> VideoFrames:
        """As `TextToVideo.generate_video`."""
        return VideoFrames(self._sample(request, None, on_progress), self.config.fps)

    def generate_image(self, request: VideoRequest, on_progress: OnProgress | None = None) -> np.ndarray:
        """As `TextToImage.generate_image`: a clip of one frame."""
        single = VideoRequest(**{**vars(request), "num_frames": 1})
        return self._sample(single, None, on_progress)[0]

    def animate(
        self, picture: np.ndarray, request: VideoRequest, on_progress: OnProgress | None = None
    ) -> VideoFrames:
        """As `ImageToVideo.animate`.

        Raises:
            UserError: this size of Wan takes no pictures.
        """
        if not self.config.animates:
            raise UserError(f"{self.name} makes clips of prompts only; take another expert for a picture.")
        return VideoFrames(self._sample(request, picture, on_progress), self.config.fps)

    def size_of(self, request: VideoRequest) -> tuple[int, int]:
        """As `ImageToVideo.size_of`."""
        scale, step = memory.FITS[self._fit].scale, self.config.multiple
        requested = request.width or self.config.width, request.height or self.config.height
        width, height = (max(step, int(length * scale) // step * step) for length in requested)
        return width, height

    @torch.no_grad()
    def _sample(
        self, request: VideoRequest, picture: np.ndarray | None, on_progress: OnProgress | None
    ) -> np.ndarray:
        """[F, H, W, 3] uint8; on a full memory it begins again in the next smaller way.

        Raises:
            UserError: memory runs out in the smallest way, too.
        """
        while True:
            try:
                return self._try(request, picture, on_progress)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._next_fit()

    def _next_fit(self) -> None:
        self._networks = None
        free_gpu_memory()
        was = memory.FITS[self._fit]
        if self._fit + 1 == len(memory.FITS):
            raise UserError(
                f"Memory ran out in {self.name} even {was.name}; ask for fewer frames or a smaller picture, "
                "or take a smaller expert."
            )
        self._fit += 1
        now = memory.FITS[self._fit]
        self.warnings.append(f"Memory ran out in {self.name}: it continues with less ({now.name}).")

    def _try(
        self, request: VideoRequest, picture: np.ndarray | None, on_progress: OnProgress | None
    ) -> np.ndarray:
        report = on_progress or (lambda task, done, total: None)
        embeddings = self._encode(request, report)
        pipeline = self._pipeline(picture is not None, report)
        steps = request.steps or self.config.steps
        width, height = self.size_of(request)

        def on_step(pipe: Any, index: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
            report("sampling", index + 1, steps)
            return values

        given = {} if picture is None else {"image": fitted(picture, width, height)}
        output = pipeline(
            **given,
            prompt_embeds=embeddings[0].to(self.device),
            negative_prompt_embeds=embeddings[1].to(self.device),
            width=width,
            height=height,
            num_frames=((request.num_frames or self.config.num_frames) - 1) // 4 * 4 + 1,
            num_inference_steps=steps,
            guidance_scale=request.guidance or self.config.guidance,
            # Drawn on the CPU, so that a seed means the same on every device.
            generator=torch.Generator().manual_seed(request.seed),
            callback_on_step_end=on_step,
            output_type="np",
        )
        return (output.frames[0] * 255).round().astype(np.uint8)

    def _encode(self, request: VideoRequest, report: OnProgress) -> tuple[Tensor, Tensor]:
        """Prompt and negative prompt, [1, T, C] each, kept on the CPU for the next seed."""
        from diffusers import WanPipeline

        key = (request.prompt, request.negative_prompt)
        if key not in self._prompts:
            self._networks = None
            free_gpu_memory()
            report("reading the prompt", 0, 1)
            encoder = parts.load_text_encoder(self.folder, self.dtype)
            device = self.device if memory.FITS[self._fit].text_on_gpu else torch.device("cpu")
            reader = WanPipeline(
                tokenizer=parts.load_tokenizer(self.folder),
                text_encoder=encoder.to(device),
                vae=None,  # pyright: ignore[reportArgumentType]
                scheduler=None,  # pyright: ignore[reportArgumentType]
            )
            both = reader.encode_prompt(
                request.prompt,
                request.negative_prompt,
                max_sequence_length=self.config.text_tokens,
                device=device,
            )
            prompt, negative = both[0], both[1]
            assert prompt is not None
            assert negative is not None
            self._prompts[key] = prompt.cpu(), negative.cpu()
            del encoder, reader, both, prompt, negative
            free_gpu_memory()
            report("reading the prompt", 1, 1)
        return self._prompts[key]

    def _pipeline(self, with_picture: bool, report: OnProgress) -> Any:
        from diffusers import WanImageToVideoPipeline, WanPipeline

        if self._networks is None:
            report("loading the networks", 0, 2)
            fit = memory.FITS[self._fit]
            transformer = parts.load_transformer(self.folder, self.dtype)
            if fit.stream_blocks and self.device.type == "cuda":
                transformer.enable_group_offload(
                    onload_device=self.device, offload_type="block_level", num_blocks_per_group=1
                )
            else:
                transformer.to(self.device)
            report("loading the networks", 1, 2)
            vae = parts.load_vae(self.folder).to(self.device)
            if fit.tiles:
                vae.enable_tiling()
            self._networks = transformer, vae
            report("loading the networks", 2, 2)
        transformer, vae = self._networks
        pipeline = (WanImageToVideoPipeline if with_picture else WanPipeline)(
            tokenizer=None,  # pyright: ignore[reportArgumentType]
            text_encoder=None,  # pyright: ignore[reportArgumentType]
            vae=vae,
            transformer=transformer,
            scheduler=parts.load_scheduler(self.folder),
            expand_timesteps=parts.expands_timesteps(self.folder),
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def fitted(picture: np.ndarray, width: int, height: int) -> Image.Image:
    """The picture [H, W, 3] whole within `width` × `height`, on white."""
    image = Image.fromarray(picture)
    scale = min(width / image.width, height / image.height)
    small = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Image.Resampling.LANCZOS
    )
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return canvas
