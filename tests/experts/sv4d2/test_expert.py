"""The expert on clips, at toy size and through the real checkpoint."""

import dataclasses

import pytest
import torch

from ar4d.engines.ar4d.imagine_views import imagine_views
from ar4d.errors import UserError
from ar4d.events import Progress, ViewsImagined, Warned
from ar4d.experts import memory as shapes
from ar4d.experts.silhouette import Silhouette
from ar4d.experts.sv4d2 import SV4D2, SV4D2_8VIEWS, Sv4d2, autoencoder, framing, memory, sampler
from ar4d.experts.sv4d2.passes import plan
from ar4d.reporting import take_warnings
from ar4d.settings import ReferenceRig
from tests.conftest import ball_frames
from tests.support.toy_sv4d2 import TINY, TINY_8VIEWS, save_checkpoint

SIZE = 24
FEW = dataclasses.replace(TINY, frames=2)
"""Two frames at a time, so that three make two passes; the weights are the same."""


def clip_of(num_frames):
    return torch.from_numpy(ball_frames(num_frames, SIZE)).float() / 255


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A checkpoint for each of the two models."""
    folder = tmp_path_factory.mktemp("sv4d2")
    for config in (TINY, TINY_8VIEWS):
        save_checkpoint(folder, config)
    return folder


def loaded(config, folder, steps=1):
    return Sv4d2.load(dataclasses.replace(config, steps=steps), "cpu", folder)


@pytest.mark.parametrize("config", [TINY, TINY_8VIEWS], ids=lambda config: config.name)
@pytest.mark.parametrize("num_frames", [1, 5, 12, 13, 23, 24, 60])
def test_clips_of_any_length(config, num_frames, folders, monkeypatch):
    """With the networks at toy size; stand-ins for the two that draw where the clip is long."""
    expert = loaded(config, folders)
    if num_frames > 13:
        stand_in(monkeypatch)
    drawn, progress = [], []
    expert.on_views = lambda frames, rgba: drawn.append((frames, rgba.shape))
    expert.on_progress = lambda *news: progress.append(news)
    clip = clip_of(num_frames)
    grid = expert.imagine(clip, None, 10.0, 5)
    assert grid.rgba.shape == (config.views + 1, num_frames, SIZE, SIZE, 4)
    assert torch.equal(grid.rgba[0], clip)
    assert grid.azimuths_deg.tolist() == [0, *config.azimuths_deg]
    assert grid.elevations_deg.tolist() == [10.0] * (config.views + 1)
    assert bool((grid.trust[0] == 1).all())
    assert bool((grid.trust[1:] < 1).all())
    parts = plan(num_frames, config.frames)
    assert [frames for frames, _ in drawn] == [part.drawn for part in parts]
    assert all(shape == (config.views, len(frames), SIZE, SIZE, 4) for frames, shape in drawn)
    assert set().union(*(frames for frames, _ in drawn)) == set(range(num_frames))
    tasks = list(dict.fromkeys(task for task, _, _ in progress))
    passes = [f"views, pass {n + 1} of {len(parts)}" for n in range(len(parts))]
    assert tasks == ["reading the clip", *passes]
    assert all(done <= total for _, done, total in progress)


def stand_in(monkeypatch):
    """Shows the noise as it is, in place of the U-Net and the decoder."""

    def sample(unet, x, conditioning, weights, sigmas, **options):
        options["on_step"](1, 1)
        return x

    def decode(network, latents):
        return torch.nn.functional.interpolate(latents[:, :3].sigmoid(), scale_factor=2)

    monkeypatch.setattr(sampler, "sample", sample)
    monkeypatch.setattr(autoencoder, "decode", decode)


def test_the_same_seed_draws_the_same_and_another_does_not(folders):
    expert = loaded(FEW, folders)
    clip = clip_of(2)
    first = expert.imagine(clip, None, 0.0, 1).rgba
    assert torch.equal(expert.imagine(clip, None, 0.0, 1).rgba, first)
    assert not torch.equal(expert.imagine(clip, None, 0.0, 2).rgba, first)


def test_a_short_clip_is_filled_up_with_its_last_frame(folders, monkeypatch):
    seen = []
    monkeypatch.setattr(sampler, "sample", lambda unet, x, given, *_, **__: seen.append(given) or x)
    loaded(TINY, folders).imagine(clip_of(5), None, 0.0, 1)
    (given,) = seen
    assert len(given.concat) == TINY.frames
    assert torch.equal(given.concat[5:], given.concat[4:5].expand_as(given.concat[5:]))
    assert not torch.equal(given.concat[3], given.concat[4])


def test_what_the_network_is_given(folders, monkeypatch):
    """Latents that condition are not scaled; the later pass sees its first frame as drawn before,
    decoded and encoded again; the first pass sees zeros."""
    seen = []

    def sample(unet, x, given, weights, sigmas, **options):
        seen.append((x, given))
        return x / 700

    monkeypatch.setattr(sampler, "sample", sample)
    expert = loaded(FEW, folders)
    clip = clip_of(3)
    expert.imagine(clip, None, 0.0, 1)
    zoom = framing.find_zoom(clip[..., 3], TINY.size)
    pictures = framing.zoomed(clip, zoom)
    vae = expert.networks.autoencoder
    (first, given), (_, later) = seen
    assert torch.allclose(given.concat, autoencoder.encode(vae, pictures[:2]), atol=1e-5)
    assert torch.allclose(later.concat, autoencoder.encode(vae, pictures[1:]), atol=1e-5)
    assert not given.reference.any()
    rows = first.unflatten(0, (FEW.frames, FEW.views))[1] / 700  # of frame 1, with which pass 2 begins
    drawn = autoencoder.decode(vae, rows)
    assert torch.allclose(later.reference, autoencoder.encode(vae, drawn), atol=1e-4)


@pytest.mark.parametrize("number", range(len(memory.FITS)))
def test_every_way_of_using_the_memory_draws_the_same(number, folders):
    expert, clip = loaded(FEW, folders, steps=2), clip_of(2)
    expected = expert.imagine(clip, None, 0.0, 1).rgba
    other = loaded(FEW, folders, steps=2)
    other._fit = number
    assert (other.imagine(clip, None, 0.0, 1).rgba - expected).abs().max() < 0.02  # rounding, then 8 bits


def test_on_a_full_memory_it_goes_on_with_less_and_says_so(folders, monkeypatch):
    expert, clip = loaded(FEW, folders), clip_of(3)
    expected = loaded(FEW, folders).imagine(clip, None, 0.0, 1).rgba
    right, attempts = sampler.sample, []

    def sample(*args, **options):
        attempts.append(options["halves_at_once"])
        if len(attempts) == 2:  # in the second pass
            raise torch.OutOfMemoryError("CUDA out of memory")
        return right(*args, **options)

    monkeypatch.setattr(sampler, "sample", sample)
    passes = []
    expert.on_views = lambda frames, rgba: passes.append(frames)
    grid = expert.imagine(clip, None, 0.0, 1)
    assert attempts == [True, True, False]  # the first pass is not drawn again
    assert passes == [range(2), range(1, 3)]
    assert (grid.rgba - expected).abs().max() < 0.02
    (warned,) = take_warnings(expert)
    assert warned.message == (
        "Memory ran out in SV4D 2.0: it goes on with less (one guidance half at a time)."
    )
    assert take_warnings(expert) == []


def test_when_the_smallest_way_is_too_large_one_sentence_says_so(folders, monkeypatch):
    def full(*args, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sampler, "sample", full)
    expert = loaded(FEW, folders)
    with pytest.raises(UserError, match="close other programs that use it, or take another") as refusal:
        expert.imagine(clip_of(1), None, 0.0, 1)
    assert "\n" not in str(refusal.value)
    assert len(expert.warnings) == len(memory.FITS) - 1


def test_other_errors_are_not_taken_for_a_full_memory(folders, monkeypatch):
    def broken(*args, **options):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(sampler, "sample", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        loaded(FEW, folders).imagine(clip_of(1), None, 0.0, 1)


def test_a_run_that_was_broken_off_goes_on_with_what_it_drew(folders):
    clip = clip_of(3)
    whole = loaded(FEW, folders).imagine(clip, None, 0.0, 1)
    kept = []
    expert = loaded(FEW, folders)

    class Enough(Exception):
        pass

    def stop(frames, rgba):
        kept.append(rgba.clone())
        raise Enough

    expert.on_views = stop
    with pytest.raises(Enough):
        expert.imagine(clip, None, 0.0, 1)
    passes = []
    expert.on_views = lambda frames, rgba: passes.append(frames)
    resumed = expert.imagine(clip, None, 0.0, 1, known=kept[0])
    assert passes == [range(1, 3)]
    assert torch.equal(resumed.rgba[1:, 0], whole.rgba[1:, 0])


def test_drawing_over_begins_with_the_views(folders, monkeypatch):
    """x = 0.18215 z + σ ε, denoised by the levels from σ down; the latents z are the views' own."""
    expert, clip = loaded(FEW, folders, steps=6), clip_of(3)
    views = expert.imagine(clip, None, 0.0, 1)
    starts, levels = [], []

    def instead(unet, x, conditioning, weights, sigmas, **rest):
        starts.append(x)
        levels.append(sigmas)
        return x

    monkeypatch.setattr(sampler, "sample", instead)
    expert.draw_over(clip, views, 2.0, seed=4)
    again = expert.draw_over(clip, views, 2.0, seed=5)
    assert len(starts) == 4  # two passes each
    assert levels[0][0] == 2.0
    assert float(levels[0][-1]) == 0.0
    assert bool((levels[0][1:] < levels[0][:-1]).all())
    zoom = framing.find_zoom(clip[..., 3], FEW.size)
    first = autoencoder.encode(expert.networks.autoencoder, framing.zoomed(views.rgba[2, :1], zoom))
    noise = (starts[0] - starts[2]).unflatten(0, (FEW.frames, FEW.views))[0, 1]
    mean = ((starts[0] + starts[2]) / 2).unflatten(0, (FEW.frames, FEW.views))[0, 1]
    assert 2.0 < float(noise.std()) < 4.0  # √2 σ
    assert float((mean - 0.18215 * first[0]).std()) < 2.0  # σ / √2
    assert again.rgba.shape == views.rgba.shape


def test_views_to_draw_over_must_have_its_azimuths(folders):
    expert, clip = loaded(TINY, folders), clip_of(1)
    grid = expert.imagine(clip, None, 0.0, 1)
    other = dataclasses.replace(grid, azimuths_deg=grid.azimuths_deg + torch.tensor([0.0, 7, 0, 0, 0]))
    with pytest.raises(UserError, match="no view at"):
        expert.draw_over(clip, other, 2.0)


def test_numbers_that_are_not_finite_are_no_pictures(folders, monkeypatch):
    monkeypatch.setattr(sampler, "sample", lambda unet, x, *_, **__: x * float("nan"))
    with pytest.raises(UserError, match="made numbers that are not finite; check the weights"):
        loaded(FEW, folders).imagine(clip_of(1), None, 0.0, 1)


def test_azimuths_can_be_chosen_but_not_their_number(folders):
    expert = Sv4d2.load(FEW, "cpu", folders, azimuths_deg=SV4D2.orthogonal_deg)
    grid = expert.imagine(clip_of(1), None, 0.0, 1)
    assert all(grid.row(azimuth) is not None for azimuth in (0, 90, 180, 270))
    with pytest.raises(UserError, match="draws 4 views at a time and 3 azimuths were given; give 4"):
        Sv4d2.load(FEW, "cpu", folders, azimuths_deg=(90, 180, 270))
    assert len(SV4D2_8VIEWS.orthogonal_deg) == SV4D2_8VIEWS.views
    assert {90, 180, 270} <= set(SV4D2_8VIEWS.orthogonal_deg)


def test_a_clip_that_shows_nothing_is_refused(folders):
    with pytest.raises(UserError, match="No frame of the clip shows anything"):
        loaded(FEW, folders).imagine(torch.zeros(2, SIZE, SIZE, 4), None, 0.0, 1)


def test_the_stage_passes_on_progress_warnings_and_views(folders, monkeypatch):
    stand_in(monkeypatch)
    clip, expert = clip_of(3), loaded(FEW, folders)
    expert.warnings.append("It goes on with less.")
    first = Silhouette().lift(clip[0], 100)
    rig = ReferenceRig(size=SIZE, pseudo_size=SIZE, elevation_deg=0.0, sides_deg=90)
    events = list(imagine_views(clip, first, expert, rig, seed=1))
    tasks = [event.task for event in events if isinstance(event, Progress)]
    assert list(dict.fromkeys(tasks)) == ["reading the clip", "views, pass 1 of 2", "views, pass 2 of 2"]
    assert [event.message for event in events if isinstance(event, Warned)] == ["It goes on with less."]
    (views,) = (event.grid for event in events if isinstance(event, ViewsImagined))
    assert views is not None
    assert views.num_views == 5


@pytest.mark.slow
@pytest.mark.parametrize("config", [SV4D2, SV4D2_8VIEWS], ids=lambda config: config.name)
def test_what_is_written_down_of_the_memory_is_what_the_shapes_give(config):
    *steps, encoding, decoding, tower = shapes.sv4d2(config)
    needs = memory.NEEDS[config.name]
    for step, written in zip(steps, needs.step, strict=True):
        assert step.weights_gib == pytest.approx(needs.unet, abs=0.06)
        assert step.pass_gib == pytest.approx(written, abs=0.06)
    assert decoding.weights_gib == pytest.approx(needs.autoencoder, abs=0.06)
    assert max(encoding.pass_gib, decoding.pass_gib) == pytest.approx(needs.decoding, abs=0.06)
    assert tower.gib < min(needs.step)  # so the tower's turn is never the largest


def test_the_memory_that_was_promised():
    """4 views at 576²: below 15 GiB, and below 10 one half at a time."""
    whole, halved, streamed = (memory.needed_gib(SV4D2.name, number) for number in range(3))
    assert whole < 15
    assert halved < 10
    assert streamed < 5
    assert memory.least_gib(SV4D2.name) == streamed
    assert memory.first_fit(SV4D2.name, torch.device("cpu")) == 0


@pytest.mark.parametrize(("free_gib", "number"), [(24, 0), (9, 1), (6, 2), (1, 2)])
def test_the_first_way_that_fits_is_taken(free_gib, number, monkeypatch):
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free_gib * 2**30, 24 * 2**30))
    assert memory.first_fit(SV4D2.name, torch.device("cuda")) == number
