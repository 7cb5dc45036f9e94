"""A link to a shared run, without the page around it."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.runs.storage import create_job_record
from app.server import Viewers, routes
from app.share import GONE, share_routes
from app.viewer import RunViewer
from ar4d.formats import export
from tests.support.finished import finished_run
from tests.support.moving import SpinningBall

SECRET = "s" * 22


@pytest.fixture
def shared(tmp_path):
    """A client of a server that shares one finished run, which can be taken away."""
    run = finished_run(tmp_path / "run", SpinningBall())
    create_job_record(run.folder, "my ball.mp4", "")
    viewers, links = Viewers(), {SECRET: run.folder}
    viewer = RunViewer(None)
    viewer.show_run(run)
    path = viewers.add(viewer)

    def exported(folder, format, options):
        return export(run.asset(), format, tmp_path / "out.html", None)[0]

    service = SimpleNamespace(
        shared=links.get, viewers=viewers, viewer_path=lambda folder: path, export=exported
    )
    app = Starlette(routes=[*share_routes(service), *routes(viewers)])
    yield SimpleNamespace(client=TestClient(app), links=links, viewer=viewer)
    viewers.close_all()


def test_the_page_names_the_run_and_leads_on(shared):
    answer = shared.client.get(f"/share/{SECRET}")
    assert answer.status_code == 200
    page = answer.text
    assert "<title>my ball · AR4D</title>" in page
    assert '<a href="../">Made with AR4D</a>' in page
    assert page.count('property="og:title"') == 1
    assert f'"download":"{SECRET}/player.html"' in page
    poster = re.search(r'class="poster"[^>]* src="([^"]+)"', page)
    assert poster
    picture = shared.client.get(urljoin(f"/share/{SECRET}", poster.group(1)))
    assert np.asarray(Image.open(io.BytesIO(picture.content))).shape[2] == 4


def test_the_preview_is_a_whole_address_also_behind_a_proxy(shared):
    headers = {"x-forwarded-proto": "https", "x-forwarded-host": "example.org"}
    page = shared.client.get(f"/share/{SECRET}", headers=headers).text
    assert f'property="og:image" content="https://example.org/share/{SECRET}/preview.jpg"' in page
    picture = shared.client.get(f"/share/{SECRET}/preview.jpg")
    image = Image.open(io.BytesIO(picture.content))
    assert (image.format, image.size) == ("JPEG", (1200, 630))
    assert np.asarray(image.convert("L")).std() > 10


def test_the_player_can_be_taken_home(shared):
    answer = shared.client.get(f"/share/{SECRET}/player.html")
    assert answer.status_code == 200
    assert 'filename="my ball.html"' in answer.headers["content-disposition"] or "my%20ball" in str(
        answer.headers["content-disposition"]
    )
    assert "ar4d-recording" in answer.text


def test_a_withdrawn_link_is_a_sentence_with_a_way_back(shared):
    shared.links.clear()
    for path in ("", "/player.html"):
        answer = shared.client.get(f"/share/{SECRET}{path}")
        assert answer.status_code == 404
        assert GONE in answer.text
        assert "To the start page" in answer.text
    assert shared.client.get(f"/share/{SECRET}/preview.jpg").status_code == 404
