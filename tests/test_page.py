"""The page in a real browser, with real workers: a visitor's way, and what may go wrong on it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from app.limits import Limits
from app.main import Server
from tests.browser import ARTEFACTS, CHROMIUM, chromium, opened
from tests.footage import WHITE, write_video
from tests.lifting import disk_video, serving_page

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PATIENCE = 120_000  # milliseconds; a lift takes a few seconds, a busy machine many
WIDE, NARROW = (1440, 900), (390, 844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = Limits(upload_mb=1)
    with serving_page(tmp_path_factory.mktemp("page"), limits, iterations=300) as started:
        yield started


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk_video(tmp_path_factory.mktemp("clips"))


def visit(browser: Browser, server: Server, size: tuple[int, int] = WIDE, **options):
    return opened(browser, server.address, *size, **options)


def upload(page: Page, path: Path) -> None:
    page.get_by_text("Drop Video Here").wait_for(timeout=PATIENCE)
    page.set_input_files("#video input[type=file]", path)


def cut_out(page: Page, path: Path) -> None:
    upload(page, path)
    page.locator("ar4d-cutout").wait_for(timeout=PATIENCE)


def generate(page: Page, path: Path) -> None:
    cut_out(page, path)
    page.get_by_role("button", name="Continue").click()
    page.locator("#generate").click()
    page.locator(".panel").wait_for(timeout=PATIENCE)


def wait_for_state(page: Page, state: str) -> None:
    page.locator(f".panel.{state}").wait_for(timeout=PATIENCE)


def viewer(page: Page) -> FrameLocator:
    return page.frame_locator("iframe.viewer")


def frames_in_viewer(page: Page) -> int:
    frame = page.query_selector("iframe.viewer")
    inside = frame.content_frame() if frame else None
    return inside.evaluate("() => window.ar4d?.state?.generated ?? 0") if inside else 0


def keep(page: Page, name: str) -> None:
    """A screenshot for people to look at; software WebGL may be too slow for one."""
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"page-{name}.png", timeout=60_000)


def test_from_an_upload_to_a_file(browser: Browser, server: Server, clip: Path) -> None:
    with visit(browser, server) as page:
        keep(page, "1-input")
        cut_out(page, clip)
        expect(page.locator("ar4d-cutout output")).to_contain_text("of 6")
        expect(page.locator("#cutout-estimate")).to_contain_text("About")
        keep(page, "2-cut-out")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#estimate")).to_contain_text("6 frames")
        keep(page, "3-settings")
        page.locator("#generate").click()
        wait_for_state(page, "running")
        page.wait_for_function("document.querySelector('.panel').dataset.frames >= 2", timeout=PATIENCE)
        expect(page.locator("#pictures img")).to_have_count(2, timeout=PATIENCE)
        seen = frames_in_viewer(page)
        address = page.locator("iframe.viewer").get_attribute("src")

        page.reload()  # in the middle of the run
        wait_for_state(page, "running")
        assert page.locator("iframe.viewer").get_attribute("src") == address
        keep(page, "3-generate")
        wait_for_state(page, "finished")
        page.wait_for_timeout(500)
        assert 1 <= seen <= frames_in_viewer(page) == 6
        keep(page, "3-finished")

        scrub = viewer(page).locator("[data-part=scrub]")
        scrub.wait_for(timeout=PATIENCE)
        scrub.evaluate("(e) => { e.value = 2.5; e.dispatchEvent(new Event('input')); }")
        expect(viewer(page).locator("[data-part=time]")).to_contain_text("3.5 of 6", timeout=PATIENCE)

        page.get_by_role("button", name="Result").click()
        expect(page.locator("#numbers")).to_contain_text("dB")
        expect(page.locator("#stages img")).to_have_count(4)
        expect(page.locator("#command")).to_contain_text("python -m ar4d lift disk.mp4")
        page.get_by_role("button", name="Make the file").click()
        with page.expect_download(timeout=PATIENCE) as download:
            page.get_by_text(re.compile("Download disk.html")).click(timeout=PATIENCE)
        assert b"<html" in Path(download.value.path()).read_bytes()[:300]
        keep(page, "4-result")
        page.get_by_role("tab", name="Runs").click()
        expect(page.locator(".runs .card")).to_have_count(1)
        expect(page.locator(".runs .card")).to_contain_text("Finished")
        keep(page, "5-runs")


def test_cancel_keeps_frames_and_resume_goes_on(browser: Browser, server: Server, clip: Path) -> None:
    with visit(browser, server, NARROW) as page:
        generate(page, clip)
        page.wait_for_function("document.querySelector('.panel').dataset.frames >= 2", timeout=PATIENCE)
        page.get_by_role("button", name="Cancel").click()
        wait_for_state(page, "stopped")
        kept = int(page.locator(".panel").get_attribute("data-frames") or 0)
        assert 2 <= kept < 6
        expect(page.locator(".panel")).to_contain_text(f"{kept} of 6 frames are kept")
        keep(page, "narrow-cancelled")
        page.get_by_role("button", name="Resume").click()
        wait_for_state(page, "finished")
        page.get_by_text("Make a part of this run anew").click()
        page.get_by_role("button", name="Only the refinement").click()
        page.locator(".panel.running, .panel.queued").wait_for(timeout=PATIENCE)
        wait_for_state(page, "finished")
        page.get_by_role("tab", name="Runs").click()
        expect(page.locator(".runs .card")).to_have_count(2)


def test_two_visitors_see_their_own(browser: Browser, server: Server, clip: Path) -> None:
    with visit(browser, server) as one, visit(browser, server) as other:
        generate(one, clip)
        run = one.locator("iframe.viewer").get_attribute("src")
        wait_for_state(one, "finished")
        other.get_by_role("tab", name="Runs").click()
        expect(other.locator("#runs")).to_contain_text("You have no runs yet")
        assert other.locator(".panel").count() == 0
        assert other.locator("iframe.viewer").count() == 0  # this server has no example
        one.get_by_role("tab", name="Runs").click()
        name = one.locator(".runs button[data-do=open]").first.get_attribute("data-run")
        # The other one learns the run's id and forges a card for it.
        other.evaluate(
            "(run) => document.querySelector('#runs .prose').innerHTML ="
            ' `<button data-run="${run}" data-do="open">x</button>`',
            name,
        )
        other.locator("#runs button").click()
        expect(other.get_by_text("There is no such run here")).to_be_visible(timeout=PATIENCE)
        assert other.locator("iframe.viewer").count() == 0
        assert run


def test_a_shared_link_shows_the_viewer_until_it_is_withdrawn(
    browser: Browser, server: Server, clip: Path
) -> None:
    with visit(browser, server) as page:
        generate(page, clip)
        wait_for_state(page, "finished")
        page.get_by_role("button", name="Result").click()
        page.get_by_label("Share a link").check()
        box = page.locator("#link textarea, #link input")
        expect(box).to_have_value(re.compile("/share/"), timeout=PATIENCE)
        link = box.input_value()
        with opened(browser, link) as guest:
            assert "/viewer/" in guest.url
            guest.wait_for_function("() => window.ar4d?.state?.refined", timeout=PATIENCE)
            page.get_by_label("Share a link").uncheck()
            expect(box).to_have_value("", timeout=PATIENCE)
            guest.get_by_text("This viewer is closed").wait_for(timeout=PATIENCE)
        context = browser.new_context()
        response = context.new_page().goto(link)
        assert response is not None
        assert response.status == 404
        context.close()


def test_bad_uploads_are_one_sentence_each(browser: Browser, server: Server, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 50)
    empty = write_video(tmp_path / "empty.mp4", [np.full((64, 96, 3), WHITE, np.uint8)] * 4)
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(3_000_000))
    for path, expected in (
        (text, "text.mp4 is neither a video nor an image that can be read"),
        (empty, "No subject was found in empty.mp4"),
    ):
        with visit(browser, server) as page:
            upload(page, path)
            expect(page.locator("#cutout-notices")).to_contain_text(expected, timeout=PATIENCE)
            expect(page.get_by_role("button", name="Continue")).to_be_disabled()
            keep(page, f"bad-{path.stem}")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()  # its console rightly tells of the refused request
    page.goto(server.address)
    upload(page, large)
    expect(page.get_by_text(re.compile("maximum allowed size|too large|exceed", re.I)).first).to_be_visible(
        timeout=PATIENCE
    )
    keep(page, "bad-large")
    context.close()


def test_a_box_and_the_controls_cut_again(browser: Browser, server: Server, clip: Path) -> None:
    with visit(browser, server, color_scheme="dark") as page:
        cut_out(page, clip)
        whole = page.locator("ar4d-cutout .whole")
        area = whole.bounding_box()
        assert area is not None
        before = page.locator("ar4d-cutout").get_attribute("data-facts")
        page.mouse.move(area["x"] + 0.02 * area["width"], area["y"] + 0.3 * area["height"])
        page.mouse.down()
        page.mouse.move(area["x"] + 0.7 * area["width"], area["y"] + 0.7 * area["height"], steps=4)
        page.mouse.up()
        page.wait_for_function(
            "(before) => { const e = document.querySelector('ar4d-cutout');"
            " return e && e.dataset.facts !== before && JSON.parse(e.dataset.facts).box; }",
            arg=before,
            timeout=PATIENCE,
        )
        keep(page, "dark-box")
        page.get_by_role("button", name="Remove the box").click()
        page.wait_for_function(
            "() => { const e = document.querySelector('ar4d-cutout');"
            " return e && !JSON.parse(e.dataset.facts).box; }",
            timeout=PATIENCE,
        )
        number = page.get_by_label("number input for Frames")
        number.fill("3")
        number.press("Enter")
        number.blur()
        expect(page.locator("ar4d-cutout output")).to_contain_text("of 3", timeout=PATIENCE)


def test_a_narrow_dark_page_has_everything_in_reach(browser: Browser, server: Server) -> None:
    with visit(browser, server, NARROW, color_scheme="dark") as page:
        page.locator(".cards video").first.wait_for(timeout=PATIENCE)
        for name in ("1 Input", "2 Cut-out", "3 Generate", "4 Result", "Runs"):
            page.get_by_role("tab", name=name).click()
            page.wait_for_timeout(300)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= NARROW[0], f"{name} is {width} px wide"
            keep(page, f"narrow-dark-{name[:1]}")
        page.get_by_role("tab", name="1 Input").click()
        page.get_by_role("tab", name="Prompt").click()
        expect(page.get_by_text("has no expert that makes a video from a prompt yet")).to_be_visible()


def test_an_example_needs_only_the_mouse(browser: Browser, server: Server) -> None:
    with visit(browser, server) as page:
        page.locator("button[data-name=fish]").click(timeout=PATIENCE)
        page.locator("ar4d-cutout").wait_for(timeout=PATIENCE)
        expect(page.locator("ar4d-cutout output")).to_contain_text("of 24")
        page.get_by_role("tab", name="3 Generate").click()
        before = page.get_by_label("Seed").input_value()
        page.get_by_role("button", name="Dice").click()
        deadline = time.monotonic() + 20
        while page.get_by_label("Seed").input_value() == before:
            assert time.monotonic() < deadline
            page.wait_for_timeout(100)
