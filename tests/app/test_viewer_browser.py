"""The viewer in a real browser: what it shows, and what it asks the server for."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

import app.viewer.run_viewer
from app.server import Viewers
from app.viewer import RunViewer
from app.viewer.protocol import CLOSED_REASON
from ar4d.cameras import orbit
from ar4d.events import Finished, FrameImagined, Refined, Step
from tests.support.browser import (
    CHROMIUM,
    PLAN,
    Swimming,
    fish,
    opened,
    screenshot,
    serving,
    splats,
    wait_for_splats,
)
from tests.support.viewing import (
    COUNT,
    FRAMES,
    add_frame,
    camera,
    counts,
    eventually,
    finish,
    scrub,
    shows,
    swimming_clip,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (CHROMIUM=/path/to/it)")


@pytest.fixture
def viewer():
    return RunViewer(swimming_clip())


@pytest.fixture
def address(viewer):
    viewers = Viewers()
    path = viewers.add(viewer)
    with serving(viewers) as root:
        yield root + path


def test_frames_appear_while_they_are_made(browser, viewer, address):
    with opened(browser, address, 900, 600) as page:
        page.wait_for_selector("text=Waiting for the first frame")
        viewer.on(PLAN)
        for k in range(3):
            add_frame(viewer, k)
            start = time.monotonic()
            eventually(page, lambda k=k: shows(fish(k / (FRAMES - 1), COUNT))(page), 30 if k == 0 else 10)
            if k > 0:  # before the first one, WebGL starts
                assert time.monotonic() - start < 6  # software WebGL on a busy machine; else far below 1
        viewer.on(Step("generate", 3, 100, 100, 0.1, 25.0))
        page.wait_for_selector("text=Frame 4 of 6 · 100 %")
        scrub(page, 1.0)
        eventually(page, lambda: shows(fish(1 / (FRAMES - 1), COUNT))(page))
        add_frame(viewer, 3)  # does not drag along a visitor who is elsewhere
        page.wait_for_timeout(400)
        assert page.evaluate("ar4d.clock.position") == 1.0
        assert page.locator(".tick[data-done=true]").count() == 4
        screenshot(page, "viewer-generating")
        for k in range(4, FRAMES):
            add_frame(viewer, k)
        viewer.on(Finished(Swimming(FRAMES, 6.0, COUNT), (), ()))
        page.wait_for_selector("[data-stage=refine][aria-checked=true]", state="attached")


def test_what_an_expert_imagined_is_shown_as_a_preview_until_it_is_fitted(browser, viewer, address):
    label = "text=Preview: not fitted to the video yet"
    with opened(browser, address, 900, 600) as page:
        viewer.on(PLAN)
        viewer.on(FrameImagined("initialize", 0, fish(0.5, COUNT)))
        eventually(page, lambda: shows(fish(0.5, COUNT))(page), 30)
        assert page.locator(label).is_visible()
        viewer.on(Step("initialize", 0, 10, 100, 0.1, 25.0))
        page.wait_for_selector("text=Frame 1 of 6 · 10 %")
        assert page.locator(label).is_visible()
        screenshot(page, "viewer-preview")
        add_frame(viewer, 0)
        eventually(page, lambda: shows(fish(0.0, COUNT))(page))
        assert not page.locator(label).is_visible()


def test_the_better_stage_is_shown_as_the_run_finishes(browser, viewer, address):
    viewer.on(PLAN)
    for k in range(FRAMES):
        add_frame(viewer, k)
    with opened(browser, address) as page:
        wait_for_splats(page)
        preview = Swimming(FRAMES, 6.0, COUNT)
        viewer.on(Refined("refine", 10, preview))
        eventually(page, lambda: page.evaluate("ar4d.stage") == "refine")
        viewer.on(Finished(preview, (24.0,) * FRAMES, (0.9,) * FRAMES))  # the frames before have 25 dB
        eventually(page, lambda: page.evaluate("ar4d.stage") == "generate")
        eventually(page, lambda: page.evaluate("ar4d.clock.playing"))


def test_scrubbing_shows_any_time_and_asks_for_nothing_in_vain(browser, viewer, address):
    finish(viewer)
    with opened(browser, address) as page:
        wait_for_splats(page)
        page.keyboard.press("k")
        eventually(page, lambda: page.evaluate("ar4d.source.waiting.size") == 0)
        asked = viewer.counts["asked"]
        page.evaluate(
            """async () => {
                const scrub = document.querySelector('[data-part=scrub]');
                window.pending = 0;
                for (let i = 1; i <= 40; i++) {
                    scrub.value = 5 * i / 40;
                    scrub.dispatchEvent(new Event('input'));
                    await new Promise(requestAnimationFrame);
                    window.pending = Math.max(window.pending, ar4d.splats.pending.size);
                }
                scrub.value = 3.5;
                scrub.dispatchEvent(new Event('input'));
            }"""
        )
        eventually(page, lambda: shows(fish(3.5 / (FRAMES - 1), COUNT))(page))
        assert page.evaluate("window.pending") <= 1
        assert 1 <= viewer.counts["asked"] - asked <= 41
        assert counts(page)["asked"] == viewer.counts["asked"]


def test_plays_loops_and_steps(browser, viewer, address):
    finish(viewer)
    with opened(browser, address) as page:
        wait_for_splats(page)  # a finished run starts by itself
        first = splats(page)
        eventually(page, lambda: not np.array_equal(splats(page), first))
        page.keyboard.press("k")
        where = page.evaluate("ar4d.clock.position")
        page.wait_for_timeout(200)
        assert page.evaluate("ar4d.clock.position") == where
        page.keyboard.press("Home")
        page.keyboard.press(".")
        page.keyboard.press(".")
        assert page.evaluate("ar4d.clock.position") == 2
        page.keyboard.press(",")
        eventually(page, lambda: shows(fish(1 / (FRAMES - 1), COUNT))(page))
        page.keyboard.press("j")  # backwards, round the loop
        eventually(page, lambda: page.evaluate("ar4d.clock.position") > 2)
        page.keyboard.press("]")
        assert page.evaluate("ar4d.clock.speed") == 1.5
        page.click("[data-action=play]")
        assert not page.evaluate("ar4d.clock.playing")
        page.keyboard.press("o")
        page.keyboard.press("End")
        page.keyboard.press(" ")  # at the end and without a loop: from the start again
        assert page.evaluate("ar4d.clock.position") < 4
        eventually(page, lambda: not page.evaluate("ar4d.clock.playing"))
        assert page.evaluate("ar4d.clock.position") == FRAMES - 1


def test_a_loop_that_has_been_seen_asks_the_server_no_more(browser, viewer, address):
    finish(viewer)
    with opened(browser, address) as page:
        wait_for_splats(page)
        steps = 4 * (FRAMES - 1) + 1  # 8 frames per second in quarters
        eventually(page, lambda: counts(page)["asked"] >= steps, 30)
        page.wait_for_timeout(500)
        before = viewer.counts["asked"]
        page.wait_for_timeout(1500)
        assert page.evaluate("ar4d.clock.playing")
        assert viewer.counts["asked"] == before


def test_compares_two_stages_with_one_camera(browser, viewer, address):
    finish(viewer)
    with opened(browser, address, 900, 640) as page:
        wait_for_splats(page)
        page.keyboard.press("k")
        scrub(page, 2.0)
        page.keyboard.press("4")
        eventually(page, lambda: shows(fish(2 / (FRAMES - 1), COUNT))(page, "/right"))
        page.wait_for_timeout(2500)
        picture = np.asarray(Image.open(screenshot(page, "viewer-compare")).convert("L")).astype(float)
        canvas = picture[100:450]  # no controls there
        left, right = canvas[:, 120:448], canvas[:, 570:898]
        assert left.std() > 10
        assert np.abs(left - right).mean() < 2  # both stages are the same fish here
        page.select_option("[data-part=half-0]", "initialize")
        eventually(page, lambda: shows(fish(0.0, COUNT))(page))


def test_shows_alpha_and_depth(browser, viewer, address):
    finish(viewer)
    with opened(browser, address, 800, 600) as page:
        wait_for_splats(page)
        page.keyboard.press("k")
        page.click("[data-action=more]")
        page.click("[data-mode=alpha]")
        eventually(page, lambda: bool((splats(page)[:, 7] & 0xFFFFFF == 0xFFFFFF).all()))
        page.wait_for_timeout(800)
        picture = np.asarray(Image.open(screenshot(page, "viewer-alpha")).convert("L"))
        assert picture[300, 20] == 0
        assert picture[230, 380] > 240
        page.click("[data-mode=depth]")
        eventually(page, lambda: len(np.unique(splats(page)[:, 7] & 0xFFFFFF)) > 50)
        front = splats(page)
        page.select_option("[data-part=view]", "back")
        page.wait_for_timeout(2500)
        near = front[:, 7] & 0xFF > (front[:, 7] >> 16) & 0xFF  # more red than blue
        z = front[:, 2].copy().view(np.float32)
        assert z[near].mean() > z[~near].mean()
        back = splats(page)
        assert not np.array_equal(front[:, 7], back[:, 7])


def test_the_camera_is_ours(browser, viewer, address):
    """The view that is sent to the server is the very camera of ar4d.cameras."""
    finish(viewer)
    with opened(browser, address, 480, 360) as page:
        wait_for_splats(page)
        page.keyboard.press("k")
        for name, azimuth, elevation in (("left", -90, 0), ("top", 0, 88), ("reference", 0, 0)):
            page.evaluate("(name) => ar4d.pilot.flyTo(name)", name)
            expected = orbit(azimuth, elevation, size=8).viewmats[0].numpy()
            eventually(
                page,
                lambda e=expected: np.allclose(np.reshape(camera(page)["viewmat"], (4, 4)), e, atol=2e-3),
            )
            eventually(page, lambda: page.evaluate("ar4d.pilot.flight") is None)
            assert camera(page)["fov"] == pytest.approx(49.1, abs=0.01)


def test_live_pictures_follow_the_camera_and_errors_are_sentences(browser, viewer, address, monkeypatch):
    finish(viewer)
    drawn = []
    real = app.viewer.run_viewer.draw
    monkeypatch.setattr(app.viewer.run_viewer, "draw", lambda g, v, e: drawn.append(v) or real(g, v, e))
    with opened(browser, address, 800, 600) as page:
        wait_for_splats(page)
        page.keyboard.press("k")
        page.keyboard.press("g")
        eventually(page, lambda: bool(drawn) and drawn[-1].width == 800)  # at rest: every pixel
        page.evaluate("ar4d.pilot.flyTo('right')")
        eventually(page, lambda: np.allclose(drawn[-1].viewmat[:3], [0, 0, -1], atol=0.01))
        assert any(view.width < 800 for view in drawn)  # while it moved
        eventually(page, lambda: drawn[-1].width == 800)
        page.wait_for_timeout(1000)
        picture = np.asarray(Image.open(screenshot(page, "viewer-live")).convert("L"))
        assert picture[230, 400] < 240
        assert picture[230, 60] > 250

        def broken(*_):
            raise RuntimeError("out of memory")

        monkeypatch.setattr(app.viewer.run_viewer, "draw", broken)
        page.evaluate("ar4d.pilot.flyTo('front')")
        page.wait_for_selector("text=This view could not be drawn (RuntimeError: out of memory).")
        page.keyboard.press("g")  # WebGL goes on
        scrub(page, 1.0)
        eventually(page, lambda: shows(fish(1 / (FRAMES - 1), COUNT))(page))


def test_visitors_do_not_disturb_each_other(browser, viewer, address):
    finish(viewer)
    with opened(browser, address) as one, opened(browser, address) as two:
        for page, position in ((one, 1.0), (two, 4.0)):
            wait_for_splats(page)
            page.keyboard.press("k")
            scrub(page, position)
        two.keyboard.press("1")
        eventually(two, lambda: shows(fish(0.0, COUNT))(two))
        eventually(one, lambda: shows(fish(1 / (FRAMES - 1), COUNT))(one))
        assert one.evaluate("ar4d.stage") == "refine"


def test_reloading_finds_the_run_again(browser, viewer, address):
    for k in range(3):
        add_frame(viewer, k)
    with opened(browser, address) as page:
        wait_for_splats(page)
        page.reload()
        wait_for_splats(page)
        eventually(page, lambda: page.locator(".tick[data-done=true]").count() == 3)


def test_starts_when_its_frame_is_shown_at_last(browser, viewer, address):
    """As in a tab of the page that is opened later: until then the canvas has no size."""
    finish(viewer)
    page = browser.new_page()
    page.goto(address.partition("/viewer/")[0] + "/missing")  # a page of the same site, without a policy
    page.set_content(f'<iframe src="{address}" width="500" height="400" style="display:none"></iframe>')
    page.wait_for_timeout(1500)
    page.evaluate("document.querySelector('iframe').style.display = 'block'")
    frame = page.frames[1]
    wait_for_splats(frame)
    np.testing.assert_allclose(camera(frame)["position"], [0, 0, 1.5], atol=0.01)
    page.close()


def test_works_under_a_path_prefix(browser, viewer):
    finish(viewer)
    viewers = Viewers()
    path = viewers.add(viewer)
    with serving(viewers, prefix="/lab/4d") as root, opened(browser, root + path) as page:
        wait_for_splats(page, 1)
        assert page.url.split("?")[0].endswith(f"/lab/4d/viewer/{viewer.id}/")


def test_a_closed_viewer_is_told_in_a_sentence(browser, viewer):
    finish(viewer)
    viewers = Viewers()
    path = viewers.add(viewer)
    with serving(viewers) as root:
        context = browser.new_context()
        page = context.new_page()
        page.goto(root + path)
        wait_for_splats(page)
        viewers.close(viewer.id)
        page.wait_for_selector(f"text={CLOSED_REASON}")
        context.close()


def test_fits_into_windows_of_all_sizes(browser, viewer, address):
    finish(viewer)
    with opened(browser, address, 1440, 900) as page:
        wait_for_splats(page)
        page.keyboard.press("k")
        for width, height, scheme in ((1440, 900, "light"), (390, 844, "dark"), (700, 520, "dark")):
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.wait_for_function(
                "(width) => document.querySelector('#ar4d .bar').clientWidth == width", arg=width
            )
            page.wait_for_timeout(500)  # the flight that keeps the object in the window
            screenshot(page, f"viewer-{width}x{height}-{scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for button in page.locator(".bar button:visible, .bar select:visible").all():
                box = button.bounding_box()
                assert box is not None
                assert box["x"] >= 0
                assert box["x"] + box["width"] <= width
                assert box["y"] + box["height"] <= height
