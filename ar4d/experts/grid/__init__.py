"""A grid of views and times by two synchronised streams, after 4Real-Video (Wang et al., arXiv 2412.04462).

The authors have published neither code nor weights. Layout, equations and training follow the paper at a
small scale; each file says where it is silent and what was chosen. docs/research/grid.md has what was
measured.
"""

from ar4d.experts.grid.expert import GridExpert

__all__ = ["GridExpert"]
