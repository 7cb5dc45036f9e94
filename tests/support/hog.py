"""A task that takes memory or time, as a hostile file would. It imports nothing heavy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Hog:
    """Takes memory, then time; returns the bytes that it took."""

    megabytes: int = 0
    seconds: float = 0.0

    def work(self, report: Any, stopped: Any) -> int:
        block = b"x" * (self.megabytes * 10**6)
        time.sleep(self.seconds)
        return len(block)
