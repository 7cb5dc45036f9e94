"""A prompt, or a picture, becomes a clip that can be lifted."""

from ar4d.imagine.gate import GateLimits, Verdict, judge
from ar4d.imagine.imagine import Imagined, ImagineSettings, experts_of, imagine, save

__all__ = ["GateLimits", "ImagineSettings", "Imagined", "Verdict", "experts_of", "imagine", "judge", "save"]
