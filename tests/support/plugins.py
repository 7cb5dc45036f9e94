"""Parts from outside: registries that are put back, and packages installed as pip leaves them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from ar4d import plugins, presets
from ar4d.engines import registry as engines
from ar4d.experts import registry as experts
from ar4d.formats import paths, registry


@pytest.fixture
def registries() -> Iterator[None]:
    """What the test registers or installs is forgotten after it."""
    modules = set(sys.modules)
    with (
        mock.patch.dict(experts._registered),
        mock.patch.dict(engines._registered),
        mock.patch.dict(presets.PRESETS),
        mock.patch.dict(registry.FORMATS),
        mock.patch.object(paths, "FILE_ENDINGS", set(paths.FILE_ENDINGS)),
    ):
        plugins.load.cache_clear()
        yield
    for name in set(sys.modules) - modules:
        if name.startswith(PREFIX):
            del sys.modules[name]
    plugins.load.cache_clear()


PREFIX = "ar4d_toy_"  # of the modules that `install` writes


def install(folder: Path, group: str, name: str, source: str, attribute: str = "PART") -> Path:
    """Writes a package with one entry point; returns the folder that has to be on the path."""
    module = PREFIX + name
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{attribute}\n")
    return folder
