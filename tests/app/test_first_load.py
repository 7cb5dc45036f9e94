"""What the first visit costs: bytes, the example's picture, and what a link to the page shows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser

from app.main import EXAMPLE_RUN, Server
from app.viewer.posters import KEPT
from benchmarks.support.traffic import PLAYS, Traffic
from tests.support.browser import CHROMIUM

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
MEGA = 10**6
get = partial(httpx.get, timeout=60)  # a busy machine takes a while


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("runs"), example=EXAMPLE_RUN)
    try:
        yield started
    finally:
        started.close()


def test_the_first_visit_stays_small(browser: Browser, server: Server) -> None:
    assert server.example is not None
    while not server.example.state()["recorded"]:  # before somebody asks for it
        time.sleep(0.1)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    with closing(context):
        page = context.new_page()
        page.set_default_timeout(120_000)
        traffic = Traffic(page)
        page.goto(server.address)
        page.locator("#steps [role=tab]").first.wait_for()
        page.frame_locator("iframe.viewer").locator("[data-part=poster]").wait_for(state="attached")
        page.locator("iframe.viewer").scroll_into_view_if_needed()
        page.wait_for_function(PLAYS)
        assert 0.5 * MEGA < traffic.before_splats() < 2.5 * MEGA
        assert not [file for file in traffic.files_before_splats() if file.endswith(".mp4")]
        page.wait_for_function("() => document.querySelector('#examples video').currentTime > 0")
        page.wait_for_timeout(1000)
        assert traffic.before_splats() < traffic.total() < 8 * MEGA


def test_the_examples_picture_is_there_at_once(server: Server) -> None:
    page = get(f"{server.address}example/dinosaur", follow_redirects=True)
    found = re.search(r'class="poster"[^>]* src="([^"]+)"', page.text)
    assert found is not None
    picture = get(str(page.url.join(found[1])))
    assert picture.content == (EXAMPLE_RUN / KEPT).read_bytes()  # kept, not drawn
    assert len(picture.content) < 60_000


def test_a_link_to_the_page_shows_what_it_is(server: Server) -> None:
    answer = get(server.address, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    tags = re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', answer.text)
    facts = dict(tags)
    assert len(tags) == len(facts) == len(re.findall('"og:', answer.text))
    assert "twitter:" not in answer.text
    assert facts["title"] == "AR4D"
    assert facts["image"] == f"{server.address}preview.jpg"
    picture = get(facts["image"])
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content[:2] == b"\xff\xd8"
    behind = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "lab.example"}
    assert 'content="https://lab.example/preview.jpg"' in get(server.address, headers=behind).text


def test_without_an_example_there_is_no_picture(tmp_path: Path) -> None:
    server = Server(tmp_path, example=None)
    try:
        assert "og:image" not in get(server.address).text
        assert get(f"{server.address}preview.jpg").status_code == 404
    finally:
        server.close()


def test_the_page_may_use_the_webcam(server: Server) -> None:
    policy = get(server.address).headers["permissions-policy"]
    assert "camera=(self)" in policy
    assert "microphone=(self)" in policy
