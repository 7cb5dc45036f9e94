"""How torch's threads wait for work."""

from __future__ import annotations

import os


def let_workers_sleep() -> None:
    """Sets `OMP_WAIT_POLICY` to PASSIVE unless it is set. A program calls this before torch is imported.

    torch's OpenMP workers would otherwise spin between two parallel regions and take the cores from our
    own kernels and from every other process. It is the program's decision and not the library's:
    `import ar4d` changes no environment variable.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
