"""Stage 2 fed with the true views of the whole clip: the seam for clip-to-views experts.

The back sheet moves away behind the front one, which hides it from the clip's camera. Only views from
other sides show that; the expert carves what it is shown, so that better views give better Gaussians.
"""

from dataclasses import replace

import torch

from ar4d.cameras import orbit
from ar4d.clip import ClipSettings
from ar4d.engines.ar4d.pseudo_views import GridViews, RenderedViews
from ar4d.events import ExpertChosen, Planned, StageStarted, ViewsImagined
from ar4d.experts import registry
from ar4d.experts.registry import Entry
from ar4d.lifting import lift_events
from ar4d.losses import psnr
from ar4d.rendering import render
from ar4d.runs import Recipe, Run
from ar4d.settings import ViewSettings
from ar4d.views import ViewGrid
from tests.engines.ar4d.test_generate import TINY, fit
from tests.engines.ar4d.test_switches import SETTINGS
from tests.support.plugins import registries as registries  # a fixture
from tests.support.two_sided import RecordingExpert, clip_of, pictures, two_sided, with_rig
from tests.support.visual_hull import TrueViews, VisualHull

LEVEL = with_rig(size=32, pseudo_size=16, elevation_deg=0.0)
FRAMES = [two_sided(back=(0, 0, -0.1 * k)) for k in range(3)]
OPTIONS = replace(TINY, iterations=60, steps_per_degree=0.3, pseudo_every=15)


def unseen_psnr(gaussians) -> float:
    """Of the last frame from sides that neither the clip nor the expert shows."""
    camera = orbit([60.0, 120.0, -75.0], 0.0, size=LEVEL.size)
    return psnr(render(gaussians, camera).rgb, render(FRAMES[-1], camera).rgb).item()


def test_true_views_make_unseen_views_better():
    quality = {}
    rgba = pictures(FRAMES, rig=LEVEL)
    sources = {
        "true": GridViews(TrueViews(FRAMES, rig=LEVEL).grid(), VisualHull(), LEVEL),
        "rendered": RenderedViews(rgba, VisualHull(), LEVEL, OPTIONS.pseudo_every),
    }
    for name, source in sources.items():
        _, made = fit(FRAMES, FRAMES[:1], source, OPTIONS, LEVEL)
        quality[name] = unseen_psnr(made[-1])
    assert quality["true"] > 16
    assert quality["true"] > quality["rendered"] + 3


def test_a_source_given_as_an_object_is_asked_once_and_its_views_are_used():
    source = TrueViews(FRAMES, (0.0, 90.0, 180.0, 270.0), LEVEL)
    expert = RecordingExpert(FRAMES, LEVEL)
    settings = replace(SETTINGS, size=32, elevation_deg=0.0, seed=5)
    experts = {"image_to_gaussians": expert, "views_to_gaussians": expert, "clip_to_views": source}
    clip = clip_of(FRAMES, LEVEL)
    events = list(lift_events(clip, settings, experts=experts))
    assert isinstance(events[0], Planned)
    stages = [event.stage for event in events if isinstance(event, StageStarted)]
    assert stages == [stage.name for stage in events[0].stages]
    ((given, frozen, elevation, seed),) = source.given
    torch.testing.assert_close(given, torch.from_numpy(clip.frames).float() / 255)
    assert (elevation, seed) == (0.0, 5)
    assert frozen is not None
    assert frozen.shape == (4, 32, 32, 4)
    assert (frozen[0] - frozen[2]).abs().mean() > 0.05  # front and back differ
    (imagined,) = [event for event in events if isinstance(event, ViewsImagined)]
    assert imagined.grid is not None
    asked = [views for views, _ in expert.reconstructed]
    assert len(asked) == 2  # one per later frame
    for frame, views in enumerate(asked, start=1):
        assert torch.equal(views, imagined.grid.rgba[:, frame])
    assert ("clip_to_views", "true-views") in [
        (event.role, event.name) for event in events if isinstance(event, ExpertChosen)
    ]


def test_a_run_keeps_the_views(tmp_path, registries):
    source = TrueViews(FRAMES, (0.0, 90.0, -90.0), LEVEL)
    entry = Entry("true-views", ("clip_to_views",), "plays true views", lambda d: None, lambda d: source)
    registry.register(entry)
    settings = replace(
        SETTINGS,
        size=32,
        elevation_deg=0.0,
        views=ViewSettings("true-views"),
        initialize=replace(SETTINGS.initialize, expert="silhouette", gaussians=300),
        generate=replace(SETTINGS.generate, expert="silhouette"),
    )
    run = Run.create(tmp_path / "run", Recipe("toy", ClipSettings(), settings), clip_of(FRAMES, LEVEL))
    events = list(run.work())
    assert Run.open(run.folder).record.experts["clip_to_views"] == "true-views"
    kept, wanted = ViewGrid.load(run.folder / "views"), source.grid()
    assert kept.azimuths_deg.tolist() == [0, 90, -90]
    torch.testing.assert_close(kept.rgba, wanted.rgba, atol=0.51 / 255, rtol=0)
    (plan,) = [event for event in events if isinstance(event, Planned)]
    started = [event.stage for event in events if isinstance(event, StageStarted)]
    assert [stage.name for stage in plan.stages] == started == ["initialize", "imagine", "generate", "refine"]
