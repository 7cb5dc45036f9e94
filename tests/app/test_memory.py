"""Memory that a server gives back."""

from __future__ import annotations

import os
import sys

import psutil
import pytest

from app.memory import give_back

glibc = sys.platform.startswith("linux") and "glibc" in (os.confstr("CS_GNU_LIBC_VERSION") or "")


@pytest.mark.skipif(not glibc, reason="the C library is not glibc")
def test_free_memory_goes_back_to_the_system() -> None:
    process, mb = psutil.Process(), 1 << 20
    small = [bytes(1000) for _ in range(150_000)]
    kept = small[::1000]  # holes between them, so that the top of the heap stays where it is
    used = process.memory_info().rss
    del small
    give_back()
    assert used - process.memory_info().rss > 50 * mb
    assert len(kept) == 150
