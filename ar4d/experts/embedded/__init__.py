"""The embedded expert: reconstruction networks small enough to come with the program."""

from ar4d.experts.embedded.clip_views import EmbeddedViews
from ar4d.experts.embedded.expert import Embedded

__all__ = ["Embedded", "EmbeddedViews"]
