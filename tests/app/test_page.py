"""The page in a real browser, with real workers: a visitor's path, and what may go wrong on it."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from app.main import Server
from app.runs.limits import Limits
from tests.support.browser import CHROMIUM
from tests.support.footage import WHITE, write_video
from tests.support.lifting import disk_video, serving_page
from tests.support.visiting import NARROW, PATIENCE, cut_out, keep, upload, visit, wait_for_state

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_page(tmp_path_factory.mktemp("page"), Limits(upload_mb=1, waiting=2)) as started:
        yield started


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disk_video(tmp_path_factory.mktemp("clips"), num_frames=5)


@pytest.fixture(scope="module")
def lifted(browser: Browser, server: Server, clip: Path) -> Any:
    """The storage of a browser that has uploaded a clip and watched it being lifted."""
    with visit(browser, server) as page:
        keep(page, "1-input")
        cut_out(page, clip)
        expect(page.locator("ar4d-cutout .scrub output")).to_contain_text("of 5")
        expect(page.locator("#cutout-estimate")).to_contain_text("About")
        keep(page, "2-cut-out")
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#estimate")).to_contain_text("5 frames")
        keep(page, "3-settings")
        page.locator("#generate").click()
        wait_for_state(page, "finished")
        expect(page.locator("#pictures img")).to_have_count(2)
        keep(page, "3-finished")
        page.wait_for_function(IN_VIEWER, arg="state => state.finished && state.framesDone == 5")
        return page.context.storage_state()


def viewer(page: Page) -> FrameLocator:
    return page.frame_locator("iframe.viewer")


IN_VIEWER = """(condition) => {
    const inside = document.querySelector("iframe.viewer")?.contentWindow?.ar4d;
    return inside?.state && (0, eval)(condition)(inside.state);
}"""


def test_a_result_can_be_scrubbed_exported_and_repeated(
    browser: Browser, server: Server, lifted: Any
) -> None:
    with visit(browser, server, storage_state=lifted) as page:
        expect(page.locator("#numbers")).to_contain_text("dB")  # restored at once
        expect(page.locator("ar4d-stages img").first).to_be_visible()
        expect(page.locator("#command")).to_contain_text("python -m ar4d lift disk.mp4")
        page.wait_for_function(IN_VIEWER, arg="state => state.finished && state.framesDone == 5")
        scrub = viewer(page).locator("[data-part=scrub]")
        scrub.evaluate("(e) => { e.value = 2.5; e.dispatchEvent(new Event('input')); }")
        expect(viewer(page).locator("[data-part=time]")).to_contain_text("3.5 of 5")
        keep(page, "4-result")
        with page.expect_download() as download:
            page.get_by_role("button", name="Make and download: Player").click()
        assert download.value.suggested_filename == "disk.html"
        assert b"<html" in Path(download.value.path()).read_bytes()[:300]

        first = page.locator("iframe.viewer").get_attribute("src") or ""
        page.get_by_role("tab", name="3 Generate").click()
        page.get_by_role("button", name="Settings").click()
        expect(page.get_by_label("Normal", exact=True)).to_be_checked()
        page.get_by_text("Repeat a part of this run").click()
        page.get_by_role("button", name="Only the refinement").click()
        expect(page.locator("iframe.viewer")).not_to_have_attribute("src", first)
        wait_for_state(page, "finished")
        expect(page.locator(".panel[data-run]")).to_have_attribute("data-frames", "5")
        page.get_by_role("tab", name="Runs").click()
        expect(page.locator(".runs .card")).to_have_count(2)
        expect(page.locator(".runs .card").first).to_contain_text("made from “disk.mp4”, refinement only")
        expect(page.locator(".runs .card").last).to_contain_text("Finished")
        keep(page, "5-runs")


def test_a_run_outlives_reload_cancel_and_its_worker(browser: Browser, server: Server, clip: Path) -> None:
    with visit(browser, server, NARROW) as page:
        cut_out(page, clip)
        page.get_by_role("button", name="Continue").click()
        page.get_by_label("Fine", exact=True).check()
        expect(page.locator("#estimate")).to_contain_text("cpu-fine")
        page.locator("#generate").click()
        page.locator(".panel.running:not([data-frames='0'])").wait_for()
        page.wait_for_function(IN_VIEWER, arg="state => state.framesDone >= 1 && !state.finished")
        address = page.locator("iframe.viewer").get_attribute("src")

        page.reload()  # in the middle of the run
        wait_for_state(page, "running")
        assert page.locator("iframe.viewer").get_attribute("src") == address
        page.get_by_role("button", name="Cancel").click()
        wait_for_state(page, "stopped")
        kept = int(page.locator(".panel").get_attribute("data-frames") or 0)
        assert 1 <= kept < 5
        expect(page.locator(".panel")).to_contain_text(f"{kept} of 5 frames are kept")
        keep(page, "narrow-cancelled")

        page.get_by_role("button", name="Resume").click()
        wait_for_state(page, "running")
        (worker,) = server.service.jobs.workers
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        wait_for_state(page, "failed")
        expect(page.locator(".panel")).to_contain_text("The worker process was killed")
        expect(page.locator(".panel")).to_contain_text("press Resume")
        expect(page.get_by_role("button", name="Resume")).to_be_enabled()
        assert int(page.locator(".panel").get_attribute("data-frames") or 0) >= kept


def test_two_visitors_see_their_own(browser: Browser, server: Server, lifted: Any) -> None:
    with visit(browser, server) as other:
        other.get_by_role("tab", name="Runs").click()
        expect(other.locator("#runs")).to_contain_text("You have no runs yet")
        assert other.locator(".panel[data-run]:visible").count() == 0
        assert other.locator("iframe.viewer").count() == 0  # this server has no example
        run = next(server.service.storage.all_runs()).name
        # The other one learns a run's id and forges a card for it.
        other.evaluate(
            """(run) => {
                const place = document.querySelector("#runs .prose");
                place.innerHTML = `<button data-run="${run}" data-do="open">x</button>`;
                place.querySelector("button").click();
            }""",
            run,
        )
        expect(other.get_by_text("There is no such run here")).to_be_visible()
        assert other.locator("iframe.viewer").count() == 0


def test_a_shared_link_shows_the_viewer_until_it_is_withdrawn(
    browser: Browser, server: Server, lifted: Any
) -> None:
    gone = ("404 (Not Found)",)  # its own viewer is closed with the others', and another one opened
    with visit(browser, server, expected=gone, storage_state=lifted) as page:
        page.get_by_label("Share a link").check()
        box = page.locator("#link textarea, #link input")
        expect(box).to_have_value(re.compile("/share/"))
        link = box.input_value()
        context = browser.new_context(reduced_motion="reduce")
        guest = context.new_page()
        guest.goto(link)
        assert "/share/" in guest.url
        guest.wait_for_function("() => window.ar4d?.state?.finished", timeout=PATIENCE)
        page.get_by_label("Share a link").uncheck()
        expect(box).to_have_value("")
        guest.get_by_text("Nothing is shared under this link").wait_for(timeout=PATIENCE)
        response = guest.goto(link)
        assert response is not None
        assert response.status == 404
        context.close()


def test_bad_uploads_are_one_sentence_each(browser: Browser, server: Server, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("this is no video\n" * 50)
    empty = write_video(tmp_path / "empty.mp4", [np.full((64, 96, 3), WHITE, np.uint8)] * 4)
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(3_000_000))
    with visit(browser, server) as page:
        upload(page, large)
        expect(page.locator("#too-large")).to_have_text(
            "large.mp4 has 3 MB and this server accepts at most 1 MB; make it shorter or smaller."
        )
        keep(page, "bad-large")
        upload(page, text)
        expect(page.locator("#too-large")).to_be_hidden()
        expect(page.locator("#cutout")).to_contain_text(
            "text.mp4 is neither a video nor an image that can be read"
        )
        expect(page.get_by_role("button", name="Continue")).to_be_hidden()
        keep(page, "bad-text")
    with visit(browser, server) as page:
        upload(page, empty)
        expect(page.locator("#cutout")).to_contain_text("No subject was found in empty.mp4")
        expect(page.get_by_role("button", name="Continue")).to_be_hidden()


def test_the_server_itself_refuses_what_is_too_large(server: Server) -> None:
    files = {"files": ("large.mp4", bytes(3_000_000))}
    assert httpx.post(f"{server.address}gradio_api/upload", files=files).status_code == 413


def test_a_narrow_dark_page_has_everything_in_reach(browser: Browser, server: Server, lifted: Any) -> None:
    with visit(browser, server, NARROW, color_scheme="dark", storage_state=lifted) as page:
        expect(page.locator("#numbers")).to_contain_text("dB")  # restored where the visitor left
        for name in ("1 Input", "2 Cut-out", "3 Generate", "4 Result", "Runs"):
            page.get_by_role("tab", name=name).click()
            expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= NARROW[0], f"{name} is {width} px wide"
            keep(page, f"narrow-dark-{name[:1]}")


def test_an_example_needs_only_the_mouse(browser: Browser, server: Server) -> None:
    with visit(browser, server) as page:
        page.locator("button[data-name=fish]").click()
        expect(page.locator("ar4d-cutout .scrub output")).to_contain_text("of 24")
        page.get_by_role("tab", name="3 Generate").click()
        page.get_by_role("button", name=re.compile("^Research")).click()
        seed = page.get_by_label("Seed")
        before = seed.input_value()
        page.get_by_role("button", name="Dice").click()
        expect(seed).not_to_have_value(before)
