from dataclasses import FrozenInstanceError

import pytest

from ar4d.errors import UserError
from ar4d.presets import (
    CPU,
    CPU_DRAFT,
    CPU_FINE,
    FAST,
    PAPER,
    PRESETS,
    QUALITY,
    comparison,
    default_for,
    find,
)
from ar4d.settings import FACING_DEG, facing_words


def test_paper_preset_has_the_papers_numbers():
    generate, refine = PAPER.generate, PAPER.refine
    for field in (generate.field, refine.field):
        assert (field.kind, field.depth, field.width, field.frequencies) == ("mlp", 8, 256, 10)
        assert (field.lr, field.lr_final) == (5e-4, 1e-6)
    assert (generate.iterations, generate.l1) == (2000, 0.8)
    assert (generate.max_azimuth, generate.start_azimuth, generate.steps_per_degree) == (180, 1, 10)
    assert (refine.iterations, refine.l1, refine.rgb, refine.warm_start) == (30000, 1.0, 0.0, 0)
    assert refine.target == "generated"
    # nothing that the paper does not have
    assert (PAPER.initialize.preservation, generate.alpha) == (0, 0)


def test_pseudo_views_reach_all_around_before_every_preset_ends():
    for settings in (PAPER, QUALITY, FAST, CPU_DRAFT, CPU, CPU_FINE):
        g = settings.generate
        assert g.start_azimuth + g.iterations / g.steps_per_degree >= g.max_azimuth, settings.preset


def test_presets_are_frozen_and_compared_in_a_table():
    with pytest.raises(FrozenInstanceError):
        CPU.seed = 1  # type: ignore[misc]
    header, *rows = comparison()
    assert header == ["", *(name for name, preset in PRESETS.items() if preset.settings.engine == "ar4d")]
    values = {name: dict(zip(header[1:], row, strict=True)) for name, *row in rows}
    assert values["generate.field.kind"]["cpu"] == "node-table"
    assert "seed" not in values  # the same in all


def test_every_engine_with_presets_has_its_table():
    header, *rows = comparison("sv4d2")
    assert header == ["", "sv4d2", "sv4d2-cpu"]
    assert ["view_size", "256", "128"] in rows


def test_a_preset_is_found_by_name_and_by_device():
    assert find("cpu").settings is CPU
    assert (default_for("cpu").name, default_for("cuda").name) == ("cpu", "quality")
    assert {preset.device for preset in PRESETS.values()} == {"cpu", "cuda"}
    with pytest.raises(UserError, match='no preset "best"; choose one of: paper, quality'):
        find("best")


def test_an_azimuth_in_words_is_the_nearest_and_its_opposite():
    assert facing_words(-90) == facing_words(85) == "right or left"
    assert facing_words(-50) == "back-right or front-left"
    for name, degrees in FACING_DEG.items():
        assert name in facing_words((degrees + 20 + 90) % 180 - 90).split(" or ")
