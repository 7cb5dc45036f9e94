"""Packages whose parts cannot be used: named, and the program continues without them."""

from __future__ import annotations

import pytest
import torch

from ar4d import presets
from ar4d.cli import main
from ar4d.engines import registry as engines
from ar4d.errors import UserError
from ar4d.experts import registry as experts
from ar4d.formats import registry as formats
from tests.support.plugins import install
from tests.support.plugins import registries as registries  # a fixture

GROUPS = ("ar4d.experts", "ar4d.engines", "ar4d.presets", "ar4d.formats")


@pytest.fixture
def broken(registries, tmp_path, monkeypatch) -> None:
    """A package for every group that fails to import, and one that brings something else."""
    site = tmp_path / "site"
    for group in GROUPS:
        name = group.partition(".")[2]
        install(site, group, name, "import a_package_that_is_missing")
        install(site, group, f"odd_{name}", "PART = 7")
    monkeypatch.syspath_prepend(site)


def test_experts_and_doctor_name_them(broken, capsys):
    assert main(["experts"]) == 0
    listed = capsys.readouterr().out
    assert (
        'The plugin "experts" of the package ar4d_toy_experts cannot be imported (ModuleNotFoundError: '
        in listed
    )
    assert "a_package_that_is_missing" in listed
    assert 'The plugin "odd_experts" of the package ar4d_toy_odd_experts cannot be imported' in listed
    assert "it is not of the type Entry" in listed
    assert "silhouette" in listed
    assert main(["doctor"]) == 0
    listed = capsys.readouterr().out
    for group in GROUPS:
        name = group.partition(".")[2]
        assert listed.count(f'The plugin "{name}" of the package ar4d_toy_{name} cannot be imported') == 1
        assert listed.count(f'The plugin "odd_{name}" of the package') == 1


def test_the_program_continues_without_them(broken):
    entry, _ = experts.require("image_to_gaussians", "silhouette", torch.device("cpu"))
    assert entry.name == "silhouette"
    assert engines.engine_named("ar4d").name == "ar4d"
    assert presets.find("cpu").name == "cpu"
    assert formats.find_format("ply").name == "ply"


@pytest.mark.parametrize(
    ("ask", "group"),
    [
        (lambda: experts.named("missing"), "experts"),
        (lambda: experts.require("views_to_gaussians", "missing", torch.device("cpu")), "experts"),
        (lambda: engines.engine_named("missing"), "engines"),
        (lambda: presets.find("missing"), "presets"),
        (lambda: formats.find_format("missing"), "formats"),
    ],
)
def test_who_asks_for_a_missing_part_is_told_what_was_not_imported(broken, ask, group):
    with pytest.raises(UserError, match=rf'"missing".*choose one of: .*The plugin "{group}" of the package'):
        ask()
