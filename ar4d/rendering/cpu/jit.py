"""How the kernels are compiled, and where the compiled code is kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numba

# No `nnan`: a Gaussian with a NaN is found by comparing. No `reassoc`: the same sums in the same order.
FASTMATH = {"contract", "nsz", "arcp", "afn", "reassoc"}


def _ensure_cache_folder() -> None:
    """Numba keeps compiled code beside the source or in the user's folder; failing both, in a temporary one."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    if numba.config.CACHE_DIR or _writable(Path(__file__).parent) or _writable(home):
        return
    folder = Path(tempfile.gettempdir()) / f"ar4d-numba-{os.getuid() if hasattr(os, 'getuid') else 0}"
    numba.config.CACHE_DIR = str(folder)


def _writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


_ensure_cache_folder()

# Kernels run without the GIL, so that ordinary threads share their work (see parallel.py).
kernel = numba.njit(nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy", boundscheck=False)
