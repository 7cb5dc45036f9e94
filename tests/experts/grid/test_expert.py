"""The expert on a clip of an object, with an untrained network: it hands on the embedded expert's guess."""

from dataclasses import replace

import pytest
import torch

from ar4d.engines.draw_views import draw_views
from ar4d.errors import UserError
from ar4d.events import ViewsDrawn, ViewsImagined
from ar4d.experts.embedded import Embedded
from ar4d.experts.grid import GridExpert, checkpoint
from ar4d.experts.grid.checkpoint import Sampling
from ar4d.experts.grid.conditions import from_network, to_network
from ar4d.experts.grid.config import named
from ar4d.experts.grid.guess import guess_frame
from ar4d.experts.grid.network import GridNetwork
from ar4d.experts.grid.pictures import decided
from ar4d.experts.registry import require
from ar4d.images import premultiply
from tests.experts.grid.tiny import TINY, moved

CPU = torch.device("cpu")
SMALL = replace(named("nano"), channels=16, blocks=1, heads=2, stem=(4, 8))


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    """An ellipse that grows; [3, 64, 64, 4]."""
    line = (torch.arange(64) + 0.5) / 32 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    frames = []
    for k in range(3):
        alpha = (12 * (1 - (x / (0.4 + 0.05 * k)) ** 2 - (y / 0.7) ** 2)).sigmoid()
        frames.append(torch.stack([x / 2 + 0.5, 0.5 - y / 2, torch.full_like(x, 0.3), alpha], -1))
    return torch.stack(frames)


@pytest.fixture(scope="module")
def embedded(clip: torch.Tensor) -> Embedded:
    return Embedded.load(CPU).with_clip(clip)


def expert(embedded: Embedded, network: GridNetwork | None = None, **options) -> GridExpert:
    network = network or GridNetwork(SMALL).eval()
    return GridExpert(network, Sampling(steps=2), embedded, CPU, **options)


def test_pictures_pass_through_the_networks_range():
    rgba = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    premultiplied = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)
    torch.testing.assert_close(from_network(to_network(premultiplied)), premultiplied)
    torch.testing.assert_close(to_network(torch.zeros(1, 4, 2, 2))[0, :, 0, 0], torch.tensor([1.0, 1, 1, -1]))


def test_decided_alpha_keeps_colours_and_ends():
    alpha = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0])
    steep = decided((alpha * torch.tensor([0.2, 0.4, 0.6, 1.0])[:, None])[:, None])
    torch.testing.assert_close(steep[3, 0, [0, 2, 4]], torch.tensor([0.0, 0.5, 1.0]))
    assert steep[3, 0, 1] < 0.02
    assert steep[3, 0, 3] > 0.98
    torch.testing.assert_close(steep[:3, 0, 1:], torch.tensor([[0.2], [0.4], [0.6]]) * steep[3, 0, 1:])


def test_an_untrained_network_hands_on_the_guess(embedded, clip):
    seen = expert(Embedded.load(CPU)).with_clip(clip)
    grid = seen.imagine(clip, None, 0.0, 0)
    assert grid.rgba.shape == (4, 3, 64, 64, 4)
    assert torch.equal(grid.rgba[0], clip)
    assert seen.facing_estimate is not None
    guess = guess_frame(seen.embedded, clip[1], 64)
    found = premultiply(grid.rgba[:, 1]).permute(0, 3, 1, 2)
    torch.testing.assert_close(found[1:], guess[1:], atol=2e-3, rtol=0)
    assert grid.trust[1:].max() < 1
    assert (grid.trust[0] == 1).all()


def test_windows_are_reported_and_an_interrupted_run_goes_on(embedded, clip):
    drawing = expert(embedded, moved(config=SMALL))
    reports: list[tuple[range, torch.Tensor]] = []
    drawing.on_views = lambda frames, rgba: reports.append((frames, rgba))
    whole = drawing.imagine(clip, None, 0.0, 3)
    assert [k for frames, _ in reports for k in frames] == [0, 1, 2]
    for frames, rgba in reports:
        torch.testing.assert_close(rgba, whole.rgba[1:, frames.start : frames.stop])
    begun = torch.cat([rgba for _, rgba in reports[:1]], 1)
    reports.clear()
    again = drawing.imagine(clip, None, 0.0, 3, known=begun)
    assert reports[0][0].start == begun.shape[1]
    torch.testing.assert_close(premultiply(again.rgba), premultiply(whole.rgba), atol=2e-3, rtol=0)


def test_noise_that_is_not_there_draws_alike(embedded, clip):
    drawn = {
        temperature: [
            GridExpert(moved(config=SMALL), Sampling(2, temperature), embedded, CPU)
            .imagine(clip[:1], None, 0.0, seed)
            .rgba
            for seed in (0, 1)
        ]
        for temperature in (0.0, 1.0)
    }
    assert torch.equal(*drawn[0.0])
    assert not torch.equal(*drawn[1.0])


def test_an_engine_sees_the_windows_as_they_come(embedded, clip):
    events = list(draw_views(clip, None, expert(embedded), 0.0, 0))
    drawn = [event for event in events if isinstance(event, ViewsDrawn)]
    assert [(event.start, event.azimuths_deg) for event in drawn] == [
        (0, (90.0, 180.0, 270.0)),
        (2, (90.0, 180.0, 270.0)),
    ]
    assert any(isinstance(event, ViewsImagined) for event in events)


def test_a_hint_is_used_at_its_own_frame(embedded, clip):
    seen = expert(embedded)
    frozen = torch.stack([clip[1], *[clip[0].roll(1, -1)] * 3])
    grid = seen.imagine(clip, frozen, 0.0, 0)
    torch.testing.assert_close(premultiply(grid.rgba[2, 1]), premultiply(frozen[2]), atol=2e-3, rtol=0)
    plain = seen.imagine(clip, None, 0.0, 0)
    torch.testing.assert_close(grid.rgba[:, 2], plain.rgba[:, 2])
    with pytest.raises(UserError, match="4 views and was given a hint of 2"):
        seen.imagine(clip, frozen[:2], 0.0, 0)


@pytest.mark.parametrize("condition", ["column", "transfer"])
def test_the_other_conditions_draw_from_the_hint(embedded, clip, condition):
    seen = expert(embedded, condition=condition)
    frozen = torch.stack([clip[0]] * 4)
    grid = seen.imagine(clip, frozen, 0.0, 0)
    light = premultiply(grid.rgba)
    torch.testing.assert_close(light[1:, 0], premultiply(frozen[1:]), atol=2e-3, rtol=0)
    expected = 0.0 if condition == "column" else float(premultiply(frozen[1])[..., 3].mean())
    # An untrained network leaves an empty cell at 0 in its own range: half transparent grey.
    assert float(light[1, 2, ..., 3].mean()) == pytest.approx(expected or 0.5, abs=0.01)


def test_a_single_frame_and_an_empty_one(embedded, clip):
    single = expert(embedded).imagine(clip[:1], None, 0.0, 0)
    assert single.rgba.shape == (4, 1, 64, 64, 4)
    assert single.rgba[1, 0, ..., 3].max() > 0.5
    gap = clip.clone()
    gap[1, ..., 3] = 0
    grid = expert(embedded, moved(config=SMALL)).imagine(gap, None, 0.0, 0)
    assert not grid.rgba[1:, 1, ..., 3].any()
    assert grid.rgba[1:, 2, ..., 3].any()
    with pytest.raises(UserError, match="every pixel is transparent"):
        expert(embedded).imagine(torch.zeros_like(clip), None, 0.0, 0)


def test_a_subject_at_the_border_is_said(embedded, clip):
    drawing = expert(embedded)
    cut = clip.clone()
    cut[1, 0, :, 3] = 1
    drawing.imagine(cut, None, 0.0, 0)
    assert drawing.warnings == [
        "The subject touches the picture's border in 1 of 3 frames: what is cut off there is missing from "
        "the other sides, too."
    ]


def test_a_raised_camera_sees_renders_from_there(embedded, clip):
    grid = expert(embedded).imagine(clip[:1], None, 20.0, 0)
    assert (grid.elevations_deg == 20).all()
    assert grid.rgba[1:, 0, ..., 3].amax((1, 2)).min() > 0.5


def test_views_are_drawn_over(embedded, clip):
    seen = expert(embedded)
    first = seen.imagine(clip, None, 0.0, 0)
    again = seen.draw_over(clip, first, 2.7, 0)
    torch.testing.assert_close(premultiply(again.rgba), premultiply(first.rgba), atol=4e-3, rtol=0)


def test_the_noise_of_drawing_over_is_what_was_asked_for(embedded, clip):
    first = expert(embedded).imagine(clip[:1], None, 0.0, 0)
    cold, warm = (
        GridExpert(moved(config=SMALL), Sampling(2, temperature), embedded, CPU)
        .draw_over(clip[:1], first, 2.7, 0)
        .rgba
        for temperature in (0.0, 1.0)
    )
    assert torch.equal(cold, warm)


def test_weights_files_are_read_back_and_faults_are_named(tmp_path, monkeypatch):
    path = tmp_path / "grid.safetensors"
    network = moved()
    checkpoint.save(network, Sampling(1, 0.5, True), path)
    found, sampling = checkpoint.load(path)
    assert sampling == Sampling(1, 0.5, True)
    assert found.config == TINY
    torch.testing.assert_close(found.place, network.place.detach(), atol=1e-3, rtol=1e-3)
    monkeypatch.setenv(checkpoint.VARIABLE, str(path))
    assert GridExpert.available(CPU) is None
    with pytest.raises(UserError, match="0°, 90°, 180°, 270° and cannot draw them at 0°, 45°"):
        GridExpert.load(CPU, azimuths_deg=(0, 45))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"no readable file of the grid network's weights .* train\.grid"):
        GridExpert.load(CPU)
    path.unlink()
    with pytest.raises(UserError, match="no readable file"):
        GridExpert.load(CPU)


def test_without_weights_the_sentence_names_the_command(monkeypatch, tmp_path):
    monkeypatch.delenv(checkpoint.VARIABLE, raising=False)
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path / "none")
    with pytest.raises(UserError, match=r"train\.grid\.train_grid.*AR4D_GRID"):
        require("clip_to_views", "grid", CPU)
