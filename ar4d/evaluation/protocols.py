"""What the papers' tables measure, as presets: which views, against what, by which metrics.

Tables of different protocols do not compare. Each protocol cites where it is stated, and says what is taken
where it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ar4d.errors import UserError
from ar4d.evaluation.ground_truth import GroundTruth, View
from ar4d.evaluation.registry import Frames, measure, ready
from ar4d.evaluation.scores import Scores, mean
from ar4d.evaluation.sets import ReadySets, ready_sets

TEST_AZIMUTHS_DEG = (-75.0, 15.0, 105.0, 195.0)
"""Where Consistent4D's benchmark looks from."""


@dataclass(frozen=True)
class Protocol:
    """How a paper measures. Metrics are named as in `registry.METRICS` and `sets.SET_METRICS`."""

    name: str
    source: str
    """Where it is stated, and what is taken where it is not; for tables."""
    pairs: tuple[str, ...]
    """Metrics of frames against the truth of the same view, means over `views`."""
    views: str | tuple[float, ...]
    """"reference", "all", or azimuths in degrees."""
    against_reference: tuple[str, ...] = ()
    """Metrics of frames at novel views against the reference view's at the same times."""
    sets: tuple[str, ...] = ()
    """Set metrics."""
    sets_against_reference: bool = False
    """Whether set metrics compare novel views with the reference view, and not each view with its truth."""
    details: str = ""
    """Which LPIPS, and which window and border of SSIM."""


_ALEX = "LPIPS: AlexNet, v0.1. SSIM: Gaussian window 11×11, σ 1.5, zeros beyond the border."
PROTOCOLS: dict[str, Protocol] = {}


def register(protocol: Protocol) -> Protocol:
    """Adds a protocol, or replaces the one of its name; returns it."""
    PROTOCOLS[protocol.name] = protocol
    return protocol


register(
    Protocol(
        "ar4d",
        "AR4D, Sec. 5 and Tables 1 to 3: PSNR, SSIM and LPIPS at the clip's own camera; CLIP-S and FVD of "
        "novel views against the reference view. Not stated: the network of LPIPS (taken: AlexNet), the "
        "window of SSIM, the novel views (taken: all but the reference), FVD-16 (taken: 16 first frames).",
        pairs=("psnr", "ssim", "lpips"),
        views="reference",
        against_reference=("clip_s",),
        sets=("fvd", "fvd16"),
        sets_against_reference=True,
        details=_ALEX,
    )
)
register(
    Protocol(
        "consistent4d",
        "Consistent4D's scripts compute_image_level_metrics.py and compute_fvd.py: azimuths -75, 15, 105 and "
        "195. Taken: the truth's own size (the script resizes to 512²) and a data range of 1. Its FVD sees "
        "one clip per view, (Δμ)² + (σ₁ - σ₂)², and does not compare with FVD.",
        pairs=("clip_s", "lpips_vgg", "psnr", "ssim_inside"),
        views=TEST_AZIMUTHS_DEG,
        sets=("fvd_one_clip",),
        details="LPIPS: VGG-16, v0.1. SSIM: Gaussian window 11×11, σ 1.5, windows inside the picture.",
    )
)
register(
    Protocol(
        "sv4d2",
        "SV4D 2.0, Sec. 5: the whole image matrix against its truth. Not stated: the network of LPIPS "
        "(taken: AlexNet), the window of SSIM, whether the reference view counts (taken: it does), how "
        "eight views become a clip (taken: images are repeated), the order of FV4D's scan (taken: a row per "
        "view).",
        pairs=("lpips", "clip_s", "psnr", "ssim", "mse"),
        views="all",
        sets=("fvd_f", "fvd_v", "fvd_diag", "fv4d"),
        details=_ALEX,
    )
)


@dataclass(frozen=True)
class Result:
    """What one object scores by a protocol. Set metrics are made of the features of all objects."""

    scores: Scores
    found: Mapping[str, Tensor] = field(default_factory=dict)
    """Features [N, D] of what was found, by set metric."""
    truth: Mapping[str, Tensor] = field(default_factory=dict)
    """Features [M, D] of what it is compared with."""
    notes: tuple[str, ...] = ()
    """A sentence for each metric that is not available."""


def find(name: str) -> Protocol:
    """The protocol called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in PROTOCOLS:
        raise UserError(f'There is no protocol "{name}"; choose from: {", ".join(PROTOCOLS)}.')
    return PROTOCOLS[name]


@torch.no_grad()
def measure_protocol(
    protocol: Protocol,
    found: Mapping[str, Frames],
    truth: GroundTruth,
    weights: Mapping[str, Path | None] | None = None,
) -> Result:
    """Measures one object.

    Args:
        found: what was rendered at the truth's cameras and times, by the view's name.
        weights: files that the user named, by metric of pairs, or by network of set metrics.

    Raises:
        UserError: a view that the protocol needs is missing, or views differ in size.
    """
    views, reference = _views(protocol, truth), _reference(protocol, truth)
    missing = [view.name for view in truth.views if view.name not in found]
    if missing:
        raise UserError(f"The view {missing[0]} of {truth.name} was not rendered; render all of its cameras.")
    named = dict(weights or {})
    measures, reasons = ready(named, (*protocol.pairs, *protocol.against_reference))
    own = {name: measures[name] for name in protocol.pairs if name in measures}
    scores = mean([measure(own, found[view.name], _frames(view)) for view in views]) or Scores()
    novel = [view for view in truth.views if view is not reference]
    if reference is not None and protocol.against_reference:
        across = {name: measures[name] for name in protocol.against_reference if name in measures}
        against = mean([measure(across, found[v.name], _frames(reference)) for v in novel]) or Scores()
        scores.update({name: against.get(name) for name in protocol.against_reference})
    kept = Scores({name: scores.get(name) for name in (*protocol.pairs, *protocol.against_reference)})
    sets = ready_sets(protocol.sets, {name: path for name, path in named.items() if path is not None})
    if not sets.metrics:
        return Result(kept, notes=(*reasons, *sets.reasons))
    left = novel if protocol.sets_against_reference else views
    right = [reference] if protocol.sets_against_reference and reference is not None else views
    return Result(
        kept,
        found=sets.features(_matrix([found[view.name].rgb for view in left], truth)),
        truth=sets.features(_matrix([view.rgb for view in right], truth)),
        notes=(*reasons, *sets.reasons),
    )


def set_distances(protocol: Protocol, results: Sequence[Result], sets: ReadySets | None = None) -> Scores:
    """The protocol's set metrics over all objects; None where one cannot be measured."""
    sets = sets or ready_sets(protocol.sets)
    complete = [result for result in results if result.found]
    scores = Scores(dict.fromkeys(protocol.sets))
    for name, metric in sets.metrics.items():
        if complete and all(name in result.found for result in complete):
            pair = [torch.cat([getattr(r, side)[name] for r in complete]) for side in ("found", "truth")]
            value = metric.distance(*pair)
            scores[name] = value if value == value else None  # not a number where it is not defined
    return scores


def _views(protocol: Protocol, truth: GroundTruth) -> list[View]:
    """The views whose pairs count."""
    if isinstance(protocol.views, str):
        reference = _reference(protocol, truth)
        return list(truth.views) if protocol.views == "all" else [reference] if reference else []
    views = []
    for azimuth in protocol.views:
        at = truth.at(azimuth)
        if not at:
            raise UserError(
                f"{truth.name} has no view at azimuth {azimuth:g}°, which the protocol {protocol.name} "
                "needs; render it, or choose another protocol."
            )
        views += at
    return views


def _reference(protocol: Protocol, truth: GroundTruth) -> View | None:
    reference = next((view for view in truth.views if view.name == truth.reference), None)
    if reference is None and (protocol.views == "reference" or protocol.against_reference):
        raise UserError(
            f"{truth.name} has no view at the clip's own camera, which the protocol {protocol.name} needs; "
            "render it, or choose another protocol."
        )
    return reference


def _frames(view: View) -> Frames:
    return Frames(view.rgb, view.rgba[..., 3])


def _matrix(views: list[Tensor], truth: GroundTruth) -> Tensor:
    """The image matrix [V, F, H, W, 3] of views [F, H, W, 3]."""
    shapes = {tuple(view.shape) for view in views}
    if len(shapes) > 1:
        sizes = ", ".join(sorted(f"{shape[2]}×{shape[1]}" for shape in shapes))
        raise UserError(f"The views of {truth.name} differ in size ({sizes}); make them alike.")
    return torch.stack([view.cpu() for view in views])
