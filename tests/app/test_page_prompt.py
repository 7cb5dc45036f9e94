"""The prompt's tab in a real browser. Clips are made in the server's process by toy experts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from playwright.sync_api import Page, expect

from app.main import Server
from app.runs.limits import Limits
from ar4d.experts import registry
from ar4d.experts.protocols import Unavailable
from ar4d.experts.registry import Entry
from ar4d.runs import Run
from tests.app.test_prompt_jobs import InProcessWorker
from tests.imagine.test_imagine import ALL, BAD, Studio, good
from tests.support.browser import CHROMIUM, chromium
from tests.support.lifting import serving_page

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
PATIENCE = 240_000  # milliseconds; every wait ends as soon as it can


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    filming = Studio([good(0), BAD, BAD, BAD])
    entries = (
        Entry("toy-film", ALL, "films toys", lambda d: None, lambda d: filming),
        Entry("big", ALL, "", lambda d: Unavailable("big needs a GPU."), lambda d: None, gpu_gib=24),
        registry.named("silhouette"),
    )
    with (
        mock.patch.object(registry, "ENTRIES", entries),
        mock.patch("app.runs.prompt_jobs.Worker", side_effect=lambda name: InProcessWorker()),
        serving_page(tmp_path_factory.mktemp("page"), Limits()) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Page]:
    expect.set_options(timeout=PATIENCE)
    with chromium() as browser:
        page = browser.new_context(
            viewport={"width": 1000, "height": 800}, reduced_motion="reduce"
        ).new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(server.address)
        page.get_by_role("tab", name="Prompt").click()
        yield page


def test_experts_are_shown_with_their_needs_and_obstacles(page: Page):
    film, big = (page.locator(".offers li").filter(has_text=name) for name in ("toy-film", "big"))
    expect(film).to_contain_text("films toys")
    expect(big).to_contain_text("GPU, 24 GiB free; download none")
    expect(big).to_contain_text("big needs a GPU.")


def test_an_empty_prompt_is_reported(page: Page):
    page.get_by_role("button", name="Make a clip").click()
    expect(page.locator(".toast-body")).to_contain_text("The prompt is empty")
    page.locator(".toast-body button").first.click()


def test_a_prompt_becomes_a_cut_out_and_a_run_that_names_its_experts(page: Page, server: Server):
    page.get_by_label("Subject").fill("a red ball")
    page.get_by_role("button", name="Make a clip").click()
    expect(page.locator("ar4d-cutout .scrub output")).to_contain_text("of 8")
    page.get_by_role("button", name="Continue").click()
    page.locator("button#generate, #generate button").first.click()
    expect(page.locator("#panel")).to_contain_text("Finished")
    run = next(folder for folder in server.service.storage.all_runs())
    assert Run.open(Path(run)).record.experts["text_to_video"] == "toy-film"
    expect(page.locator("#panel")).to_contain_text("silhouette")
