"""The step that CUDA graphs are captured from, without graphs and with graphs emulated, against autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ar4d.asset import frame_time
from ar4d.engines.ar4d import captured
from ar4d.engines.ar4d.captured import CapturedFit
from ar4d.engines.ar4d.fitting import AutogradFit, Fit, Fitted, FitWarnings
from ar4d.losses import Terms
from ar4d.rendering import Rendering
from ar4d.settings import FieldSettings
from tests.support import reference
from tests.support.fits import CASES, HELD, TERMS, comparisons, prepared, scene

NETWORK = FieldSettings(kind="mlp", width=24, depth=6, lr=1e-3, lr_final=1e-4)
ALL = {
    **CASES,
    "network": {"field": NETWORK},
    "network over time": {"field": NETWORK, "frames": 3},
    "network at nodes": {"field": replace(NETWORK, kind="node-mlp", nodes=30), "frames": 3, "hold": HELD},
}


class Emulated:
    """What `torch.cuda.make_graphed_callables` makes of a function, on the CPU.

    Arguments are copied to where the samples lie, unless they lie there; results and gradients are written to
    the same memory each time.
    """

    def __init__(self, function: Callable[..., Sequence[Tensor]], samples: Sequence[Tensor]) -> None:
        self.function, self.samples = function, samples
        self.results = list(function(*samples))
        self.outputs = [result.detach().clone() for result in self.results]
        self.grads = [torch.empty_like(sample) if sample.requires_grad else None for sample in samples]

    def __call__(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        emulated = self

        class Replayed(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *inputs):
                emulated.forward(inputs)
                return tuple(output.detach() for output in emulated.outputs)

            @staticmethod
            def backward(ctx, *grad_outputs):
                return emulated.backward(grad_outputs)

        return Replayed.apply(*arguments)  # pyright: ignore[reportReturnType]

    def forward(self, inputs: Sequence[Tensor]) -> None:
        for sample, value in zip(self.samples, inputs, strict=True):
            if sample.data_ptr() != value.data_ptr():
                sample.copy_(value)
        with torch.enable_grad():
            self.results = list(self.function(*self.samples))
        for output, result in zip(self.outputs, self.results, strict=True):
            output.copy_(result.detach())

    def backward(self, grad_outputs: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
        pairs = [(r, g) for r, g in zip(self.results, grad_outputs, strict=True) if r.requires_grad]
        wanted = [sample for sample in self.samples if sample.requires_grad]
        results, grads = zip(*pairs, strict=True)
        found = iter(torch.autograd.grad(results, wanted, grads))
        for grad in self.grads:
            if grad is not None:
                grad.copy_(next(found))
        return tuple(None if grad is None else grad.detach() for grad in self.grads)


@pytest.fixture(params=["as it is", "replayed"])
def emulation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "replayed":
        monkeypatch.setattr(CapturedFit, "_graphed", lambda self, part, samples: Emulated(part, samples))


def leaves(fitted: Fitted) -> dict[str, Tensor]:
    """All that learns, by name."""
    field = {} if fitted.field is None else dict(fitted.field.named_parameters())
    return {name: x for name, x in (fitted.parameters.state() | field).items() if x.requires_grad}


def fitted_by(
    make: Callable[[Fitted], Fit], options: dict, steps: int, device: str = "cpu"
) -> tuple[Fitted, Fit]:
    """The state after some steps, each at another frame and from another side."""
    fitted = prepared(scene().to(device), **options)
    fit, frames = make(fitted), options.get("frames", 1)
    for u in range(steps):
        views = comparisons(options.get("terms", TERMS), 20.0 * u - 50)
        views = [replace(view, expected=Rendering(*(x.to(device) for x in vars(view.expected).values())))
                 for view in views]  # fmt: skip
        fit.step(u, views, frame_time(u % frames, frames))
    return fitted, fit


@pytest.mark.usefixtures("emulation")
@pytest.mark.parametrize("case", ALL)
def test_gradients_losses_and_steps_are_those_of_autograd(case: str) -> None:
    options = ALL[case]
    (slow, plain), (fast, fit) = (fitted_by(make, options, 1) for make in (AutogradFit, CapturedFit))
    assert fit.loss == pytest.approx(plain.loss, rel=1e-5)
    torch.testing.assert_close(fit.view, plain.view, atol=1e-5, rtol=1e-5)
    for name, leaf in leaves(slow).items():
        grad = leaves(fast)[name].grad
        assert leaf.grad is not None, name
        assert grad is not None, name
        assert reference.relative_error(grad, leaf.grad.double()) < 1e-5, name


@pytest.mark.usefixtures("emulation")
@pytest.mark.parametrize("case", ["stage 1", "born later", "network over time"])
def test_several_steps_are_those_of_autograd(case: str) -> None:
    options = ALL[case]
    (slow, plain), (fast, fit) = (fitted_by(make, options, 5) for make in (AutogradFit, CapturedFit))
    start = vars(prepared(scene(), **options).parameters)
    assert fit.loss == pytest.approx(plain.loss, rel=1e-3)
    for name, value in leaves(slow).items():
        way = (value - start[name]).norm() if name in start else value.norm()
        assert way > 0, name
        assert (leaves(fast)[name] - value).norm() <= 0.01 * way, name  # Adam magnifies the smallest slopes


def test_views_that_are_compared_in_another_way_get_a_comparison_of_their_own() -> None:
    results = []
    for make in (AutogradFit, CapturedFit):
        fit = make(prepared(scene()))
        for terms in (TERMS, (Terms(), TERMS[1]), TERMS):
            fit.step(0, comparisons(terms))
        results.append(fit.loss)
    assert results[1] == pytest.approx(results[0], rel=1e-4)


def test_a_comparison_of_nothing_moves_nothing() -> None:
    fitted = prepared(scene(), None)
    before = fitted.parameters.means.detach().clone()
    fit = CapturedFit(fitted)
    fit.step(0, comparisons((Terms(), Terms())))
    assert fit.loss == 0
    assert torch.equal(fitted.parameters.means, before)


def test_a_capture_that_fails_is_one_sentence_and_costs_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(captured, "_refused", [])
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", fails)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: "before")
    streams = []
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)
    plain, fit = AutogradFit(prepared(scene())), CapturedFit(prepared(scene()))
    fit._capture = True  # as on a CUDA device
    warnings, said = FitWarnings("frame 1"), []
    for u in range(2):
        plain.step(u, comparisons())
        fit.step(u, comparisons())
        said += warnings.after(u, fit)
    assert fit.loss == pytest.approx(plain.loss, rel=1e-4)
    assert streams == ["before"]
    assert [event.message for event in said] == [
        "CUDA graphs cannot be captured here (operation not permitted when stream is capturing); the steps "
        "run without them, which takes longer and gives the same."
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("case", ALL)
def test_steps_replayed_on_a_gpu_are_those_of_autograd_there(case: str) -> None:
    (slow, plain), (fast, fit) = (
        fitted_by(make, ALL[case], 3, "cuda") for make in (AutogradFit, CapturedFit)
    )
    assert fit.note is None
    assert fit.loss == pytest.approx(plain.loss, rel=1e-3)
    for name, value in leaves(slow).items():
        torch.testing.assert_close(leaves(fast)[name], value, atol=1e-4, rtol=1e-3)
