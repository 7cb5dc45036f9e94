"""Settings of the engine `sv4d2`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from ar4d.cameras import FOV_Y_DEG
from ar4d.settings import (
    Amount,
    Count,
    EngineSettings,
    Facing,
    FieldSettings,
    LearningRates,
    Pixels,
    Remainder,
    Share,
    Steps,
    ViewSettings,
    documented,
)

LpipsNet = Literal["vgg", "alex"]
FieldOfView = Literal["auto"] | Annotated[float, Field(ge=1, le=120)]


@documented
@dataclass(frozen=True)
class LossSettings:
    """What a picture of the grid costs (Sec. 4)."""

    visibility: bool = True
    """Ablation switch: weigh generated pixels by how much the surface faces their camera, W = v·n."""
    visibility_floor: Share = 0.05
    """Least W inside the subject's mask."""
    visibility_every: Count = 200
    """Steps after which W is computed again from the Gaussians' present normals."""
    generated: Amount = 0.5
    """Weight of the generated views; the clip itself has 1."""
    picture: Amount = 10.0
    """Weight of the mean squared, visibility-weighted difference of colours."""
    clip: Amount = 1.0
    """Weight of 0.8 L1 + 0.2 (1 - SSIM) at the clip's own view. The paper: none, every picture alike."""
    view_offsets: Amount = 1.0
    """Weight of the mean squared offset of `dynamic.view_offsets`, world units."""
    mask: Amount = 1.0
    """Weight of the mean squared difference of masks."""
    lpips: Amount = 0.0
    """Weight of LPIPS at the generated views, the paper's third term; 0.2 is a good value. It needs the
    metric's weights, which `ar4d.evaluation.lpips` tells how to make."""
    lpips_net: LpipsNet = "vgg"
    """Network of that LPIPS; its weights are named by AR4D_LPIPS_VGG or, for AlexNet's, by AR4D_LPIPS."""
    rigidity: Amount = 0.01
    """Weight of motion that is as rigid as possible between nodes. The paper: none; its smooth field
    plays this part."""


@documented
@dataclass(frozen=True)
class StaticSettings:
    """The first phase: the first frame's Gaussians alone (Sec. 4, static to dynamic)."""

    enabled: bool = True
    """Ablation switch: off, motion is learnt from the first step on."""
    iterations: Steps = 1000
    """Steps of this stage."""
    rates: LearningRates = LearningRates(means=1e-3, colors=2e-2, scales=5e-3, opacities=2e-2, quats=2e-3)
    decay: Remainder = 0.1
    """Share of the learning rates that is left at the end."""


@documented
@dataclass(frozen=True)
class DynamicSettings:
    """The second phase: the Gaussians and their motion, over frames that are added one by one."""

    iterations: Steps = 4000
    """Steps of this stage."""
    field: FieldSettings = FieldSettings(kind="node-table", nodes=1024, lr=4e-3, lr_final=1e-4)
    rates: LearningRates = LearningRates(means=2e-4, colors=5e-3, scales=1e-3, opacities=5e-3, quats=1e-3)
    decay: Remainder = 0.1
    """Share of the learning rates that is left at the end."""
    progressive_frames: bool = True
    """Ablation switch: the window of frames grows from the first two to all; off: all from the start."""
    window: Share = 0.6
    """Share of the steps after which the window holds all frames."""
    orthogonal_views: bool = True
    """Ablation switch: the views of a step are a quarter turn apart; off: as many at random."""
    frames_per_step: Count = 4
    """Times of the clip that each step looks at."""
    view_offsets: bool = False
    """Let each generated view shift the nodes by offsets of its own, the same at all times: Δp_ij = Δp^v_i +
    Δp^t_j (4Real-Video, Eq. 11). They take up what the views disagree about and are dropped after the fit."""


@documented
@dataclass(frozen=True)
class SecondStageSettings:
    """The third phase: the renders are noised, denoised by the expert, and fitted again (Sec. 4)."""

    enabled: bool = True
    """Ablation switch. Experts that cannot draw over a render leave it out, and the run says so."""
    noise: Amount = 2.7
    """Noise level σ from which SV4D 2.0 denoises; its samplings begin at 700."""
    iterations: Steps = 3000
    """Steps of this stage."""
    rates: LearningRates = LearningRates(means=1e-4, colors=5e-3, scales=5e-4, opacities=5e-3, quats=5e-4)
    field_lr: Amount = 1e-3
    """Adam's rate for the field, at the start."""
    decay: Remainder = 0.1
    """Share of the learning rates that is left at the end."""


@dataclass(frozen=True)
class SV4D2Settings(EngineSettings):
    """All settings of the engine."""

    engine: Literal["sv4d2"] = "sv4d2"
    """The method that turns the clip into an asset."""
    preset: str = "sv4d2"
    view_size: Pixels = 256
    """Width and height at which generated views are fitted."""
    view_fov: FieldOfView = FOV_Y_DEG
    """Field of view of the generated views' cameras, degrees. Their distance is such that the subject keeps
    its size. auto: of 20, 33.8 and 49.1 the one with which the first frame can be fitted best."""
    facing: Facing = "auto"
    """Which way the object faces in the first frame, for the embedded expert."""
    expert: str = field(default="auto", metadata={"role": "image_to_gaussians"})
    """Which expert lifts the first frame, where the fit begins."""
    gaussians: Count = 32768
    """About how many Gaussians are wanted."""
    views: ViewSettings = ViewSettings(expert="auto")
    """Which expert turns the clip into several."""
    least_agreement: Annotated[float, Field(ge=0, le=1)] = 0.6
    """A generated view is left out whose mask's IoU with the fitted first frame is lower than this share of
    the median over all views."""
    loss: LossSettings = LossSettings()
    static: StaticSettings = StaticSettings()
    dynamic: DynamicSettings = DynamicSettings()
    second_stage: SecondStageSettings = SecondStageSettings()
