"""Pre-trained parts behind small protocols; the registry decides which of them this machine can run."""

from ar4d.experts.protocols import (
    ImageToGaussians,
    SceneToGaussians,
    Unavailable,
    ViewsToGaussians,
    WatchesClip,
)

__all__ = ["ImageToGaussians", "SceneToGaussians", "Unavailable", "ViewsToGaussians", "WatchesClip"]
