"""How kernels are compiled, and where the compiled code is kept."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numba
import platformdirs

# No `nnan`: a Gaussian with a NaN is found by comparing.
FASTMATH = {"contract", "nsz", "arcp", "afn", "reassoc"}
OPTIONS = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy", "boundscheck": False}
SETTINGS = numba.config.__dict__


def kernel(function: Callable) -> Callable:
    """Compiles `function` with Numba when it is first called, or reads it from the cache.

    Kernels run without the GIL, so that ordinary threads can share their work (see parallel.py).
    """
    before = SETTINGS["CACHE_DIR"]
    # Read while decorating; other users of Numba keep theirs.
    SETTINGS["CACHE_DIR"] = cache_folder(Path(function.__code__.co_filename).parent)
    try:
        return numba.njit(cache=True, **OPTIONS)(function)
    finally:
        SETTINGS["CACHE_DIR"] = before


def part(function: Callable) -> Callable:
    """A piece of kernels, always compiled into them.

    Were it left to LLVM, a process that compiles a kernel could call the piece as compiled by itself,
    and one that reads the kernel from the cache the copy in there, which may round differently.
    """
    return numba.njit(forceinline=True, **OPTIONS)(function)


@cache
def cache_folder(package: Path) -> str:
    """A writable folder for the compiled kernels of this version of `package`.

    Numba recompiles a function when its own file changes, but not when a function that it inlines
    does; so each state of the sources, those of this package and of the rasteriser included, has a folder
    of its own.
    """
    here = Path(__file__).parent
    folders = dict.fromkeys((here, here.parent / "rendering" / "cpu", package))
    sources = b"".join(path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py")))
    name = f"kernels-{hashlib.sha256(sources).hexdigest()[:12]}"
    for folder in (SETTINGS["CACHE_DIR"], here / "__pycache__", platformdirs.user_cache_path("ar4d")):
        if folder and _writable(Path(folder)):
            return str(Path(folder) / name)
    return tempfile.mkdtemp(prefix="ar4d-kernels-")


def _writable(folder: Path) -> bool:
    """Whether files could be written there, should it have to be made first too."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
