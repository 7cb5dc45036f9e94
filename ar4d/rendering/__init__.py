"""`render`: Gaussians seen by cameras. Differentiable; one signature, one behaviour, any device."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ar4d.cameras import Cameras
from ar4d.gaussians import Gaussians

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Rendering:
    """C views. `depth` is Σ wᵢ zᵢ, not divided by alpha; the background counts as depth 0."""

    rgb: Tensor  # [C, H, W, 3]
    depth: Tensor  # [C, H, W] world units
    alpha: Tensor  # [C, H, W] in [0, 1]


def render(
    gaussians: Gaussians, cameras: Cameras, background: tuple[float, float, float] | None = WHITE
) -> Rendering:
    """Renders every Gaussian into every camera by front-to-back blending (the paper's Eq. 1).

    Projection and blending follow gsplat's "classic" mode: EWA splats widened by 0.3 px², alpha
    capped at 0.999 and cut below 1/255, a pixel closed once its transmittance falls to 1e-4.
    Differentiable with respect to all five attributes of the Gaussians, not to the cameras.

    Locked by `test_images_and_gradients_match_the_dense_reference` (tests/rendering/test_rendering.py).

    Args:
        gaussians: N Gaussians; N may be 0.
        cameras: C cameras, on any device: they follow the Gaussians.
        background: colour behind the object, or None for premultiplied colour on nothing.

    Raises:
        UserError: the Gaussians are on a CUDA device and gsplat cannot be compiled there.
    """
    if gaussians.means.is_cuda:
        from ar4d.rendering.cuda import rasterize
    else:
        from ar4d.rendering.cpu import rasterize
    return Rendering(*rasterize(gaussians, cameras.to(gaussians.means.device), background))
