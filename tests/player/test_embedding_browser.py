"""The exported player inside other pages, in small windows, and where the browser cannot draw."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ar4d.cameras import orbit
from ar4d.formats import PlayerOptions, export
from ar4d.rendering import render
from benchmarks.support.browser import FLAGS
from tests.support.browser import CHROMIUM, opened, screenshot, still, wait_for_splats
from tests.support.moving import SpinningBall

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (CHROMIUM=/path/to/it)")

ASSET = SpinningBall(num_frames=3)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("player") / "ball.html"
    (path,) = export(ASSET, "html", out, PlayerOptions(title="Ball", elevation_deg=20.0))
    return path


def test_needs_nothing_but_itself(file):
    page = file.read_text(encoding="utf-8")
    assert "<title>Ball · AR4D</title>" in page
    assert 'src="http' not in page
    assert 'property="og:title"' in page
    assert page.count("og:title") == 1


def test_names_cannot_break_the_page(browser, tmp_path):
    name = 'a </script><script>window.broken = 1</script> & "b" <b>'
    (path,) = export(ASSET, "html", tmp_path / "a.html", PlayerOptions(title=name))
    with opened(browser, path.as_uri(), offline=True) as page:
        wait_for_splats(page, 599)
        assert page.locator("h1").text_content() == name
        assert page.title() == f"{name} · AR4D"
        assert page.evaluate("window.broken") is None


def test_poster_waits_for_a_click(browser, file):
    with opened(browser, f"{file.as_uri()}?poster", 640, 480, offline=True) as page:
        page.wait_for_selector("[data-part=start]:visible")
        page.wait_for_timeout(800)
        assert page.locator("canvas[data-engine]").count() == 0  # nothing is computed yet
        screenshot(page, "player-poster")
        page.click("[data-part=start]")
        wait_for_splats(page, 599)
        page.wait_for_function("ar4d.clock.playing")


def test_autoplay_can_be_asked_for_and_switched_off(browser, file):
    for query, playing in (("", False), ("?autoplay", True)):
        with opened(
            browser, file.as_uri() + query, 480, 400, offline=True, reduced_motion="reduce"
        ) as page:  # a visitor who wants less motion
            wait_for_splats(page, 599)
            page.wait_for_timeout(300)
            assert page.evaluate("ar4d.clock.playing") is playing
    with opened(browser, f"{file.as_uri()}?autoplay=0&turntable", 480, 400, offline=True) as page:
        wait_for_splats(page, 599)
        page.wait_for_function("ar4d.pilot.turntable")
        assert not page.evaluate("ar4d.clock.playing")


def test_noui_shows_the_object_alone_in_another_page(browser, file, tmp_path):
    host = tmp_path / "host.html"
    host.write_text(f'<iframe src="{file.as_uri()}?noui&theme=dark" width="320" height="240"></iframe>')
    with opened(browser, host.as_uri(), 400, 300, offline=True) as page:
        frame = page.frames[1]
        wait_for_splats(frame, 599)
        assert frame.locator(".bar").is_hidden()
        assert frame.locator("h1").is_hidden()
        canvas = frame.locator("canvas[data-engine]").bounding_box()
        assert canvas is not None
        assert (canvas["width"], canvas["height"]) == (320, 240)
        assert frame.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_surrounding_page_follows_the_frame_and_sets_it(browser, file, tmp_path):
    host = tmp_path / "host.html"
    host.write_text(
        f'<iframe src="{file.as_uri()}?autoplay=0" width="320" height="240"></iframe><script>'
        "onmessage = ({ data }) => { if ('ar4dFrame' in data) window.frame = data.ar4dFrame; };</script>"
    )
    with opened(browser, host.as_uri(), 400, 300, offline=True) as page:
        page.wait_for_function("window.frame === 0", timeout=60_000)
        page.evaluate("document.querySelector('iframe').contentWindow.postMessage({ ar4dSeek: 2 }, '*')")
        page.wait_for_function("window.frame === 2")


def test_the_code_to_embed(browser, file):
    with opened(browser, file.as_uri(), 900, 640, offline=True) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        wait_for_splats(page, 599)
        page.locator("[data-action=share]:visible").first.click()
        page.check("[data-embed=poster]")
        page.check("[data-embed=noui]")
        code = page.locator("[data-part=code]").input_value()
        assert code.startswith('<iframe src="ball.html?poster&noui" title="Ball"')
        assert page.locator("text=Put this file beside your page").is_visible()
        screenshot(page, "player-embed")
        page.click("[data-action=copy]")
        page.wait_for_selector("[data-part=toast]:visible")


def test_nothing_vanishes_in_a_window_of_150_pixels(browser, file):
    """The object is as opaque as the rasteriser draws it, though its splats are about a pixel large."""
    side = 150
    camera = orbit(0.0, 20.0, size=side)
    wanted = render(ASSET.at(0.0), camera).rgb[0].numpy().clip(0, 1) * 255
    solid = render(ASSET.at(0.0), camera).alpha[0].numpy() > 0.9
    assert solid.sum() > 2000
    with opened(browser, f"{file.as_uri()}?noui&autoplay=0&theme=light", side, side, offline=True) as page:
        wait_for_splats(page, 599)
        end = time.monotonic() + 30  # the poster fades over the first frames, however long they take
        while True:
            shown = np.asarray(Image.open(screenshot(page, "player-150")).convert("RGB")).astype(float)
            quality = 10 * np.log10(255**2 / ((shown - wanted) ** 2).mean())
            if quality > 27 or time.monotonic() > end:
                break
            page.wait_for_timeout(500)
    assert quality > 27
    assert np.abs(shown[solid] - wanted[solid]).mean() < 8


def test_without_webgl_a_picture_and_a_sentence(browser, file):
    flags = [flag for flag in FLAGS if "gl=" not in flag and "angle=" not in flag and "swift" not in flag]
    flat = browser.browser_type.launch(executable_path=CHROMIUM, args=[*flags, "--disable-3d-apis"])
    try:
        with opened(flat, file.as_uri(), 640, 480, offline=True) as page:
            page.wait_for_selector("text=WebGL 2 is missing or switched off")
            assert page.locator(".poster").is_visible()
            screenshot(page, "player-no-webgl")
    finally:
        flat.close()


def test_a_lost_context_is_said_and_restored(browser, file):
    with opened(browser, f"{file.as_uri()}?autoplay=0", 480, 400, offline=True) as page:
        wait_for_splats(page, 599)
        before = still(page, "player-before")
        page.evaluate(
            """() => {
                const gl = document.querySelector('canvas[data-engine]').getContext('webgl2');
                window.loss = gl.getExtension('WEBGL_lose_context');
                window.loss.loseContext();
            }"""
        )
        page.wait_for_selector("text=This device took the 3D graphics away")
        page.evaluate("window.loss.restoreContext()")
        page.wait_for_selector("[data-part=failure]", state="hidden")
        after = still(page, "player-after")
        assert np.abs(after - before)[:300].mean() < 2
        assert before[:300].std() > 10


def test_damaged_data_are_a_sentence(browser, file, tmp_path):
    page_text = file.read_text(encoding="utf-8")
    start = page_text.index('"data":"') + 2000
    broken = tmp_path / "broken.html"
    broken.write_text(page_text[:start] + "AAAA" + page_text[start + 4 :], encoding="utf-8")
    with opened(browser, broken.as_uri(), offline=True) as page:
        page.wait_for_selector("text=The data of this page are damaged")
        assert page.locator(".poster").is_visible()
