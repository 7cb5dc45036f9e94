"""Scenes: Splatt3R, which the paper uses for them (arXiv 2408.13912), behind the accepted licence."""

from ar4d.experts.splatt3r.config import LICENCE, WEIGHTS
from ar4d.experts.splatt3r.expert import Splatt3r

__all__ = ["LICENCE", "WEIGHTS", "Splatt3r"]
