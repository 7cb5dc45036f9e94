"""ImageDream and MVDream: four views of an object, and the chain from a picture to Gaussians."""

from ar4d.experts.imagedream.expert import ImageDream, MVDream
from ar4d.experts.imagedream.lift import ImageDreamLGM

__all__ = ["ImageDream", "ImageDreamLGM", "MVDream"]
