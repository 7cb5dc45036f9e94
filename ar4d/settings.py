"""Every setting of a run. The named sets of values are in `ar4d.presets`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import ConfigDict, Field, ValidationError, with_config

from ar4d.errors import UserError
from ar4d.records import adapter, first_problem

documented = with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))

FieldKind = Literal["mlp", "node-mlp", "node-table"]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A weight or a rate."""
Count = Annotated[int, Field(ge=1)]
Steps = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Remainder = Annotated[float, Field(gt=0, le=1)]
Pixels = Annotated[int, Field(ge=8, le=8192)]
Device = Literal["auto", "cpu", "cuda"]
Kind = Literal["object", "scene"]
Facing = Literal[
    "auto", "front", "front-right", "right", "back-right", "back", "back-left", "left", "front-left"
]
FACING_DEG: dict[Facing, float] = {name: 45.0 * k for k, name in enumerate(get_args(Facing)[1:])}
"""Azimuth towards which an object looks in the picture: front is at the camera, right the picture's right."""


def facing_words(azimuth_deg: float) -> str:
    """The nearest two opposite words for an azimuth that an object looks towards, or away from."""
    names = list(FACING_DEG)
    nearest = round(azimuth_deg / 45) % 4
    return f"{names[nearest]} or {names[nearest + 4]}"


@documented
@dataclass(frozen=True)
class LearningRates:
    """Adam's rates for the Gaussians' own parameters, at the start of a stage."""

    means: Amount = 1.6e-4
    """For positions, in world units a step."""
    colors: Amount = 2.5e-3
    """For the colours, or for their logits where `sigmoid_colors` is on."""
    scales: Amount = 1e-3
    """For log-scales."""
    opacities: Amount = 1e-2
    """For logit-opacities."""
    quats: Amount = 1e-3
    """For rotations, as unit quaternions."""


@documented
@dataclass(frozen=True)
class FieldSettings:
    """A deformation field (Eq. 3, 4, 9)."""

    kind: FieldKind = "mlp"
    """mlp: a network per Gaussian, the paper's. node-mlp: the same network at control nodes, blended
    to the Gaussians. node-table: the nodes' offsets are free parameters."""
    width: Count = 256
    """Units of each layer of the network."""
    depth: Count = 8
    """Layers of the network."""
    frequencies: Steps = 10
    """L of Eq. 4."""
    time_frequencies: Steps = 10
    """L for the time of Eq. 9; only the global field has one."""
    nodes: Count = 512
    """Number of control nodes; only kinds with nodes have them."""
    neighbours: Count = 4
    """Nodes that move each Gaussian together."""
    colors: bool = False
    """Move colours too (beyond the paper, whose Eq. 9 keeps c fixed): offsets of colours, or of their
    logits where `sigmoid_colors` is on."""
    lr: Amount = 5e-4
    """Adam's rate for the field, at the start of a stage or frame."""
    lr_final: Amount = 1e-6
    """The same at its end."""


@documented
@dataclass(frozen=True)
class HoldSettings:
    """How what the clip does not see is held to what it sees (not in the paper)."""

    hidden_rate: Share = 1.0
    """Share of the learning rates that is left to Gaussians which the clip does not see; they ride along
    with the field. 1: all learn alike, as in the paper."""
    rigidity_hidden: Amount = 0.0
    """Weight of motion that is as rigid as possible, between nodes that the clip does not see; 0: none, as
    in the paper. Only fields with nodes have it."""
    rigidity_seen: Amount = 0.0
    """The same between nodes that the clip sees."""


@documented
@dataclass(frozen=True)
class BodySettings:
    """How the expert's Gaussians are tidied where the first frame does not show them (not in the paper)."""

    loner_distance: Amount = 0.0
    """Prune those whose mean distance to their neighbours is so many medians or more; 0: none."""
    closing: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    """Make them as opaque as so many layers of themselves; 1: leave them as they are."""
    color_passes: Steps = 0
    """How often their colours are averaged along the surface."""


@documented
@dataclass(frozen=True)
class InitializeSettings:
    """Stage 1 (Sec. 4.1)."""

    expert: str = field(default="auto", metadata={"role": "image_to_gaussians"})
    """Which expert lifts the first frame; auto takes the best that runs here."""
    gaussians: Count = 65536
    """About how many Gaussians are wanted."""
    finetune: bool = True
    """Ablation switch: fit means and colours to the first frame (Eq. 2)."""
    iterations: Steps = 1000
    """Steps of the fit to the first frame."""
    rates: LearningRates = LearningRates(colors=5e-3)
    sigmoid_colors: bool = True
    """Optimise the colours' logits, so that no colour leaves [0, 1]."""
    body: BodySettings = BodySettings()
    """Of the Gaussians that the expert makes, before the fit."""
    hidden_rate: Share = 1.0
    """Share of the learning rates that is left to Gaussians which the first frame does not show; 1: all learn
    alike, as in the paper."""
    preservation: Amount = 0.3
    """Weight of staying close to the expert's own renders from random azimuths."""
    decay: Remainder = 0.1
    """Share of the learning rate that is left at the end."""


@documented
@dataclass(frozen=True)
class GenerateSettings:
    """Stage 2 (Sec. 4.2)."""

    expert: str = field(default="auto", metadata={"role": "views_to_gaussians"})
    """Which expert makes the pseudo-Gaussians; auto takes the best that runs here."""
    autoregressive: bool = True
    """Ablation switch: deform each frame from the previous one; off: from the first."""
    progressive_views: bool = True
    """Ablation switch: hold the unseen sides by pseudo-views over a growing range (Eq. 6-8)."""
    iterations: Steps = 2000
    """Steps per frame."""
    momentum: Share = 0.0
    """Share of the previous frame's motion with which a frame's nodes start (not in the paper; 0: at rest).
    Only fields whose offsets are a table have it."""
    coarse_share: Share = 0.0
    """Share of a frame's steps, the first ones, that see the reference view at half its size (not in the
    paper)."""
    least_share: Share = 1.0
    """Share of `iterations` that a frame takes at least (not in the paper; 1: every frame takes all). A frame
    whose start shows it nearly as well as the one before was shown in the end needs few."""
    field: FieldSettings = FieldSettings()
    rates: LearningRates = LearningRates()
    decay: Remainder = 0.03
    """Share of the Gaussians' learning rates that is left at the end of a frame."""
    l1: Share = 0.8
    """λ of Eq. 5; the rest is the weight of 1 - SSIM."""
    alpha: Amount = 0.0
    """Weight of L1 on the reference view's alpha (not in the paper): Eq. 5 cannot see white on white."""
    max_azimuth: Annotated[float, Field(gt=0, le=180)] = 180.0
    """N_max of Eq. 6, degrees."""
    start_azimuth: Annotated[float, Field(ge=0, le=180)] = 1.0
    """N_start of Eq. 6, degrees."""
    steps_per_degree: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    """η of Eq. 6: the range grows by one degree per this many steps."""
    pseudo_every: Count = 200
    """Steps for which the pseudo-Gaussians are kept before they are made again."""
    hold: HoldSettings = HoldSettings()
    """How a frame's hidden Gaussians are held to the source's."""
    birth_residual: Share = 0.0
    """Mean error of colours, in [0, 1], from which a place of the reference view gets new Gaussians late in a
    frame's steps (not in the paper; 0: none). They appear at that frame; then those that fade for good or
    stray from the object end, too, and stage 3 keeps their lifetimes. Only `autoregressive` has them."""
    pseudo_rgb: Amount = 1.0
    """Weight of l_rgb of Eq. 8."""
    pseudo_depth: Amount = 1.0
    """Weight of l_depth of Eq. 8 (depth in orbit radii)."""


@documented
@dataclass(frozen=True)
class RefineSettings:
    """Stage 3 (Sec. 4.3)."""

    enabled: bool = True
    """Ablation switch: one canonical set and one global field for the whole clip."""
    iterations: Steps = 30000
    """Steps for the whole clip."""
    field: FieldSettings = FieldSettings()
    coarse_share: Share = 0.0
    """Share of the steps, the first ones, that see the reference view at half its size (not in the paper)."""
    rates: LearningRates = LearningRates()
    decay: Remainder = 0.03
    """Share of the Gaussians' learning rates that is left at the end."""
    hold: HoldSettings = HoldSettings()
    """Of every frame's Gaussians, against the canonical ones; hidden is what no frame of the clip shows."""
    color_change: Amount = 0.0
    """Weight of the mean squared offset of colours over time, where the field has them (`field.colors`)."""
    warm_start: Steps = 0
    """Steps in which the field first learns stage 2's motion; 0: none, the paper's."""
    target: Literal["generated", "input"] = "generated"
    """What the reference view is held to: stage 2's frame (Eq. 11) or the clip's own."""
    l1: Share = 1.0
    """Weight of L1 at the reference view; the rest is 1 - SSIM. The paper has L1 alone."""
    depth: Amount = 1.0
    """Weight of the depth term of Eq. 11 (depth in orbit radii)."""
    rgb: Amount = 0.0
    """Weight of stage 2's colours at the view where the depth is compared. The paper: none."""


@documented
@dataclass(frozen=True)
class ViewSettings:
    """Views of the whole clip from other sides, made once, that stage 2 uses in place of its own renders."""

    expert: str = field(default="none", metadata={"role": "clip_to_views"})
    """Which expert turns the clip into several; none: stage 2 renders its own Gaussians, as in the paper."""


@dataclass(frozen=True)
class ReferenceRig:
    """The cameras that a stage looks through."""

    size: int
    """Width and height of the reference view in pixels."""
    pseudo_size: int
    """Width and height of pseudo-views and of depth comparisons in pixels."""
    elevation_deg: float
    """Elevation of all cameras in degrees, positive is above."""
    sides_deg: int
    """How far to each side of the reference camera views are sampled, degrees."""


@documented
@dataclass(frozen=True)
class EngineSettings:
    """What every engine has to know. Each engine's own settings extend it."""

    engine: str = "ar4d"
    """The method that turns the clip into an asset."""
    preset: str = "paper"
    """The preset that these values started from."""
    size: Pixels = 512
    """Width and height at which the clip is fitted."""
    elevation_deg: Annotated[float, Field(ge=-90, le=90)] = 0.0
    """Elevation of the camera that took the clip; positive is above."""
    kind: Kind = "object"
    """object: one subject, cut out, seen from all sides. scene: the whole picture, seen from nearby."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of all random choices: the same seed gives the same result on the same machine."""
    device: Device = "auto"
    """What computes: auto takes a CUDA GPU where there is one."""


@dataclass(frozen=True)
class Settings(EngineSettings):
    """All settings of AR4D."""

    engine: Literal["ar4d"] = "ar4d"
    """The method that turns the clip into an asset."""
    pseudo_size: Pixels = 256
    """Width and height of pseudo-views and of depth comparisons."""
    facing: Facing = "auto"
    """Which way the object faces in the first frame; right is the picture's right. The embedded expert
    estimates it, and a wrong estimate spoils the hidden side. It needs the facing at elevation 0 only, and
    other experts do not need it."""
    scene_azimuth: Annotated[float, Field(gt=0, le=90)] = 20.0
    """How far to each side a scene is made for, degrees; 15 to 30 suits what one picture shows."""
    initialize: InitializeSettings = InitializeSettings()
    views: ViewSettings = ViewSettings()
    generate: GenerateSettings = GenerateSettings()
    refine: RefineSettings = RefineSettings()

    @property
    def rig(self) -> ReferenceRig:
        """The cameras that the stages share."""
        return ReferenceRig(self.size, self.pseudo_size, self.elevation_deg, self.sides_deg)

    @property
    def sides_deg(self) -> int:
        """How far to each side views are sampled: all around an object, a little beside a scene."""
        return 180 if self.kind == "object" else max(1, round(self.scene_azimuth))

    @property
    def budget(self) -> int:
        """How many Gaussians are wanted; a scene fills the picture and wants one for every four pixels."""
        wanted = self.initialize.gaussians
        return wanted if self.kind == "object" else max(wanted, self.size**2 // 4)


S = TypeVar("S", bound=EngineSettings)


def validated(settings: S, values: dict[str, Any] | None = None) -> S:
    """The settings, with every value checked against its type and its bounds.

    Args:
        values: values to use in place of the settings' own, as nested dictionaries.

    Raises:
        UserError: a value does not fit; the message names its setting.
    """
    try:
        return adapter(type(settings)).validate_python(asdict(settings) if values is None else values)
    except ValidationError as error:
        raise UserError(f"Setting {first_problem(error)}.") from error
