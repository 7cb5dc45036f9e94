"""Training steps on CUDA, with CUDA graphs around gsplat's rasterisation.

    deform      the parameters and the field become Gaussians             a graph, and one for its derivative
    rasterise   all views in one call, as cameras of one image size       as it is
    compare     the images and their targets become the loss              a graph, and one for its derivative
    learn       Adam                                                      as it is: one kernel for a group

gsplat reads back how many pairs of a splat and a tile there are before it sorts them, so no graph can hold
it. Around it nothing depends on what is seen: shapes are fixed, the time lies in a tensor, targets and
cameras stay on the device, and nothing is read back.

Without graphs the same code runs on any device; that is what the tests hold against `AutogradFit`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ar4d.cameras import Cameras
from ar4d.deformation import NodeField
from ar4d.engines.ar4d.fitting import Comparison, Fitted, LastStep, optimizer_of
from ar4d.gaussians import Gaussians
from ar4d.losses import Terms
from ar4d.rendering import WHITE, Rendering, render

Part = Callable[..., tuple[Tensor, ...]]

_refused: list[str] = []
"""Why this process captures nothing any more, once that is known."""


class CapturedFit(LastStep):
    """`Fit` by autograd whose parts around the rasterisation are captured once and replayed."""

    def __init__(self, fitted: Fitted, capture: bool = True) -> None:
        """
        Args:
            capture: on a CUDA device, replay CUDA graphs; off: run the same code as it is.
        """
        self.note: str | None = None
        self.optimizer = optimizer_of(fitted)
        device = fitted.parameters.means.device
        self._capture = capture and device.type == "cuda" and not _refused
        if self._capture:
            gc.collect()  # graphs of an earlier fit belong to a class of torch's, which nothing else frees
        deformation = Deformation(fitted)
        field = dict(deformation.named_parameters())
        own = [getattr(fitted.parameters, name) for name in deformation.names]

        def deform(time: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
            shared, parts = tensors[: len(field)], tensors[len(field) :]
            return functional_call(deformation, dict(zip(field, shared, strict=True)), (time, *parts))

        self._time = torch.zeros((), dtype=torch.float64, device=device)
        self._tensors = *field.values(), *own
        self._deform = self._graphed(deform, (self._time, *self._tensors))
        self._cameras, self._lanes = SentCameras(device), dict[tuple, tuple[Lane, Part]]()

    def step(self, u: int, comparisons: Sequence[Comparison], t: float = 0.0) -> None:
        self._time.fill_(t)
        *values, burden = self._deform(self._time, *self._tensors)
        lane, compare = self._lane(comparisons)
        images, alphas = channels(Gaussians(*values), self._cameras.at([c.camera for c in comparisons]))
        (loss,) = compare(images, alphas, *lane.expected(comparisons))
        self.optimizer.step(loss + burden, u)
        width, height = lane.sizes[0]
        self._view, self._loss = images[:1, :height, :width, :3].detach(), (loss + burden).detach()

    def _lane(self, comparisons: Sequence[Comparison]) -> tuple[Lane, Part]:
        key = tuple((c.camera.width, c.camera.height, c.terms) for c in comparisons)
        if key not in self._lanes:
            lane = Lane(comparisons, self._time.device)
            self._lanes[key] = lane, self._graphed(lane.loss, lane.samples())
        return self._lanes[key]

    def _graphed(self, part: Part, samples: tuple[Tensor, ...]) -> Part:
        """The part, replayed from graphs; itself where that is not wanted or not possible."""
        if not self._capture:
            return part
        stream = torch.cuda.current_stream()
        try:
            return torch.cuda.make_graphed_callables(part, samples, allow_unused_input=True)  # pyright: ignore[reportReturnType, reportArgumentType, reportCallIssue]
        except RuntimeError as error:
            torch.cuda.set_stream(stream)  # a capture that fails leaves its own stream behind
            self._capture = False
            _refused.append(str(error).partition("\n")[0])
            self.note = (
                f"CUDA graphs cannot be captured here ({_refused[0]}); the steps run without them, which "
                "takes longer and gives the same."
            )
            return part


class Deformation(nn.Module):
    """From what a fit moves to the Gaussians at a time, and to what the field itself adds to the loss."""

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        self.field = fitted.field
        self.names = [name for name, value in fitted.parameters.state().items() if value.requires_grad]
        """The Gaussians' own parameters that learn."""
        self._fitted = fitted
        self._rigidity = fitted.hold.rigidity(fitted.field) if fitted.field is not None else None

    def forward(self, time: Tensor, *own: Tensor) -> tuple[Tensor, ...]:
        """The five attributes, then the addition [].

        Args:
            time: [], a keyframe's.
            own: the parameters called `names`.
        """
        parameters = replace(self._fitted.parameters, **dict(zip(self.names, own, strict=True)))
        gaussians = parameters.activated(self.field, time)
        return *gaussians.state().values(), self._burden(time)

    def _burden(self, time: Tensor) -> Tensor:
        burden = torch.zeros((), device=time.device)
        if self._rigidity is not None:
            burden = burden + self._rigidity(time)
        if self._fitted.color_change > 0 and isinstance(self.field, NodeField):
            burden = burden + self._fitted.color_change * self.field.color_offsets(time).square().mean()
        return burden


class Lane:
    """Views of certain sizes, compared in certain ways, with room for their targets."""

    def __init__(self, comparisons: Sequence[Comparison], device: torch.device) -> None:
        self.sizes = [(c.camera.width, c.camera.height) for c in comparisons]
        self.terms: list[Terms] = [c.terms for c in comparisons]
        self._targets = [
            torch.zeros(1, height, width, *shape, device=device)
            for width, height in self.sizes
            for shape in ((3,), (), ())
        ]
        self._shown: list[Rendering | None] = [None] * len(self.sizes)

    def expected(self, comparisons: Sequence[Comparison]) -> list[Tensor]:
        """Colours, depths and alphas of all targets, always in the same memory."""
        for c, comparison in enumerate(comparisons):
            expected = comparison.expected
            if self._shown[c] is not expected:
                parts = expected.rgb, expected.depth, expected.alpha
                for target, part in zip(self._targets[3 * c : 3 * c + 3], parts, strict=True):
                    target.copy_(part)
                self._shown[c] = expected
        return self._targets

    def samples(self) -> tuple[Tensor, ...]:
        """Arguments of `loss`."""
        widths, heights = zip(*self.sizes, strict=True)
        shape, device = (len(self.sizes), max(heights), max(widths)), self._targets[0].device
        images, alphas = (torch.zeros(*shape, n, device=device, requires_grad=True) for n in (4, 1))
        return images, alphas, *self._targets

    def loss(self, images: Tensor, alphas: Tensor, *targets: Tensor) -> tuple[Tensor]:
        """The sum of all views' terms; view c is the left, upper part of image c."""
        total = 0.0 * alphas.sum()  # where nothing is compared, the derivative is 0
        for c, ((width, height), terms) in enumerate(zip(self.sizes, self.terms, strict=True)):
            image, alpha = images[c : c + 1, :height, :width], alphas[c : c + 1, :height, :width, 0]
            view = Rendering(image[..., :3], image[..., 3], alpha)
            total = total + terms.loss(view, Rendering(*targets[3 * c : 3 * c + 3]))
        return (total,)


class SentCameras:
    """Cameras on a device, sent once: sending waits for everything before it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sent: dict[tuple, Cameras] = {}

    def at(self, cameras: Sequence[Cameras]) -> Cameras:
        """The cameras as a batch that shares the largest image size.

        A smaller view is the left, upper part of its image. It may differ from the view alone where a
        Gaussian lies beside it: projection linearises about a point near the image.
        """
        key = tuple(
            (c.width, c.height, c.viewmats.numpy().tobytes(), c.Ks.numpy().tobytes()) for c in cameras
        )
        if key not in self._sent:
            viewmats, Ks = torch.cat([c.viewmats for c in cameras]), torch.cat([c.Ks for c in cameras])
            width, height = max(c.width for c in cameras), max(c.height for c in cameras)
            self._sent[key] = Cameras(viewmats, Ks, width, height).to(self._device)
        return self._sent[key]


def channels(gaussians: Gaussians, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Colours and depth on white [C, H, W, 4], and alpha [C, H, W, 1]."""
    if gaussians.means.is_cuda:
        from ar4d.rendering.cuda import rasterize_channels

        return rasterize_channels(gaussians, cameras, WHITE)
    view = render(gaussians, cameras)
    return torch.cat([view.rgb, view.depth[..., None]], dim=-1), view.alpha[..., None]
