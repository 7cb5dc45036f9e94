"""`import ar4d` as a user finds it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ar4d

ROOT = Path(__file__).parents[1]


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_every_name_of_the_api_is_there():
    for name in ar4d.__all__:
        assert getattr(ar4d, name) is not None
    assert set(ar4d.__all__) <= set(dir(ar4d))
    with pytest.raises(AttributeError, match="no attribute 'lfit'"):
        _ = ar4d.lfit


def test_type_checkers_see_the_same_names():
    source = ast.parse((ROOT / "ar4d/__init__.py").read_text())
    (block,) = (node for node in source.body if isinstance(node, ast.If))
    imported = {
        alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imported | {"__version__"} == set(ar4d.__all__)


def test_the_import_is_light_and_changes_no_environment():
    code = "import os; a = dict(os.environ); import ar4d, sys; print('torch' in sys.modules, a == os.environ)"
    assert python(code) == "False True"
    # the fastest of three: other processes may have the cores
    seconds = min(
        float(python("import time; t = time.time(); import ar4d; print(time.time() - t)")) for _ in "123"
    )
    assert seconds < 0.3


def test_a_clip_becomes_an_asset_in_one_call(clip, settings):
    events = []
    asset = ar4d.lift(clip, settings, on_event=events.append)
    assert asset.num_frames == clip.num_frames
    assert [type(event).__name__ for event in (events[0], events[-1])] == ["Planned", "Finished"]
    assert ar4d.render(asset.at(0.5), ar4d.orbit(30.0, size=16)).rgb.shape == (1, 16, 16, 3)
