"""The losses of Sec. 4, per step: one time, the clip's own view and some generated ones."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.engines.sv4d2.pictures import Pictures
from ar4d.engines.sv4d2.settings import LossSettings
from ar4d.engines.sv4d2.view_offsets import ViewOffsets
from ar4d.engines.sv4d2.visibility import visibility
from ar4d.errors import UserError
from ar4d.evaluation.lpips import ALEX, LEAST_SIZE, VGG, Lpips, find_weights
from ar4d.gaussians import Gaussians
from ar4d.losses import photometric_loss
from ar4d.rendering import Rendering, render

CLIP_SSIM = 0.2


def picture_loss(view: Rendering, rgb: Tensor, alpha: Tensor, W: Tensor, options: LossSettings) -> Tensor:
    """[C] λ_picture mean ‖W (M - M̂)‖² + λ_mask mean (A - Â)² of each view: W acts squared.

    Args:
        view: C views of the Gaussians.
        rgb: [C, H, W, 3] on white.
        alpha: [C, H, W].
        W: [C, H, W] visibility weights.

    Locked by `test_the_weights_act_squared` (tests/engines/sv4d2/test_losses.py).
    """
    colors = (W[..., None] * (view.rgb - rgb)).square().mean((1, 2, 3))
    masks = (view.alpha - alpha).square().mean((1, 2))
    return options.picture * colors + options.mask * masks


def load_lpips(options: LossSettings, view_size: int, device: torch.device | str = "cpu") -> Lpips | None:
    """The metric of the term `options.lpips`; None where its weight is 0.

    Args:
        view_size: width and height of the views that it compares.

    Raises:
        UserError: the term is wanted, and the views are too small or its weights missing or damaged.
    """
    if options.lpips == 0:
        return None
    if view_size < LEAST_SIZE:
        raise UserError(
            f"LPIPS compares pictures of at least {LEAST_SIZE} pixels, and --view-size is {view_size}; raise "
            "it or leave out --loss.lpips."
        )
    net = VGG if options.lpips_net == "vgg" else ALEX
    path = find_weights(net=net)
    if path is None:
        raise UserError(
            f"The loss is to have {net.title}, whose weights are not here: make the file as "
            f"ar4d.evaluation.lpips explains and set {net.variable} to it, or leave out --loss.lpips."
        )
    return Lpips.load(path, net).to(device)


@dataclass(eq=False)
class StepLoss:
    """The loss of the Gaussians at one frame's time. It keeps the visibility weights between steps."""

    pictures: Pictures
    options: LossSettings
    weigh: bool
    """Whether visibility weights are in use yet; in the static phase every pixel counts alike."""
    offsets: ViewOffsets | None = None
    """Of the generated views; None: all see the same Gaussians."""
    lpips: Lpips | None = None
    """The metric, where the loss has such a term."""
    made: dict[int, tuple[int, Tensor]] = field(default_factory=dict)
    """Per frame, the step in which W [V, s, s] was made, and W."""

    def at(self, gaussians: Gaussians, frame: int, rows: list[int], u: int) -> Tensor:
        """The loss at a frame, against the clip and the generated views `rows`, in step `u`."""
        loss = self._clip(gaussians, frame)
        if rows:
            loss = loss + self._views(gaussians, frame, rows, u)
        return loss

    def _clip(self, gaussians: Gaussians, frame: int) -> Tensor:
        pictures, options = self.pictures, self.options
        view = render(gaussians, pictures.clip_camera())
        rgb, alpha = pictures.clip_rgb[frame][None], pictures.clip_alpha[frame][None]
        loss = picture_loss(view, rgb, alpha, torch.ones_like(alpha), options).sum()
        if options.clip > 0:
            loss = loss + options.clip * photometric_loss(view.rgb, rgb, CLIP_SSIM)
        return loss

    def _views(self, gaussians: Gaussians, frame: int, rows: list[int], u: int) -> Tensor:
        pictures, options = self.pictures, self.options
        cameras = pictures.view_cameras(rows)
        view = self._seen(gaussians, cameras, rows)
        W = self._weights(gaussians, cameras, frame, rows, u)
        each = picture_loss(
            view, pictures.view_rgb[rows, frame], pictures.view_alpha[rows, frame], W, options
        )
        if self.lpips is not None:
            each = each + options.lpips * self.lpips.distances(view.rgb, pictures.view_rgb[rows, frame])
        # `trust` is relative to the clip; a source that trusts its views half is weighted half of that.
        loss = options.generated * (pictures.trust[rows, frame] * each).sum()
        if self.offsets is not None:
            loss = loss + options.view_offsets * self.offsets.energy(rows)
        return loss

    def _seen(self, gaussians: Gaussians, cameras: Cameras, rows: list[int]) -> Rendering:
        """Generated views of the Gaussians, each shifted by its own offsets if there are any."""
        if self.offsets is None:
            return render(gaussians, cameras)
        views = [
            render(self.offsets.shifted(gaussians, row), cameras[k : k + 1]) for k, row in enumerate(rows)
        ]
        rgb, depth, alpha = (
            torch.cat([getattr(view, name) for view in views]) for name in ("rgb", "depth", "alpha")
        )
        return Rendering(rgb, depth, alpha)

    def _weights(self, gaussians: Gaussians, cameras: Cameras, frame: int, rows: list[int], u: int) -> Tensor:
        """W [C, s, s] of some views, not older than `visibility_every` steps."""
        if not (self.weigh and self.options.visibility):
            return self.pictures.view_alpha.new_ones(len(rows), cameras.height, cameras.width)
        step, W = self.made.get(frame, (-self.options.visibility_every, None))
        if W is None or u - step >= self.options.visibility_every:
            every = self.pictures.view_cameras(range(self.pictures.num_views))
            W = visibility(gaussians, every, self.options.visibility_floor)
            self.made[frame] = (u, W)
        return W[rows]
