"""The examples run, at a size that takes seconds."""

import inspect
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))
SMALL = {"num_frames": 3, "steps": 2, "size": 32, "formats": ("ply",)}


def test_there_are_examples():
    assert [path.name[:2] for path in EXAMPLES] == [f"{k:02d}" for k in range(1, len(EXAMPLES) + 1)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path, tmp_path, settings, capsys):
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    example = module_from_spec(spec)
    spec.loader.exec_module(example)
    values = {**SMALL, "out": tmp_path / "out", "settings": settings}
    wanted = inspect.signature(example.main).parameters
    example.main(**{name: value for name, value in values.items() if name in wanted})
    assert capsys.readouterr().out
