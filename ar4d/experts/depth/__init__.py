"""Scenes: a monocular depth network, lifted to Gaussians in the reference camera."""

from ar4d.experts.depth.expert import INDOOR, OUTDOOR, DepthAnything, DepthLift

__all__ = ["INDOOR", "OUTDOOR", "DepthAnything", "DepthLift"]
