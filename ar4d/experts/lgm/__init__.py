"""LGM: four orthogonal views become Gaussians in one pass (Tang et al., arXiv 2402.05054)."""

from ar4d.experts.lgm.expert import LGM

__all__ = ["LGM"]
