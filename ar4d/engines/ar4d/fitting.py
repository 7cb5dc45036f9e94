"""What the stages' fits share: falling learning rates, seeded randomness, cached views, training steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ar4d.cameras import Cameras, orbit
from ar4d.deformation import DeformationField, NodeField
from ar4d.engines.ar4d.hold import Hold
from ar4d.events import Warned
from ar4d.gaussians import Gaussians
from ar4d.losses import Terms
from ar4d.parameters import Parameters
from ar4d.rendering import Rendering, render
from ar4d.settings import FieldSettings, LearningRates

REPORT_EVERY = 10  # steps between two reports of progress
KEPT_SHARE = 0.25  # of a GPU's free memory, for views of frames that do not change


def random_stream(seed: int, *place: int) -> np.random.Generator:
    """Random numbers that belong to one place of a run (stage, frame): resuming there repeats them."""
    return np.random.default_rng([seed, *place])


def seed_networks(seed: int, *place: int) -> None:
    """Seeds torch's own randomness, which initialises networks, for one place of a run."""
    torch.manual_seed(int(np.random.default_rng([seed, *place, 1]).integers(2**31)))


class FallingAdam:
    """Adam whose learning rates fall exponentially, each from its start to its own share at the end."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.groups: list[dict] = []
        self.held: list[tuple[Tensor, Tensor]] = []

    def add(
        self, parameters: Iterable[Tensor], lr: float, final_share: float, freedom: Tensor | None = None
    ) -> None:
        """Adds parameters that learn at `lr` at first and at `lr * final_share` at the end.

        Args:
            freedom: [N] in [0, 1], by which the steps of each row of the parameters [N, ...] are
                shortened. (Adam undoes a factor on the gradient.)
        """
        held = list(parameters)
        self.groups.append({"params": held, "lr": lr, "start": lr, "share": final_share})
        if freedom is not None:
            self.held += [(tensor, freedom.reshape(-1, *[1] * (tensor.dim() - 1))) for tensor in held]

    def start(self) -> FallingAdam:
        self.adam = torch.optim.Adam(self.groups, eps=1e-15, fused=True)
        return self

    def step(self, loss: Tensor, u: int) -> None:
        """Takes step `u` of `steps` (0-based) down the gradient of `loss`."""
        for group in self.adam.param_groups:
            group["lr"] = group["start"] * group["share"] ** (u / self.steps)
        self.adam.zero_grad()
        loss.backward()
        before = [tensor.detach().clone() for tensor, _ in self.held]
        self.adam.step()
        with torch.no_grad():
            for (tensor, freedom), old in zip(self.held, before, strict=True):
                tensor.copy_(torch.lerp(old, tensor, freedom))


def renderer_of(
    num_gaussians: int, size: int, device: torch.device
) -> Callable[[Gaussians, Cameras], Rendering]:
    """`render` without gradients, in arrays that are kept where that is faster."""
    if device.type != "cpu" or num_gaussians == 0:
        return torch.no_grad()(render)
    from ar4d.rendering.cpu.buffers import Renderer

    renderer = Renderer(num_gaussians, size)
    return lambda gaussians, camera: Rendering(*renderer.render(gaussians, camera))


class FrameViews:
    """Views of all frames. On CUDA each is rendered once, and kept while a share of the memory lasts."""

    def __init__(self, frames: Sequence[Gaussians], elevation_deg: float) -> None:
        self._frames, self._elevation_deg = frames, elevation_deg
        self._renderers: dict[int, Callable[[Gaussians, Cameras], Rendering]] = {}
        self._kept: dict[tuple[int, int, int], Rendering] = {}
        device = frames[0].means.device
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
        self._room = int(KEPT_SHARE * free)

    def camera(self, azimuth_deg: int, size: int) -> Cameras:
        """The camera that `at` looks through."""
        return orbit(float(azimuth_deg), self._elevation_deg, size=size)

    @torch.no_grad()
    def at(self, k: int, azimuth_deg: int, size: int) -> Rendering:
        """Frame `k` from a whole azimuth, `size` pixels wide and high."""
        key = k, azimuth_deg, size
        if key in self._kept:
            return self._kept[key]
        frame = self._frames[k]
        if size not in self._renderers:
            self._renderers[size] = renderer_of(len(frame), size, frame.means.device)
        view = self._renderers[size](frame, self.camera(azimuth_deg, size))
        needed = sum(part.numel() * part.element_size() for part in (view.rgb, view.depth, view.alpha))
        if needed <= self._room:
            self._room -= needed
            self._kept[key] = view
        return view


class ViewCache:
    """Views of Gaussians that do not change, rendered once per whole degree of azimuth."""

    def __init__(
        self, gaussians: Gaussians, elevation_deg: float, size: int, covered_only: bool = False
    ) -> None:
        """
        Args:
            size: width and height of the views in pixels.
            covered_only: the views say something only where they show something.
        """
        self.gaussians, self.elevation_deg, self.size = gaussians, elevation_deg, size
        self.covered_only = covered_only
        self._render = renderer_of(len(gaussians), size, gaussians.means.device)
        self.views: dict[int, Rendering] = {}

    def camera(self, azimuth_deg: int) -> Cameras:
        """The camera that `at` looks through."""
        return orbit(float(azimuth_deg), self.elevation_deg, size=self.size)

    @torch.no_grad()
    def at(self, azimuth_deg: int) -> Rendering:
        if azimuth_deg not in self.views:
            self.views[azimuth_deg] = self._render(self.gaussians, self.camera(azimuth_deg))
        return self.views[azimuth_deg]


@dataclass(frozen=True, eq=False)
class Comparison:
    """One view of a training step, and what it should be."""

    camera: Cameras
    expected: Rendering
    terms: Terms


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit moves, and how."""

    parameters: Parameters
    rates: LearningRates
    decay: float
    """Share of the rates that is left at the end."""
    steps: int
    hold: Hold
    field: DeformationField | None = None
    field_settings: FieldSettings | None = None
    num_frames: int = 1
    """Of the clip whose time a timed field has."""
    color_change: float = 0.0
    """Weight of the mean squared offset of colours, where the field has them."""
    start: int = 0
    """The first step that is taken; the rates fall as if those before had been taken, too."""

    @property
    def field_rates(self) -> tuple[float, float]:
        """The field's rate at the start, and the share of it that is left at the end."""
        settings = self.field_settings
        return (settings.lr, settings.lr_final / settings.lr) if settings and settings.lr > 0 else (0.0, 1.0)

    def activated(self, t: float = 0.0) -> Gaussians:
        """The Gaussians as they are now, at time `t`, without a gradient history."""
        with torch.no_grad():
            return self.parameters.activated(self.field, t)


class Fit(Protocol):
    """Training steps."""

    def step(self, u: int, comparisons: Sequence[Comparison], t: float = 0.0) -> None:
        """Takes step `u` (0-based) down the gradient of the sum of the comparisons' losses at time `t`."""
        ...

    @property
    def view(self) -> Tensor:
        """[1, H, W, 3] what the first camera of the last step saw, before it."""
        ...

    @property
    def loss(self) -> float:
        """The loss of the last step, before it."""
        ...

    @property
    def spoiled(self) -> dict[str, int]:
        """How many values of the last step had no finite gradient, by parameter; these stay as they are."""
        ...

    @property
    def note(self) -> str | None:
        """What people should know about how the steps are taken; None: nothing."""
        ...


def optimizer_of(fitted: Fitted) -> FallingAdam:
    """Adam for all that a fit moves."""
    optimizer = FallingAdam(fitted.steps)
    if fitted.field is not None:
        optimizer.add(fitted.field.parameters(), *fitted.field_rates)
    for tensor, lr in fitted.parameters.trainable(fitted.rates):
        optimizer.add([tensor], lr, fitted.decay, fitted.hold.freedom)
    return optimizer.start()


class LastStep:
    """What a `Fit` by autograd tells of its last step. It counts no gradients that are not finite."""

    _view: Tensor  # [1, H, W, 3]
    _loss: Tensor  # [], on the fit's device until it is asked for

    @property
    def view(self) -> Tensor:
        return self._view

    @property
    def loss(self) -> float:
        return self._loss.item()

    @property
    def spoiled(self) -> dict[str, int]:
        return {}


class AutogradFit(LastStep):
    """`Fit` by autograd: any field, any device. What the other fits are compared with."""

    note: str | None = None

    def __init__(self, fitted: Fitted) -> None:
        self.fitted = fitted
        self.rigidity = fitted.hold.rigidity(fitted.field) if fitted.field is not None else None
        self.optimizer = optimizer_of(fitted)

    def step(self, u: int, comparisons: Sequence[Comparison], t: float = 0.0) -> None:
        fitted = self.fitted
        gaussians = fitted.parameters.activated(fitted.field, t)
        loss = torch.zeros((), device=gaussians.means.device)
        for place, comparison in enumerate(comparisons):
            view = render(gaussians, comparison.camera)
            loss = loss + comparison.terms.loss(view, comparison.expected)
            if place == 0:
                self._view = view.rgb.detach()
        if self.rigidity is not None:
            loss = loss + self.rigidity(t)
        if fitted.color_change > 0 and isinstance(fitted.field, NodeField):
            loss = loss + fitted.color_change * fitted.field.color_offsets(t).square().mean()
        self.optimizer.step(loss, u)
        self._loss = loss.detach()


class FusedFit:
    """`Fit` as one chain of kernels on the CPU, for fields whose offsets are a table, or no field."""

    note: str | None = None

    @staticmethod
    def suits(fitted: Fitted) -> bool:
        means, field = fitted.parameters.means, fitted.field
        table = field is None or (isinstance(field, NodeField) and field.settings.kind == "node-table")
        return table and not means.is_cuda and means.dtype == torch.float32 and len(means) > 0

    def __init__(self, fitted: Fitted) -> None:
        from ar4d.fused.step import FusedStep

        self.fitted = fitted
        field = fitted.field if isinstance(fitted.field, NodeField) else None
        graph = fitted.hold.graph(field) if field is not None else None
        edges = (graph.heads, graph.tails, graph.edges, graph.resistance) if graph is not None else None
        self.fused = FusedStep(fitted.parameters, field, fitted.hold.freedom, edges, fitted.color_change)

    def step(self, u: int, comparisons: Sequence[Comparison], t: float = 0.0) -> None:
        self.fused.step(
            u - self.fitted.start,
            self._rates(u),
            [comparison.camera for comparison in comparisons],
            [comparison.expected for comparison in comparisons],
            [comparison.terms for comparison in comparisons],
            round(t * (self.fitted.num_frames - 1)),
        )

    def _rates(self, u: int) -> dict[str, float]:
        fitted, rates = self.fitted, self.fitted.rates
        left = fitted.decay ** (u / fitted.steps)
        lr, share = fitted.field_rates
        return {
            "means": rates.means * left,
            "quats": rates.quats * left,
            "log_scales": rates.scales * left,
            "logit_opacities": rates.opacities * left,
            "colors": rates.colors * left,
            "table": lr * share ** (u / fitted.steps),
        }

    @property
    def view(self) -> Tensor:
        return self.fused.view

    @property
    def loss(self) -> float:
        return self.fused.loss()

    @property
    def spoiled(self) -> dict[str, int]:
        return self.fused.spoiled()


def fit_of(fitted: Fitted) -> Fit:
    """The fastest `Fit` there is."""
    if FusedFit.suits(fitted):
        return FusedFit(fitted)
    if fitted.parameters.means.is_cuda and len(fitted.parameters.means) > 0:
        from ar4d.engines.ar4d.captured import CapturedFit

        return CapturedFit(fitted)
    return AutogradFit(fitted)


class FitWarnings:
    """What there is to say about a fit's steps, each thing once.

    Values that had no finite gradient keep what they have, and the others go on.
    """

    def __init__(self, place: str) -> None:
        """
        Args:
            place: what is fitted, in words.
        """
        self._place, self._said = place, set[str]()

    def after(self, u: int, fit: Fit) -> list[Warned]:
        """What there is to say after step `u`."""
        found: list[Warned] = []
        if fit.note is not None and fit.note not in self._said:
            self._said.add(fit.note)
            found.append(Warned(fit.note))
        spoiled = {} if "spoiled" in self._said else fit.spoiled
        if spoiled:
            self._said.add("spoiled")
            counts = ", ".join(f"{name.replace('_', ' ')} ({count})" for name, count in spoiled.items())
            found.append(
                Warned(
                    f"Step {u + 1} of {self._place} gave no finite gradient for {counts}; these values were "
                    "left as they were. A picture or a Gaussian may hold values that are not numbers."
                )
            )
        return found


def pictured(rgb: Tensor, alpha: Tensor | None = None) -> Rendering:
    """A picture [H, W, 3] as what a view should be; its depth is not known."""
    nothing = rgb.new_zeros(()).expand(1, *rgb.shape[:2])  # takes no memory: clips may be long
    return Rendering(rgb[None], nothing, nothing if alpha is None else alpha[None])


def halved(pixels: Tensor) -> Tensor:
    """[H/2, W/2, C] means over the pixels of a picture [H, W, C]; at least one pixel."""
    size = max(pixels.shape[0] // 2, 1), max(pixels.shape[1] // 2, 1)
    return F.interpolate(pixels.movedim(-1, 0)[None], size, mode="area")[0].movedim(0, -1).contiguous()
