"""The expert `star`: a clip becomes Gaussians that move, frame by frame, without optimisation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.errors import UserError
from ar4d.experts.embedded import Embedded
from ar4d.experts.grid.guess import guess_frame
from ar4d.experts.protocols import Unavailable
from ar4d.experts.star.codec import window_codes
from ar4d.experts.star.history import context_of
from ar4d.experts.star.sampling import Sampler, sample_group
from ar4d.experts.star.shown import ShownByClip
from ar4d.experts.star.splats import Splats
from ar4d.experts.star.weights import Networks, found_weights, load_networks
from ar4d.experts.surfels import to_world
from ar4d.gaussians import Gaussians
from ar4d.images import premultiply

WEIGHTS_VARIABLE = "AR4D_STAR_WEIGHTS"
"""Environment variable that names a weights file to use in place of the project's own."""

LIKELIEST = Sampler(temperature=0.0)


@dataclass(frozen=True, eq=False)
class PredictedFrame:
    """One frame as it is predicted."""

    codes: Tensor | None  # [V - 1, tokens, codebooks] of the unseen views; None from an expert without codes
    gaussians: Gaussians | None  # None where only the codes were wanted


@dataclass(frozen=True, eq=False)
class Star4D:
    """`ClipToGaussians`, and `predict`, which hands out each frame as soon as it exists."""

    networks: Networks
    device: torch.device
    embedded: Embedded | None = None
    """Guesses the unseen views of each frame, where the networks predict from that."""
    name: str = "star"

    @staticmethod
    def available(device: torch.device) -> Unavailable | None:
        """Why the expert cannot run, or None if it can."""
        try:
            found_weights(_named_weights())
        except UserError as error:
            return Unavailable(str(error))
        return None

    @staticmethod
    def load(device: torch.device, weights: Path | None = None) -> Star4D:
        """Loads a weights file: the one given, that of the environment, or the project's own.

        Raises:
            UserError: there is none, or it is damaged.
        """
        networks = load_networks(found_weights(weights or _named_weights()), device)
        return Star4D(networks, device, Embedded.load(device) if networks.star.config.guess else None)

    def animate(self, clip: Tensor, budget: int, elevation_deg: float, seed: int) -> list[Gaussians]:
        """See `ClipToGaussians.animate`."""
        frames = self.predict(clip, budget, elevation_deg, seed)
        return [frame.gaussians for frame in frames if frame.gaussians is not None]

    @torch.no_grad()
    def predict(
        self,
        clip: Tensor,
        budget: int,
        elevation_deg: float,
        seed: int,
        known: Tensor | None = None,
        finished: int = 0,
        sampler: Sampler = LIKELIEST,
    ) -> Iterator[PredictedFrame]:
        """Predicts the frames in order.

        Args:
            clip: [F, S, S, 4] straight alpha in [0, 1].
            budget: about how many Gaussians are wanted.
            elevation_deg: of the reference camera. The networks know level cameras only, so what they make
                for a level one is tilted.
            seed: of the sampling; each frame has a generator of its own, so that a later start continues
                with the same frames.
            known: [K, V - 1, tokens, codebooks] codes of the first frames, which are not predicted.
            finished: frames whose Gaussians exist already; only their codes are handed out.
            sampler: how codes are drawn.

        Raises:
            UserError: the first frame is empty, or the known codes do not fit the networks.
        """
        codec, star = self.networks.codec, self.networks.star
        clip = clip.to(self.device).float()
        seen = self._encoded(clip[:1])  # [frames needed so far, N, K]
        unseen = self._checked(known, len(clip))
        embedded = None if self.embedded is None else self.embedded.with_clip(clip)
        shown: ShownByClip | None = None
        for k in range(len(clip)):
            needed = range(len(seen), min(k + 1 + star.config.ahead, len(clip)))
            seen = torch.cat([seen, *(self._encoded(clip[i : i + 1]) for i in needed)])
            if k == len(unseen):
                context = context_of(seen[None], unseen.flatten(1, 2)[None], k, codec.config, star.config)
                if embedded is not None:
                    context = replace(context, guess=self._guess(embedded, clip[k]))
                random = torch.Generator(self.device).manual_seed((seed << 20) + k)
                group = star.by_view(sample_group(star, context, sampler, random))
                unseen = torch.cat([unseen, group])
            if shown is None:
                first = self._splats(seen, unseen, 0)
                shown = ShownByClip(first, clip, budget, codec.config)
            made = None
            if k >= finished:
                splats = self._splats(seen, unseen, k)
                made = to_world(shown.at(splats, clip[k]), elevation_deg)
            yield PredictedFrame(unseen[k].cpu(), made)

    def _guess(self, embedded: Embedded, frame: Tensor) -> Tensor:
        """Codes [1, G, K] of the guess of a frame [S, S, 4]."""
        codec, star = self.networks.codec, self.networks.star
        views = guess_frame(embedded, frame, codec.config.size).to(self.device)
        return star.ordered(codec.encode(views).codes[None])

    def _splats(self, seen: Tensor, unseen: Tensor, frame: int) -> Splats:
        """The Gaussians of a frame, one set."""
        codec = self.networks.codec
        codes = torch.cat([seen[: frame + 1, None], unseen[: frame + 1]], 1)
        window = codec.decode(window_codes(codes, frame, codec.config.window))
        return Splats(*(part[-1:] for part in vars(window).values()))

    def _encoded(self, frames: Tensor) -> Tensor:
        """The codes [F, N, K] of frames [F, S, S, 4] of the clip."""
        codec = self.networks.codec
        light = premultiply(frames).permute(0, 3, 1, 2)
        return codec.encode(F.interpolate(light, size=(codec.config.size,) * 2, mode="area")).codes

    def _checked(self, known: Tensor | None, num_frames: int) -> Tensor:
        """The known codes, or none of them.

        Raises:
            UserError: they are not codes of these networks.
        """
        config = self.networks.codec.config
        shape = (config.views - 1, config.tokens, config.codebooks)
        if known is None:
            return torch.zeros(0, *shape, dtype=torch.long, device=self.device)
        codes = known.to(self.device, torch.long)
        if codes.shape[1:] != shape or len(codes) > num_frames:
            raise UserError(
                "The stored tokens are of other networks or of another clip; delete the run's folder "
                "tokens and resume, and they are predicted again."
            )
        wrong = ((codes < 0) | (codes >= config.entries)).flatten(1).any(1).nonzero()
        if len(wrong):
            raise UserError(
                f"The stored tokens of frame {int(wrong[0]) + 1} are out of range "
                f"(0 to {config.entries - 1}); delete the run's folder tokens and resume, and they are "
                "predicted again."
            )
        return codes


def _named_weights() -> Path | None:
    name = os.environ.get(WEIGHTS_VARIABLE)
    return Path(name) if name else None
