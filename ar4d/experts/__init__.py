"""Pre-trained parts behind small protocols; the registry decides which of them this machine can run."""

from ar4d.experts.protocols import (
    ClipAware,
    ImageToGaussians,
    SceneToGaussians,
    Unavailable,
    ViewsToGaussians,
)

__all__ = ["ClipAware", "ImageToGaussians", "SceneToGaussians", "Unavailable", "ViewsToGaussians"]
