"""What is said of the experts' memory: the counter itself, and the figures the project promises."""

import pytest
import torch
from torch import nn

from ar4d.experts import memory
from ar4d.experts.hardware import GIB
from ar4d.experts.splatt3r.expert import CPU_GIB, GPU_GIB
from ar4d.experts.wan import WAN_2_1_SMALL
from ar4d.experts.wan.memory import NEEDS


def test_tensors_are_counted_while_they_live():
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(100, 1000), nn.ReLU(), nn.Linear(1000, 10))
    x = memory.meta(8, 100, dtype=torch.float32)
    counted = memory.measure("toy", network, lambda: network(x))
    weights = 4 * (100 * 1000 + 1000 + 1000 * 10 + 10)
    hidden = 4 * 8 * 1000
    assert counted.parameters * 4 == weights
    assert counted.weights_gib * GIB == pytest.approx(weights)
    assert counted.pass_gib * GIB == pytest.approx(2 * hidden)  # before and after the ReLU


def test_views_and_steps_in_place_cost_nothing():
    def run():
        x = torch.zeros(1000, device="meta")
        x.view(10, 100).t().add_(1)
        del x
        torch.zeros(500, device="meta")

    counted = memory.measure("none", nn.Module(), run)
    assert counted.pass_gib * GIB == pytest.approx(4000)


def test_attention_makes_its_result_only():
    q = memory.meta(1, 2, 4096, 8)
    counted = memory.measure(
        "attention", nn.Module(), lambda: nn.functional.scaled_dot_product_attention(q, q, q)
    )
    assert counted.pass_gib * GIB == pytest.approx(2 * 4096 * 8 * 2)


def test_lgm_takes_less_than_3_gb_on_its_own():
    assert memory.lgm().gib * GIB + 0.5e9 < 3e9  # with the CUDA context


def test_imagedream_and_lgm_take_less_than_10_gb_even_if_all_is_loaded_at_once():
    parts = [memory.lgm(), *memory.imagedream()]
    together = sum(part.weights_gib for part in parts) + max(part.pass_gib for part in parts)
    assert together * GIB + 0.5e9 < 10e9


def test_splatt3r_takes_what_the_expert_asks_for():
    counted = memory.splatt3r()
    assert counted.parameters == 606_855_716
    assert counted.weights_gib == pytest.approx(2.26, abs=0.01)
    assert counted.gib + 0.5 < min(GPU_GIB, CPU_GIB)  # with the CUDA context


def test_what_is_written_down_of_wan_is_what_its_shapes_give():
    """The smaller one; the larger takes half a minute and goes the same way."""
    encoder, denoiser, tile = memory.wan(WAN_2_1_SMALL, whole=False)
    needs = NEEDS[WAN_2_1_SMALL.name]
    assert encoder.weights_gib == pytest.approx(needs.text_encoder, abs=0.06)
    assert denoiser.weights_gib == pytest.approx(needs.transformer, abs=0.06)
    assert denoiser.pass_gib == pytest.approx(needs.denoising, abs=0.06)
    assert tile.weights_gib == pytest.approx(needs.vae, abs=0.06)
    assert tile.pass_gib == pytest.approx(needs.decoding_tile, abs=0.06)
