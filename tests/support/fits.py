"""Small fits of all kinds, the same each time, to compare one way of taking their steps with another."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch

from ar4d.cameras import orbit
from ar4d.deformation import DeformationField, NodeField, global_field, local_field
from ar4d.engines.ar4d.fitting import Comparison, Fitted
from ar4d.engines.ar4d.hold import Hold
from ar4d.gaussians import Gaussians
from ar4d.losses import Terms
from ar4d.parameters import Parameters
from ar4d.rendering import render
from ar4d.settings import FieldSettings, HoldSettings, LearningRates
from tests.support import reference

SIZES = (70, 40)  # more than one tile, and tiles that the image does not fill
TABLE = FieldSettings(kind="node-table", nodes=40, lr=8e-3, lr_final=2e-4)
RATES = LearningRates(means=3e-4, colors=0.02)
HELD = HoldSettings(hidden_rate=0.2, rigidity_hidden=0.05, rigidity_seen=0.01)
TERMS = Terms(l1=0.8, ssim=0.2, alpha=0.3), Terms(l1=0.3, depth=0.3)
CASES = {
    "stage 1": {"field": None, "terms": (Terms(l2=1.0), Terms(l1=0.3, alpha=0.3))},
    "stage 2": {},
    "one view": {"terms": (TERMS[0],)},
    "plain colours": {"sigmoid": False},
    "a scene": {"terms": (TERMS[0], replace(TERMS[1], covered_only=True))},
    "stage 3": {"frames": 4},
    "held": {"hold": HELD},
    "held, colours in time": {"hold": HELD, "frames": 3, "field": replace(TABLE, colors=True), "change": 0.1},
    "born later": {"frames": 4, "mortal": True},
    "no evidence": {"terms": (Terms(), TERMS[1])},
}


def scene(count: int = 300, seed: int = 1) -> Gaussians:
    return reference.blob(count, seed=seed, spread=0.25, scale=0.03)


def prepared(
    gaussians: Gaussians,
    field: FieldSettings | None = TABLE,
    hold: HoldSettings | None = None,
    frames: int = 1,
    sigmoid: bool = True,
    change: float = 0.0,
    rates: LearningRates = RATES,
    steps: int = 20,
    terms: tuple[Terms, ...] = TERMS,
    mortal: bool = False,
) -> Fitted:
    """A fit of its own, the same each time; its field is not at rest."""
    torch.manual_seed(3)
    held = Hold.of([gaussians], orbit(0.0, size=SIZES[0]), hold or HoldSettings())
    made = None
    if field is not None:
        paths = gaussians.means.expand(frames, -1, -1)
        made = (
            global_field(field, paths, held.freedom)
            if frames > 1
            else local_field(field, paths[0], held.freedom)
        )
        with torch.no_grad():
            last_of(made).add_(torch.randn(last_of(made).shape), alpha=0.05)
    parameters = Parameters.of(gaussians, sigmoid)
    if mortal:  # a third comes in the third frame, a third goes after it, a third stays
        spans = torch.tensor([(2, 3), (0, 2), (0, 3)])[torch.arange(len(gaussians)) % 3]
        first, final = spans.float().unbind(-1)
        parameters.lifetimes = torch.stack([first - 1, first, final, final + 1], -1) / (frames - 1)
    return Fitted(parameters, rates, 0.1, steps, held, made, field, frames, change)


def comparisons(terms: tuple[Terms, ...] = TERMS, azimuth: float = 70.0) -> list[Comparison]:
    """The views of another object."""
    cameras = [orbit(a, 10.0, size=size) for a, size in zip((0.0, azimuth), SIZES, strict=True)]
    expected = [render(scene(seed=5), camera) for camera in cameras]
    return [Comparison(*parts) for parts in zip(cameras, expected, terms, strict=False)]


def last_of(field: DeformationField) -> torch.Tensor:
    """What starts at zero: the table, or the weights of a network's last layer."""
    parameters = dict(field.named_parameters())
    return parameters["table" if "table" in parameters else "net.out.weight"]


def table_of(field: DeformationField) -> torch.Tensor:
    return cast(NodeField, field).table


def state(fitted: Fitted) -> dict[str, torch.Tensor]:
    table = {} if fitted.field is None else {"table": table_of(fitted.field).detach()}
    return {name: value.detach() for name, value in fitted.parameters.state().items()} | table
