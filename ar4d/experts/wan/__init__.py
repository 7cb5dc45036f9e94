"""Wan: clips from prompts and from pictures (Apache-2.0), in diffusers' stock pipelines."""

from ar4d.experts.wan.config import WAN_2_1_SMALL, WAN_2_2, WanConfig
from ar4d.experts.wan.expert import Wan

__all__ = ["WAN_2_1_SMALL", "WAN_2_2", "Wan", "WanConfig"]
