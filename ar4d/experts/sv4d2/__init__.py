"""SV4D 2.0: a clip becomes several, seen from other sides."""

from ar4d.experts.sv4d2.config import LICENCE, SV4D2, SV4D2_8VIEWS, Sv4d2Config
from ar4d.experts.sv4d2.expert import Sv4d2

__all__ = ["LICENCE", "SV4D2", "SV4D2_8VIEWS", "Sv4d2", "Sv4d2Config"]
