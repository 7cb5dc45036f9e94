"""The exported player in a browser without a network: what it shows and what one can do with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ar4d.formats import PlayerOptions, export
from ar4d.player.packing import WORLD_SCALE, pack
from ar4d.player.recording import MEANS_STEP
from tests.support.accessibility import serious_findings
from tests.support.browser import CHROMIUM, fish_clip, opened, screenshot, splats, wait_for_splats
from tests.support.moving import SpinningBall
from tests.support.npm import needs_npm
from tests.support.viewing import eventually

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (CHROMIUM=/path/to/it)")

ASSET = SpinningBall(num_frames=4, fps=4.0)
DESKTOP, PHONE = (1440, 900), (390, 844)


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    """A page on the disk with a title and the clip's pictures."""
    folder: Path = tmp_path_factory.mktemp("player")
    fish_clip(4, 64).save(folder / "input")
    options = PlayerOptions(elevation_deg=20.0, title="A ball", input=folder / "input", num_frames=13)
    (path,) = export(ASSET, "html", folder / "a ball.html", options)
    return path.as_uri()


def box_of(element) -> dict[str, float]:
    """Where a shown element is: x, y, width and height in CSS pixels."""
    box = element.bounding_box()
    assert box is not None
    return box


def ready(page) -> None:
    wait_for_splats(page, 599)
    page.wait_for_function("document.querySelector('.poster').dataset.over === 'true'")


def position(page) -> float:
    return page.evaluate("ar4d.clock.position")


def means(page) -> np.ndarray:
    """The centres that are shown, [N, 3], in the order of the recording."""
    return splats(page)[:, :3].copy().view(np.float32) / WORLD_SCALE


def test_the_poster_and_the_speed_are_there_at_once(browser, address):
    with opened(browser, address, 900, 600, offline=True) as page:
        assert page.locator(".poster").is_visible()
        assert page.locator("[data-part=speed]").input_value() == "1"
        assert page.title() == "A ball · AR4D"
        assert page.locator("h1").text_content() == "A ball"
        assert page.locator("header a").text_content() == "Made with AR4D"
        ready(page)
        assert page.locator("[data-part=loading]").is_hidden()


def test_shows_what_the_asset_is_at_any_time(browser, address):
    """Key frames within their steps, times between them within the interpolation's error."""
    with opened(browser, f"{address}?autoplay=0", 480, 400, offline=True) as page:
        ready(page)
        for share, tolerance in ((0.0, MEANS_STEP), (0.5, MEANS_STEP), (1.0, MEANS_STEP), (0.46, 0.002)):
            page.evaluate("(position) => ar4d.scrub(position)", share * 3)  # drawn before it returns
            truth = ASSET.at(share).means.numpy()
            distances = np.linalg.norm(means(page)[:, None] - truth[None], axis=-1)
            nearest = distances.argmin(1)
            assert distances.min(1).max() < tolerance, share
            assert len(set(nearest)) == len(truth)
            expected = np.frombuffer(pack(ASSET.at(share)), np.uint32).reshape(-1, 8)[nearest]
            shown = splats(page)
            rgba = [np.ascontiguousarray(b[:, 7:]).view(np.uint8).astype(int) for b in (shown, expected)]
            assert np.abs(rgba[0] - rgba[1]).max() <= 1
            covariances = [
                np.ascontiguousarray(b[:, 4:7]).view(np.float16).astype(float) for b in (shown, expected)
            ]
            assert np.abs(covariances[0] - covariances[1]).max() < 0.05 * np.abs(covariances[1]).max()


def test_plays_in_continuous_time_at_a_tenth_of_the_speed(browser, address):
    with opened(browser, address, 480, 400, offline=True) as page:
        ready(page)
        page.select_option("[data-part=speed]", "0.1")
        page.keyboard.press("Home")
        page.keyboard.press("l")
        seen, places = [], []
        for _ in range(6):
            page.wait_for_timeout(500)
            places.append(page.evaluate("[performance.now() / 1000, ar4d.clock.position]"))
            seen.append(means(page).sum())
        (start, first), (end, last) = places[0], places[-1]
        assert 0 < last - first <= 0.45 * (end - start)  # 0.4 frames a second, less on a busy machine
        assert last < 3
        assert len(set(seen)) >= 5  # each picture is one of its own, not the nearest frame's


def test_loops_steps_and_scrubs_by_mouse_and_keyboard(browser, address):
    with opened(browser, address, *DESKTOP, offline=True) as page:
        ready(page)
        page.wait_for_function("ar4d.clock.position > 2")
        page.wait_for_function("ar4d.clock.position < 1")  # over the end and on from the start
        page.click("[data-action=play]")
        assert not page.evaluate("ar4d.clock.playing")
        page.keyboard.press("Home")
        page.click(".group [data-action=forward]")
        page.keyboard.press(".")
        assert position(page) == 2
        page.keyboard.press(",")
        assert position(page) == 1
        box = box_of(page.locator("[data-part=scrub]"))
        page.mouse.click(box["x"] + 7 + (box["width"] - 14) * 0.75, box["y"] + box["height"] / 2)
        assert abs(position(page) - 2.25) < 0.05
        page.click(".group [data-action=loop]")
        page.keyboard.press("Space")
        page.wait_for_function("!ar4d.clock.playing")
        assert position(page) == 3


def test_the_camera_turns_flies_and_comes_back(browser, address):
    pose = "import('ar4d/bridge.js').then((bridge) => bridge.camera().position)"
    with opened(browser, f"{address}?autoplay=0", *DESKTOP, offline=True) as page:
        ready(page)
        start = page.evaluate(pose)
        np.testing.assert_allclose(np.linalg.norm(start), 1.5, atol=0.01)
        page.click("[data-action=turntable]")
        eventually(page, lambda: bool(np.linalg.norm(np.subtract(page.evaluate(pose), start)) > 0.1))
        page.mouse.move(720, 400)
        page.mouse.down()
        page.mouse.move(820, 400, steps=4)
        page.mouse.up()
        assert not page.evaluate("ar4d.pilot.turntable")  # a hand on the object ends it
        page.click("[data-action=reset]")
        page.wait_for_function("ar4d.pilot.flight === null")
        np.testing.assert_allclose(page.evaluate(pose), start, atol=0.02)
        page.select_option("[data-part=view]", "left")
        page.wait_for_function("ar4d.pilot.flight === null")
        np.testing.assert_allclose(page.evaluate(pose), [-1.5, 0, 0], atol=0.02)


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_list_of_keys_lies_in_front_and_escape_closes_it(browser, address, size):
    with opened(browser, f"{address}?autoplay=0", *size, offline=True) as page:
        ready(page)
        if page.locator("[data-action=more]").is_visible():
            page.click("[data-action=more]")  # its panel must not cover the list
        page.keyboard.press("?")
        rows = page.locator("#ar4d dialog[open] dt")
        assert rows.count() > 10
        for row in rows.all():
            row.scroll_into_view_if_needed()
            box = box_of(row)
            front = page.evaluate(
                "([x, y]) => document.elementFromPoint(x, y).closest('dialog') !== null",
                [box["x"] + 3, box["y"] + box["height"] / 2],
            )
            assert front
        screenshot(page, f"player-keys-{size[0]}")
        page.keyboard.press("Escape")
        assert page.locator("#ar4d dialog[open]").count() == 0
        page.click("[data-action=help]")
        page.click("#ar4d dialog[open] button")
        assert page.locator("#ar4d dialog[open]").count() == 0


def test_full_screen(browser, address):
    with opened(browser, f"{address}?autoplay=0", 900, 600, offline=True) as page:
        ready(page)
        page.click("[data-action=fullscreen]")
        page.wait_for_function("document.fullscreenElement === document.body")
        page.keyboard.press("?")
        assert page.locator("#ar4d dialog[open]").is_visible()  # also there
        page.keyboard.press("?")
        page.click("[data-action=fullscreen]")
        page.wait_for_function("document.fullscreenElement === null")


def test_the_input_video_follows_and_grows(browser, address):
    read = "document.querySelector('[data-part=input-canvas]').toDataURL()"
    with opened(browser, f"{address}?autoplay=0", 900, 600, offline=True) as page:
        ready(page)
        page.wait_for_selector("[data-part=input]:visible")
        first = page.evaluate(read)
        page.keyboard.press(".")  # the last frame is the first one again
        page.wait_for_function(f"{read} !== {first!r}")
        before = box_of(page.locator("[data-part=input]"))
        page.click("[data-part=input-size]")
        after = box_of(page.locator("[data-part=input]"))
        assert after["width"] > 1.5 * before["width"]
        caption = box_of(page.locator("figcaption"))
        canvas = box_of(page.locator("[data-part=input-canvas]"))
        assert caption["y"] >= canvas["y"] + canvas["height"] - 1  # below the picture, not over it
        page.keyboard.press("v")
        page.wait_for_selector("[data-part=input]", state="hidden")


def test_depth_and_alpha(browser, address):
    with opened(browser, f"{address}?autoplay=0", *DESKTOP, offline=True) as page:
        ready(page)
        page.click("[data-mode=alpha]")
        page.wait_for_function(
            "__viserSceneTree.getState()['/left'].message.props.buffer[7] % 2 ** 24 === 0xffffff"
        )
        page.click("[data-mode=depth]")
        page.wait_for_function(
            "__viserSceneTree.getState()['/left'].message.props.buffer[7] % 2 ** 24 !== 0xffffff"
        )
        assert len(np.unique(splats(page)[:, 7] & 0xFFFFFF)) > 50
        assert page.locator("[data-action=live]").is_hidden()  # there is no server


def test_the_background_the_floor_and_flying(browser, address):
    behind = "getComputedStyle(document.body).backgroundColor"
    options = {"offline": True, "color_scheme": "dark"}
    with opened(browser, f"{address}?autoplay=0", *DESKTOP, **options) as page:
        ready(page)
        assert page.evaluate(behind) == "rgb(19, 20, 24)"  # viser's client would make it white
        screenshot(page, "player-dark")
        page.select_option("[data-part=backdrop]", "#808080")
        assert page.evaluate(behind) == "rgb(128, 128, 128)"
        page.keyboard.press("b")
        assert page.evaluate(behind) == "rgb(0, 0, 0)"
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(255, 255, 255)"
        assert not page.evaluate("ar4d.drawn.floor")
        page.click("[data-action=floor]")
        page.wait_for_function("__viserSceneTree.getState()['/floor'].effectiveVisibility")
        height = page.evaluate("__viserMutable.nodePoseData['/floor'].position[1]")
        assert height == pytest.approx(means(page)[:, 1].min(), abs=1e-3)
        screenshot(page, "player-floor")
        start = page.evaluate("ar4d.view().position")
        page.keyboard.down("w")
        moved = "(start) => Math.hypot(...ar4d.view().position.map((x, k) => x - start[k])) > 0.1"
        page.wait_for_function(moved, arg=start)
        page.keyboard.up("w")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_fits_and_has_large_targets_on_a_phone(browser, address, size, scheme):
    with opened(
        browser, f"{address}?autoplay=0", *size, offline=True, color_scheme=scheme, has_touch=size == PHONE
    ) as page:
        ready(page)
        page.wait_for_timeout(900)
        screenshot(page, f"player-{size[0]}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        names = ["reset", "turntable", "help", "fullscreen", "play"]
        assert all(page.locator(f".group [data-action={name}]").is_visible() for name in names)
        if size == PHONE:
            page.click("[data-action=more]")
            screenshot(page, f"player-{size[0]}-{scheme}-options")
        for control in page.locator(".bar button:visible, .bar select:visible").all():
            box = box_of(control)
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]
            assert box["y"] + box["height"] <= size[1]
            if size == PHONE:
                assert min(box["width"], box["height"]) >= 44, control.get_attribute("aria-label")
            name = control.evaluate("(e) => e.getAttribute('aria-label') || e.textContent.trim()")
            assert name


@needs_npm
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_no_serious_finding_of_accessibility(browser, address, size, scheme):
    with opened(browser, f"{address}?autoplay=0", *size, offline=True, color_scheme=scheme) as page:
        ready(page)
        assert serious_findings(page) == []
        if size == PHONE:
            page.click("[data-action=more]")
            assert serious_findings(page) == []
        for key, action in (("?", "help"), ("", "share")):
            page.keyboard.press(key) if key else page.evaluate("ar4d.controls.act('share')")
            assert page.locator(f"dialog[data-part={action}]").is_visible()
            assert serious_findings(page) == []
            page.keyboard.press("Escape")
