"""Sec. 4's optimisation: first the Gaussians of one frame, then their motion, then both once more."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ar4d.asset import frame_time
from ar4d.deformation import NodeField, global_field
from ar4d.engines.ar4d.fitting import REPORT_EVERY, FallingAdam, random_stream, seed_networks
from ar4d.engines.ar4d.rigidity import NodeGraph
from ar4d.engines.sv4d2.losses import StepLoss, load_lpips
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.sampling import FrameSampler, newest_frame, view_rows
from ar4d.engines.sv4d2.settings import SV4D2Settings
from ar4d.engines.sv4d2.view_offsets import ViewOffsets
from ar4d.evaluation.lpips import Lpips
from ar4d.events import Event, FrameFinished, StageFinished, StageStarted, Step
from ar4d.gaussians import Gaussians
from ar4d.losses import psnr, ssim
from ar4d.parameters import Parameters
from ar4d.rendering import render
from ar4d.settings import LearningRates

STATIC, DYNAMIC, SECOND = 1, 2, 3  # places of the random streams


@dataclass(eq=False)
class Fit:
    """The Gaussians that move, and what they are fitted to.

    Its phases are generators of events; each begins where the one before it ended.
    """

    parameters: Parameters
    field: NodeField | None
    """None before the dynamic phase."""
    pictures: Pictures
    settings: SV4D2Settings
    num_reported: int
    """Frames that were stored before this run: they are not reported again."""
    lpips: Lpips | None = None
    """The metric, where the loss has such a term."""
    offsets: ViewOffsets | None = None
    """Of the generated views while they are fitted; None: they have none."""

    @staticmethod
    def of(first: Gaussians, pictures: Pictures, settings: SV4D2Settings, num_reported: int) -> Fit:
        """Starts from an expert's Gaussians of the first frame."""
        parameters = Parameters.of(first, sigmoid_colors=True)
        return Fit(
            parameters,
            None,
            pictures,
            settings,
            num_reported,
            load_lpips(settings.loss, settings.view_size, first.means.device),
        )

    def gaussians(self, frame: int) -> Gaussians:
        """The Gaussians at a frame's time."""
        if self.field is None:
            return self.parameters.activated()
        return self.parameters.activated(self.field, frame_time(frame, self.pictures.num_frames))

    def static(self) -> Generator[Event, None, None]:
        """The first frame alone, all pictures alike."""
        options, started = self.settings.static, time.perf_counter()
        steps = options.iterations if options.enabled else 0
        yield StageStarted("initialize", steps)
        random = random_stream(self.settings.seed, STATIC)
        optimizer = self._optimizer(max(steps, 1), options.rates, options.decay, None)
        loss = StepLoss(self.pictures, self.settings.loss, weigh=False, lpips=self.lpips)
        for u in range(steps):
            rows = view_rows(self.pictures, 0, True, random)
            value = loss.at(self.gaussians(0), 0, rows, u)
            optimizer.step(value, u)
            yield from self._step("initialize", 0, u, steps, value)
        yield from self._frame_finished("initialize", 0, time.perf_counter() - started)
        yield StageFinished("initialize", time.perf_counter() - started)

    def dynamic(self) -> Generator[Event, None, None]:
        """Gaussians and motion, over a window of frames that grows from the first two to all."""
        options, pictures, started = self.settings.dynamic, self.pictures, time.perf_counter()
        yield StageStarted("generate", options.iterations)
        self.field = self._new_field()
        self.offsets = self._new_offsets(self.field)
        optimizer = self._optimizer(options.iterations, options.rates, options.decay, options.field.lr)
        random = random_stream(self.settings.seed, DYNAMIC)
        frames = FrameSampler(random)
        loss = StepLoss(pictures, self.settings.loss, weigh=True, offsets=self.offsets, lpips=self.lpips)
        rigidity = self._rigidity()
        newest, since = newest_frame(0, pictures.num_frames, options), time.perf_counter()
        for u in range(options.iterations):
            wanted = newest_frame(u, pictures.num_frames, options)
            for k in range(newest, wanted):
                yield from self._frame_finished("generate", k, time.perf_counter() - since)
                since = time.perf_counter()
                self._begin_frame(k + 1)
            newest = wanted
            frame, value = 0, torch.zeros(())
            for _ in range(options.frames_per_step):
                frame = frames.next(newest)
                rows = view_rows(pictures, frame, options.orthogonal_views, random)
                value = value + self._at(loss, rigidity, frame, rows, u)
            optimizer.step(value / options.frames_per_step, u)
            yield from self._step("generate", None, u, options.iterations, value / options.frames_per_step)
        for k in range(newest if options.progressive_frames else 1, pictures.num_frames):
            yield from self._frame_finished("generate", k, time.perf_counter() - since)
        yield StageFinished("generate", time.perf_counter() - started)

    def second_stage(self) -> Generator[Event, None, None]:
        """All frames once more, against views that the expert has drawn over the renders."""
        options, pictures, started = self.settings.second_stage, self.pictures, time.perf_counter()
        yield StageStarted("refine", options.iterations)
        random = random_stream(self.settings.seed, SECOND)
        optimizer = self._optimizer(options.iterations, options.rates, options.decay, options.field_lr)
        loss = StepLoss(pictures, self.settings.loss, weigh=True, offsets=self.offsets, lpips=self.lpips)
        rigidity = self._rigidity()
        order: list[int] = []
        for u in range(options.iterations):
            order = order or random.permutation(pictures.num_frames).tolist()
            frame = order.pop()
            rows = view_rows(pictures, frame, self.settings.dynamic.orthogonal_views, random)
            value = self._at(loss, rigidity, frame, rows, u)
            optimizer.step(value, u)
            yield from self._step("refine", None, u, options.iterations, value)
        yield StageFinished("refine", time.perf_counter() - started)

    def _at(self, loss: StepLoss, rigidity: NodeGraph | None, frame: int, rows: list[int], u: int) -> Tensor:
        value = loss.at(self.gaussians(frame), frame, rows, u)
        if rigidity is None or self.field is None:
            return value
        return value + rigidity.energy(self.field.at_nodes(frame_time(frame, self.pictures.num_frames)))

    def _optimizer(
        self, steps: int, rates: LearningRates, decay: float, field_lr: float | None
    ) -> FallingAdam:
        optimizer = FallingAdam(steps)
        for tensor, lr in self.parameters.trainable(rates):
            optimizer.add([tensor], lr, decay)
        if self.field is not None and field_lr is not None:
            final = self.settings.dynamic.field.lr_final / self.settings.dynamic.field.lr
            optimizer.add(self.field.parameters(), field_lr, final)
            if self.offsets is not None:
                optimizer.add(self.offsets.parameters(), field_lr, final)
        return optimizer.start()

    def _new_field(self) -> NodeField:
        seed_networks(self.settings.seed, DYNAMIC)
        means = self.parameters.means.detach()
        field = global_field(self.settings.dynamic.field, means.expand(self.pictures.num_frames, -1, -1))
        assert isinstance(field, NodeField)
        return field

    def _new_offsets(self, field: NodeField) -> ViewOffsets | None:
        if not self.settings.dynamic.view_offsets or self.pictures.num_views == 0:
            return None
        return ViewOffsets(field, self.pictures.num_views)

    def _rigidity(self) -> NodeGraph | None:
        weight = self.settings.loss.rigidity
        if self.field is None or weight == 0:
            return None
        nodes = self.field.nodes
        return NodeGraph.of(nodes, nodes.new_zeros(len(nodes)), weight, weight)

    @torch.no_grad()
    def _begin_frame(self, frame: int) -> None:
        """A frame that enters the window begins where the one before it is."""
        if self.field is not None and self.field.settings.kind == "node-table":
            self.field.table[frame] = self.field.table[frame - 1]

    def _step(self, stage: str, frame: int | None, u: int, total: int, loss: Tensor) -> Iterator[Event]:
        if (u + 1) % REPORT_EVERY == 0 or u + 1 == total:
            yield Step(stage, frame, u + 1, total, loss.item(), self._quality(frame or 0)[0])

    def _frame_finished(self, stage: str, frame: int, seconds: float) -> Iterator[Event]:
        if frame < self.num_reported:
            return
        with torch.no_grad():
            gaussians = self.gaussians(frame).detach()
        yield FrameFinished(stage, frame, gaussians, *self._quality(frame), seconds)

    @torch.no_grad()
    def _quality(self, frame: int) -> tuple[float, float]:
        """PSNR and SSIM at the clip's own view."""
        view = render(self.gaussians(frame), self.pictures.clip_camera()).rgb
        target = self.pictures.clip_rgb[frame][None]
        return psnr(view, target).item(), ssim(view, target).item()
