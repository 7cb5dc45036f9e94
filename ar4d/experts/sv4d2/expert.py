"""SV4D 2.0 as an expert: `ClipToViews` (Yao, Xie et al., arXiv 2503.16396)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.hardware import (
    free_gpu_memory,
    half_precision,
    is_out_of_memory,
    missing_gpu,
    missing_libraries,
    missing_memory,
)
from ar4d.experts.protocols import Unavailable
from ar4d.experts.sv4d2 import autoencoder, clip_vision, framing, memory, sampler
from ar4d.experts.sv4d2.checkpoint import Networks, load_networks
from ar4d.experts.sv4d2.conditioning import Conditioning, angles, vector
from ar4d.experts.sv4d2.config import LATENT_CHANNELS, LATENT_SCALE, Sv4d2Config
from ar4d.experts.sv4d2.framing import Zoom
from ar4d.experts.sv4d2.passes import Pass, plan
from ar4d.reporting import OnProgress, OnViews
from ar4d.views import ViewGrid
from ar4d.weights.hub import fetch, why_unavailable

T = TypeVar("T")
SEED = 23  # the authors'
RAM_GIB = 8.0
"""All networks as they are run, and a tensor of the file on its way; with room."""
TRUST = 0.5
"""Trust in a generated view, relative to the clip."""


@dataclass(frozen=True)
class _Read:
    """What the networks take from the clip's frames, on the CPU."""

    zoom: Zoom
    clip: Tensor  # [F, context_dim]
    latents: Tensor  # [F, 4, h, w]


class Sv4d2:
    """Draws a clip's subject from other sides, a pass of T frames × V views at a time.

    Attributes:
        warnings: sentences about what had to be made smaller, for the caller to show.
        on_progress: called while it works, if set.
        on_views: called after every pass, if set.
    """

    can_continue = True
    """`imagine` takes `known`."""

    def __init__(self, config: Sv4d2Config, networks: Networks, device: torch.device | str) -> None:
        """
        Args:
            networks: on the CPU; they visit the device when they are needed.
            device: CUDA in half precision; a CPU is for tests.
        """
        self.config, self.networks, self.device = config, networks, torch.device(device)
        self.warnings: list[str] = []
        self.on_progress: OnProgress | None = None
        self.on_views: OnViews | None = None
        self._fit = memory.first_fit(config.name, self.device)
        self._placed: int | None = None

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def azimuths_deg(self) -> tuple[float, ...]:
        """Azimuths of the views in its grid, degrees, the clip's own first."""
        return (0.0, *self.config.azimuths_deg)

    @staticmethod
    def available(
        config: Sv4d2Config, device: torch.device | str, folder: Path | None = None
    ) -> Unavailable | None:
        """Why it cannot run, or None if it can.

        Args:
            device: where it would run.
            folder: where the user keeps the release; None: the model hub and its cache.
        """
        unavailable = (
            missing_gpu(config.name, device, memory.least_gib(config.name))
            or missing_memory(config.name, RAM_GIB)
            or missing_libraries(config.name, "diffusers", "transformers", "accelerate")
        )
        if unavailable is not None:
            return unavailable
        reason = why_unavailable(config.release, folder)
        return None if reason is None else Unavailable(reason)

    @classmethod
    def load(
        cls,
        config: Sv4d2Config,
        device: torch.device | str,
        folder: Path | None = None,
        *,
        azimuths_deg: Sequence[float] | None = None,
    ) -> Sv4d2:
        """Loads the published weights.

        Args:
            folder: where the user keeps the release; None: the model hub and its cache.
            azimuths_deg: V azimuths to draw instead of those the model was trained on.

        Raises:
            UserError: the weights cannot be found or fetched or do not fit, or there are not V azimuths.
        """
        if azimuths_deg is not None:
            config = _with_azimuths(config, azimuths_deg)
        path = fetch(config.release, folder) / config.release.files[0]
        return cls(config, load_networks(path, config, half_precision(device)), device)

    @torch.no_grad()
    def imagine(
        self,
        clip: Tensor,
        frozen: Tensor | None = None,
        elevation_deg: float = 0.0,
        seed: int = SEED,
        *,
        known: Tensor | None = None,
    ) -> ViewGrid:
        """Draws the clip's subject from the other azimuths (see `ClipToViews`).

        Args:
            clip: [F, S, S, 4] in [0, 1], straight alpha, F at least 1.
            frozen: not used: in the first pass the network has no reference views.
            elevation_deg: of the clip's camera; the views have the same.
            seed: of the noise.
            known: [V, K, S, S, 4], views of the first K frames that a run before this one drew.

        Returns:
            V + 1 rows at the clip's own size.

        Raises:
            UserError: the clip shows nothing, or memory runs out in the smallest way, too.
        """
        read = self._retrying(lambda: self._read(clip))
        sigmas = sampler.noise_levels(self.config.steps)
        views = self._views(clip, read, known, None, sigmas, torch.Generator().manual_seed(seed))
        return self._grid(clip, views, elevation_deg)

    @torch.no_grad()
    def draw_over(self, clip: Tensor, views: ViewGrid, noise: float, seed: int = SEED) -> ViewGrid:
        """Noises the views and denoises them (see `DrawsOver`): x = z + σ ε at the level `noise`.

        Raises:
            UserError: the views lack one of the expert's azimuths, or as `imagine`.
        """
        rows = [views.row(azimuth) for azimuth in self.config.azimuths_deg]
        if None in rows:
            missing = self.config.azimuths_deg[rows.index(None)]
            raise UserError(f"{self.name} has no view at {missing:g}° to draw over; render one there.")
        read = self._retrying(lambda: self._read(clip))
        over = torch.stack([views.rgba[row].to(clip) for row in rows if row is not None])
        sigmas = sampler.noise_levels_from(noise, self.config.steps)
        drawn = self._views(clip, read, None, over, sigmas, torch.Generator().manual_seed(seed))
        return self._grid(clip, drawn, float(views.elevations_deg[0]))

    def _grid(self, clip: Tensor, views: Tensor, elevation_deg: float) -> ViewGrid:
        count = len(self.azimuths_deg)
        trust = torch.full((count, len(clip)), TRUST)
        trust[0] = 1.0
        return ViewGrid(
            rgba=torch.cat([clip[None].to(views), views]),
            azimuths_deg=torch.tensor(self.azimuths_deg),
            elevations_deg=torch.full((count,), elevation_deg),
            trust=trust,
        )

    def _views(
        self,
        clip: Tensor,
        read: _Read,
        known: Tensor | None,
        over: Tensor | None,
        sigmas: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """[V, F, S, S, 4], pass by pass.

        Args:
            over: [V, F, S, S, 4] to begin with; None: with noise alone.
            sigmas: noise levels, falling to 0.
        """
        config = self.config
        views = torch.zeros(config.views, *clip.shape)
        have = 0 if known is None else known.shape[1]
        if known is not None:
            views[:, :have] = known
        parts = plan(len(clip), config.frames)
        reference: Tensor | None = None  # [V, 3, size, size]: the next pass's first frame
        for number, part in enumerate(parts, start=1):
            noise = torch.randn(
                config.frames * config.views,
                LATENT_CHANNELS,
                config.latent_size,
                config.latent_size,
                generator=generator,  # on the CPU, so that a seed means the same on every device
            )
            if part.drawn.stop <= have:
                continue
            if reference is None and part.start > 0:
                reference = framing.zoomed(views[:, part.start], read.zoom)
            task = f"views, pass {number} of {len(parts)}"
            pictures = self._retrying(
                lambda part=part, noise=noise, reference=reference, task=task: self._draw(
                    read, part, self._start(noise, read, part, over, sigmas), sigmas, reference, task
                )
            )  # [frames, V, 3, size, size]
            views[:, part.drawn.start : part.drawn.stop] = torch.stack(
                [framing.restored(framing.cut_out(view), read.zoom) for view in pictures.unbind(1)]
            )
            if part.kept.stop < len(clip):
                reference = pictures[part.kept.stop - part.start]
            if self.on_views is not None:
                self.on_views(part.drawn, views[:, part.drawn.start : part.drawn.stop])
        return views

    def _read(self, clip: Tensor) -> _Read:
        zoom = framing.find_zoom(clip[..., 3], self.config.size)
        tower = self.networks.clip.to(self.device)
        encoder = self.networks.autoencoder.to(self.device)
        tokens, latents = [], []
        for done, frame in enumerate(clip, start=1):
            picture = framing.zoomed(frame[None], zoom)
            tokens.append(clip_vision.embed(tower, picture).cpu())
            latents.append(autoencoder.encode(encoder, picture).cpu())
            self._report("reading the clip", done, len(clip))
        self.networks.clip.to("cpu")
        return _Read(zoom, torch.cat(tokens), torch.cat(latents))

    def _start(self, noise: Tensor, read: _Read, part: Pass, over: Tensor | None, sigmas: Tensor) -> Tensor:
        """[T*V, 4, h, w] latents at the first noise level: of noise, or of noised views of a pass."""
        if over is None:
            return sampler.start(noise)
        self._place()
        pictures = [framing.zoomed(view[self._frames(part)], read.zoom) for view in over]
        encoder = self.networks.autoencoder
        latents = torch.stack([autoencoder.encode(encoder, view).cpu() for view in pictures], dim=1)
        return LATENT_SCALE * latents.flatten(0, 1) + sigmas[0] * noise

    def _frames(self, part: Pass) -> Tensor:
        """[T] indices of a pass's frames; the last one is repeated where the clip ends."""
        return torch.arange(part.start, part.start + self.config.frames).clamp(max=part.drawn.stop - 1)

    def _draw(
        self,
        read: _Read,
        part: Pass,
        start: Tensor,
        sigmas: Tensor,
        reference: Tensor | None,
        task: str,
    ) -> Tensor:
        """[frames, V, 3, size, size] in [0, 1], on white, float32, on the CPU."""
        config, networks = self.config, self.networks
        self._place()
        polar, azimuth = angles(config.azimuths_deg, [0.0] * config.views)
        frames = self._frames(part)
        conditioning = Conditioning(
            clip=read.clip[frames],
            concat=read.latents[frames],
            vector=vector(polar, azimuth, config.frames, config.denoiser),
            reference=torch.zeros(config.views, *start.shape[1:])
            if reference is None
            else autoencoder.encode(networks.view_encoder, reference),
        )
        latents = sampler.sample(
            networks.unet,
            start.to(self.device),
            conditioning,
            sampler.guidance(config),
            sigmas,
            halves_at_once=memory.FITS[self._fit].halves_at_once,
            on_step=lambda done, steps: self._report(task, done, steps),
        )
        if not latents.isfinite().all():
            raise UserError(
                f"{self.name} made numbers that are not finite; check the weights with `python -m ar4d fetch "
                "--verify`, and take another seed or another expert."
            )
        drawn = latents.unflatten(0, (config.frames, config.views))[: part.length]
        return torch.stack([autoencoder.decode(networks.autoencoder, frame).cpu() for frame in drawn])

    def _place(self) -> None:
        """Brings the networks to where the present way of using the memory has them."""
        if self._placed == self._fit:
            return
        fit, unet = memory.FITS[self._fit], self.networks.unet
        unet.set_tokens_at_once(fit.tokens_at_once)
        if fit.stream_blocks:
            memory.stream(unet.to("cpu"), self.device)
        else:
            unet.to(self.device)
        self.networks.autoencoder.to(self.device)
        self.networks.view_encoder.to(self.device)
        self._placed = self._fit

    def _retrying(self, work: Callable[[], T]) -> T:
        """Does the work; on a full memory it begins again in the next smaller way.

        Raises:
            UserError: memory runs out in the smallest way, too.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._next_fit()

    def _next_fit(self) -> None:
        for network in (self.networks.clip, self.networks.unet):
            if not memory.FITS[self._fit].stream_blocks:
                network.to("cpu")
        free_gpu_memory()
        was = memory.FITS[self._fit]
        if self._fit + 1 == len(memory.FITS):
            raise UserError(
                f"Memory ran out in {self.name} even with {was.name}; close other programs that use it, or "
                "take another expert."
            )
        self._fit += 1
        now = memory.FITS[self._fit]
        self.warnings.append(f"Memory ran out in {self.name}: it goes on with less ({now.name}).")

    def _report(self, task: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(task, done, total)


def _with_azimuths(config: Sv4d2Config, azimuths_deg: Sequence[float]) -> Sv4d2Config:
    if len(azimuths_deg) != config.views:
        raise UserError(
            f"{config.name} draws {config.views} views at a time and {len(azimuths_deg)} azimuths were "
            f"given; give {config.views}."
        )
    return dataclasses.replace(config, azimuths_deg=tuple(float(a) for a in azimuths_deg))
