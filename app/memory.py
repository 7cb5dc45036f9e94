"""Memory that is free in this process, given back to the system."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> bool:
    """Returns whether the C library gave anything back.

    Many threads with short lives leave glibc's heaps full of holes: without this, a server grew from 0.6 to
    1.7 GB in a soak of half an hour.
    """
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    return trim is not None and bool(trim(0))
