"""The grid network as an expert: `ClipToViews` and `DrawsOver`, after 4Real-Video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.embedded import Embedded, EmbeddedViews
from ar4d.experts.grid import checkpoint
from ar4d.experts.grid.checkpoint import Sampling
from ar4d.experts.grid.conditions import (
    GUESSED,
    KNOWN,
    Condition,
    Given,
    column,
    from_network,
    refine,
    to_network,
    transfer,
)
from ar4d.experts.grid.flow import euler, noise_levels, noise_levels_from
from ar4d.experts.grid.guess import EMPTY, guess_frame, shrunk
from ar4d.experts.grid.network import GridNetwork
from ar4d.experts.grid.pictures import decided
from ar4d.experts.grid.windows import Window, plan
from ar4d.experts.protocols import Unavailable
from ar4d.images import premultiply, unpremultiply
from ar4d.reporting import OnProgress, OnViews
from ar4d.views import ViewGrid

TRUST = 0.5
"""Trust in a drawn view, relative to the clip."""
TOUCHING = 0.5
"""Alpha at the picture's border from which the subject counts as cut off."""


@dataclass(eq=False)
class GridExpert:
    """Draws a clip from the network's azimuths, a window of views and times at once."""

    network: GridNetwork
    sampling: Sampling
    embedded: Embedded
    device: torch.device
    condition: Condition = "refine"
    """What the network is given (`conditions`). refine: the embedded expert's guess of every frame, or a hint
    where `imagine` has one; column: the hint alone; transfer: the hint as if it were true."""
    name: str = "grid"
    on_progress: OnProgress | None = None
    on_views: OnViews | None = None
    warnings: list[str] = field(default_factory=list)
    can_continue: bool = True
    """`imagine` takes `known`."""

    @staticmethod
    def available(device: torch.device) -> Unavailable | None:
        """Why it cannot run, or None if it can."""
        if checkpoint.find_weights() is None:
            return Unavailable(
                "the expert grid needs a file of weights, which does not come with the program: "
                f"{checkpoint.MAKE}, and set {checkpoint.VARIABLE} to it."
            )
        return Embedded.available(device)

    @staticmethod
    def load(
        device: torch.device, condition: Condition = "refine", azimuths_deg: Sequence[float] | None = None
    ) -> GridExpert:
        """Loads the weights that `checkpoint.find_weights` finds.

        Args:
            azimuths_deg: that are wanted; None: those the network was trained for.

        Raises:
            UserError: the file is damaged, or the network was not trained for these azimuths.
        """
        path = checkpoint.find_weights()
        if path is None:
            raise UserError(
                f"The expert grid has no weights: {checkpoint.MAKE}, and set {checkpoint.VARIABLE} to it."
            )
        network, sampling = checkpoint.load(path)
        trained = network.config.azimuths_deg
        if azimuths_deg is not None and tuple(float(a) for a in azimuths_deg) != trained:
            raise UserError(
                f"The grid network was trained for views at {_degrees(trained)} and cannot draw them at "
                f"{_degrees(azimuths_deg)}; take these, or train one for the others."
            )
        return GridExpert(network.to(device), sampling, Embedded.load(device), device, condition)

    @property
    def azimuths_deg(self) -> tuple[float, ...]:
        """See `ClipToViews.azimuths_deg`."""
        return self.network.config.azimuths_deg

    def with_clip(self, clip: Tensor, facing_deg: float | None = None) -> GridExpert:
        """See `ClipAware.with_clip`."""
        return replace(self, embedded=self.embedded.with_clip(clip, facing_deg))

    @property
    def facing_estimate(self) -> tuple[float, float] | None:
        """See `ClipAware.facing_estimate`."""
        return self.embedded.facing_estimate

    @torch.no_grad()
    def imagine(
        self,
        clip: Tensor,
        frozen: Tensor | None,
        elevation_deg: float,
        seed: int,
        *,
        known: Tensor | None = None,
    ) -> ViewGrid:
        """Draws the clip's subject from the other azimuths (see `ClipToViews`).

        Args:
            clip: [F, S, S, 4] in [0, 1], straight alpha, F at least 1. frozen: [V, S, S, 4] renders of one
            frame's Gaussians, straight alpha; which frame, its view 0 tells. elevation_deg: of the clip's
            camera; the views have the same. seed: of the noise. known: [V - 1, K, S, S, 4], views of the
            first K frames that an earlier run drew.

        Raises:
            UserError: the clip shows nothing, or the hint has other views than the network.
        """
        self._check(clip, frozen)
        drawing = _Drawing(self, clip, elevation_deg, seed)
        first = 0
        if known is not None:
            drawing.take(known)
        elif frozen is not None:
            first = int((clip - frozen[0].to(clip)).square().mean((1, 2, 3)).argmin())
            drawing.hint(first, frozen)
        elif self.condition != "refine":
            drawing.hint(0, None)
        if first:
            drawing.run(range(first, -1, -1), 0)
        drawing.run(range(first, len(clip)), 1 if first else drawing.num_done)
        return drawing.grid()

    @torch.no_grad()
    def draw_over(self, clip: Tensor, views: ViewGrid, noise: float, seed: int) -> ViewGrid:
        """Noises the views and denoises them (see `DrawsOver`).

        x + s ε of variance-exploding diffusion is z_σ / (1 - σ) of rectified flow at σ = s / (1 + s).

        Raises:
            UserError: the views lack one of the expert's azimuths.
        """
        rows = [views.row(azimuth) for azimuth in self.azimuths_deg]
        if None in rows:
            missing = self.azimuths_deg[rows.index(None)]
            raise UserError(f"The expert grid has no view at {missing:g}° to draw over; render one there.")
        self._check(clip, None)
        drawing = _Drawing(self, clip, float(views.elevations_deg[0]), seed, noise / (1 + noise))
        for k in range(len(clip)):
            drawing.hint(k, torch.stack([views.rgba[row, k] for row in rows if row is not None]))
        drawing.run(range(len(clip)), 0)
        return drawing.grid()

    def _check(self, clip: Tensor, frozen: Tensor | None) -> None:
        alpha = clip[..., 3]
        if float(alpha.max()) <= EMPTY:
            raise UserError(
                "No frame of the clip shows anything: every pixel is transparent; cut it out again."
            )
        views = len(self.azimuths_deg)
        if frozen is not None and len(frozen) != views:
            raise UserError(f"The grid network draws {views} views and was given a hint of {len(frozen)}.")
        rim = torch.stack([alpha[:, 0], alpha[:, -1], alpha[:, :, 0], alpha[:, :, -1]])
        touching = int((rim > TOUCHING).any(2).any(0).sum())
        if touching:
            self.warnings.append(
                f"The subject touches the picture's border in {touching} of {len(clip)} frames: what is cut "
                "off there is missing from the other sides, too."
            )


class _Drawing:
    """A grid on its way, in the network's range and size."""

    def __init__(
        self, expert: GridExpert, clip: Tensor, elevation_deg: float, seed: int, sigma: float = 1.0
    ) -> None:
        """
        Args:
            sigma: noise level at which sampling starts from the hints; 1: from noise alone.
        """
        self.expert, self.clip, self.elevation_deg, self.sigma = expert, clip, elevation_deg, sigma
        self.config = config = expert.network.config
        size = config.height
        small = shrunk(premultiply(clip.float()).permute(0, 3, 1, 2), size)
        self.pictures = torch.zeros(config.views, len(clip), *small.shape[1:], device=expert.device)
        self.pictures[0] = to_network(small).to(expert.device)
        self.exists = torch.zeros(len(clip), dtype=torch.bool)
        self.hints: dict[int, Tensor] = {}  # [V, 4, size, size] in the network's range, by frame
        # One noise for all windows, so that neighbouring ones differ less; from the CPU on every device.
        shape = config.views, config.times, *small.shape[1:]
        self.noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(expert.device)
        self.reported = 0

    @property
    def num_done(self) -> int:
        """Frames, the first ones, of which all views exist."""
        missing = (~self.exists).nonzero()
        return int(missing[0]) if len(missing) else len(self.exists)

    def take(self, known: Tensor) -> None:
        """Views [V - 1, K, S, S, 4] of the first frames, straight alpha, of an earlier run."""
        self.pictures[1:, : known.shape[1]] = self._from_straight(known)
        self.exists[: known.shape[1]] = True
        self.reported = known.shape[1]

    def hint(self, frame: int, views: Tensor | None) -> None:
        """Views [V, S, S, 4] of a frame, straight alpha, that are not the truth; None: the guess."""
        self.hints[frame] = self._guess(frame) if views is None else self._from_straight(views)

    def run(self, frames: Sequence[int], done: int) -> None:
        """Draws what is missing of some frames, in their order.

        Args:
            done: frames, the first ones, that exist.
        """
        config = self.config
        windows = plan(config.views, frames, config.views, config.times, max(1, config.times // 2), done)
        for window in windows:
            drawn = self._draw(window)
            for view, time in window.made:
                empty = float(self.clip[time, ..., 3].max()) <= EMPTY
                picture = drawn[window.views.index(view), window.times.index(time)]
                self.pictures[view, time] = to_network(torch.zeros_like(picture)) if empty else picture
            self.exists[list(window.times)] = True
            self._report()

    def grid(self) -> ViewGrid:
        """The finished grid at the clip's size."""
        count = self.config.views
        trust = torch.full((count, len(self.clip)), TRUST)
        trust[0] = 1.0
        return ViewGrid(
            rgba=torch.cat([self.clip[None].cpu().float(), self._to_straight(self.pictures[1:])]),
            azimuths_deg=torch.tensor(self.config.azimuths_deg),
            elevations_deg=torch.full((count,), self.elevation_deg),
            trust=trust,
        )

    def _draw(self, window: Window) -> Tensor:
        """[V, T, 4, size, size] of a window, sampled."""
        given = self._given(window)
        flags, shown = given.flags, given.pictures
        noise = self.noise[: len(window.views), : len(window.times)][None]
        steps = self.expert.sampling.steps
        # Drawing over adds the noise that was asked for, at the level that the network is told.
        temperature = self.expert.sampling.temperature if self.sigma >= 1 else 1.0
        start = (1 - self.sigma) * shown + self.sigma * temperature * noise
        sigmas = noise_levels(steps) if self.sigma >= 1 else noise_levels_from(self.sigma, steps)
        network = self.expert.network

        def denoise(z: Tensor, sigma: Tensor) -> Tensor:
            return network(z, shown, flags, sigma.to(z))

        drawn = euler(denoise, start, sigmas.to(shown))[0]
        light = from_network(drawn)  # within what pictures can be
        return to_network(decided(light) if self.expert.sampling.decided else light)

    def _given(self, window: Window) -> Given:
        """What the window's cells hold: the clip, what was drawn before, and what the condition adds."""
        views, times = list(window.views), list(window.times)
        clip = self.pictures[0, times][None]
        if self.expert.condition == "refine" or self.sigma < 1:
            guess = torch.stack([self._hint_or_guess(time) for time in times], 1)
            given = refine(clip, guess[views][None])
        else:
            hint = self.hints.get(times[0], self.pictures[:, times[0]])
            make = column if self.expert.condition == "column" else transfer
            given = make(clip, hint[views][None])
        for row, known in enumerate(window.known):
            for place, there in enumerate(known):
                if there:
                    given.pictures[0, row, place] = self.pictures[views[row], times[place]]
                    given.flags[0, row, place, KNOWN] = 1
                    given.flags[0, row, place, GUESSED] = 0
        return given

    def _hint_or_guess(self, frame: int) -> Tensor:
        return self.hints[frame] if frame in self.hints else self._guess(frame)

    def _guess(self, frame: int) -> Tensor:
        """[V, 4, size, size] in the network's range: the embedded expert's guess."""
        embedded, rgba, size = self.expert.embedded, self.clip[frame], self.config.height
        if self.elevation_deg == 0:
            return to_network(guess_frame(embedded, rgba, size)).to(self.pictures)
        renders = EmbeddedViews(embedded, self.config.azimuths_deg)
        return self._from_straight(renders.imagine(rgba[None], None, self.elevation_deg, 0).rgba[:, 0])

    def _from_straight(self, rgba: Tensor) -> Tensor:
        """[..., 4, size, size] in the network's range of [..., S, S, 4] straight alpha."""
        light = premultiply(rgba.float()).movedim(-1, -3)
        return to_network(shrunk(light, self.config.height)).to(self.pictures)

    def _to_straight(self, pictures: Tensor) -> Tensor:
        """[..., S, S, 4] straight alpha at the clip's size of the network's pictures, on the CPU."""
        light = shrunk(from_network(pictures), self.clip.shape[1]).movedim(-3, -1)
        return unpremultiply(light).clamp(0, 1).cpu()

    def _report(self) -> None:
        expert, done = self.expert, self.num_done
        if expert.on_progress is not None:
            expert.on_progress("views", int(self.exists.sum()), len(self.clip))
        if expert.on_views is not None and done > self.reported:
            frames = range(self.reported, done)
            self.reported = done
            expert.on_views(frames, self._to_straight(self.pictures[1:, frames.start : frames.stop]))


def _degrees(azimuths_deg: Sequence[float]) -> str:
    return ", ".join(f"{azimuth:g}°" for azimuth in azimuths_deg)
