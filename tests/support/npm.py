"""npm packages of a folder with a lock file, installed when they are first needed."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

NODE, NPM = shutil.which("node"), shutil.which("npm")
needs_npm = pytest.mark.skipif(NODE is None or NPM is None, reason="no Node.js with npm on this machine")


@cache
def install(folder: Path) -> Path:
    """Installs the pinned packages; a failure is an error of the test, not a reason to skip it.

    Returns:
        The folder's node_modules.
    """
    modules, wanted = folder / "node_modules", (folder / "package-lock.json").read_bytes()
    stamp = modules / ".installed-lock.json"
    with FileLock(folder / ".npm.lock"):  # other processes of the same test run need them too
        if not stamp.exists() or stamp.read_bytes() != wanted:
            subprocess.run([NPM or "npm", "ci"], cwd=folder, check=True, capture_output=True, timeout=600)
            stamp.write_bytes(wanted)
    return modules
