"""The viewer in a browser: a finished asset's recording, and the clip's camera."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from app.server import Viewers
from app.viewer import RunViewer
from ar4d.cameras import orbit
from ar4d.player.packing import WORLD_SCALE
from tests.support.browser import (
    CHROMIUM,
    fish,
    opened,
    screenshot,
    serving,
    splats,
    wait_for_splats,
)
from tests.support.viewing import COUNT, eventually, finish, scrub, swimming_clip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (CHROMIUM=/path/to/it)")


def test_a_recorded_asset_is_fetched_once_and_plays_in_the_browser(browser):
    viewer = RunViewer(swimming_clip(), record=True)
    viewers = Viewers()
    path = viewers.add(viewer)
    finish(viewer)
    with serving(viewers) as root:
        with opened(browser, root + path) as page:
            page.wait_for_function("ar4d.source.recorded?.recording", timeout=20000)
        before = viewer.counts["asked"]
        with opened(browser, root + path) as page:  # the recording is there when this one comes
            page.wait_for_function("ar4d.clock.position > 1")
            page.keyboard.press("k")
            scrub(page, 2.5)
            page.wait_for_timeout(200)
            shown = splats(page)[:, :3].copy().view(np.float32) / WORLD_SCALE
            truth = fish(0.5, COUNT).means.numpy()
            assert np.linalg.norm(shown[:, None] - truth[None], axis=-1).min(1).max() < 0.02
            assert viewer.counts["asked"] == before
            page.keyboard.press("2")  # an earlier stage is still asked for
            eventually(page, lambda: viewer.counts["asked"] > before)


def test_the_clips_camera_stands_where_it_filmed_from(browser):
    viewer = RunViewer(swimming_clip(), elevation_deg=20.0)
    viewers = Viewers()
    path = viewers.add(viewer)
    finish(viewer)
    with serving(viewers) as root, opened(browser, root + path) as page:
        wait_for_splats(page)
        assert not page.evaluate("ar4d.drawn.frustum")  # not before somebody asks for it
        page.keyboard.press("f")
        page.evaluate("ar4d.pilot.flyTo('left')")
        eventually(page, lambda: page.evaluate("ar4d.drawn.frustum"))
        pose = page.evaluate("__viserMutable.nodePoseData['/reference']")
        c2w = np.linalg.inv(orbit(0.0, 20.0, size=8).viewmats[0].double().numpy())
        np.testing.assert_allclose(pose["position"], c2w[:3, 3], atol=1e-6)
        rotation = Rotation.from_quat(np.roll(pose["wxyz"], -1)).as_matrix()
        np.testing.assert_allclose(rotation, c2w[:3, :3], atol=1e-6)
        page.wait_for_timeout(800)
        screenshot(page, "viewer-clip-camera")
