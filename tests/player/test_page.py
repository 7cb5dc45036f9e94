"""The assembled pages, and the size of the example as one file."""

from __future__ import annotations

import json
import re

import pytest

from app.main import EXAMPLE_RUN
from ar4d.formats import export, find_format
from ar4d.formats.from_run import options_of_run
from ar4d.player.page import FILES, PageText, message_page, served_page, viser_client
from ar4d.runs import Run

MEGABYTE = 1e6


def _found(pattern: str, text: str) -> str:
    """The first group of a pattern's only place."""
    match = re.search(pattern, text)
    assert match is not None
    return match.group(1)


def test_all_addresses_of_a_served_page_are_below_the_viewers():
    page = served_page(PageText(title="A", poster="../viewer/x/poster.webp"), base="../viewer/x/")
    addresses = re.findall(r'(?:href|src)="([^"#]+)"', page)
    assert addresses
    own = [a for a in addresses if not a.startswith("data:")]
    assert all(address.startswith("../viewer/x/") for address in own), own
    imports = json.loads(_found(r'<script type="importmap">(.*?)</script>', page))["imports"]
    assert set(imports) == {f"ar4d/{name}" for name in FILES if name.endswith(".js")}
    assert all(address.startswith("../viewer/x/web/") for address in imports.values())


def test_the_page_of_a_link_introduces_itself_once():
    text = PageText(title='A "fish" <1>', home="../", picture="https://example.org/a.jpg", embed=True)
    page = served_page(text)
    assert page.count('property="og:title"') == 1
    assert 'content="A &quot;fish&quot; &lt;1&gt; · AR4D"' in page
    assert page.count('property="og:image"') == 1
    assert 'content="https://example.org/a.jpg"' in page
    assert '<a href="../">Made with AR4D</a>' in page


def test_every_module_is_in_the_import_map():
    """A forgotten one would be asked for from nowhere in a page without a network."""
    for name, file in FILES.items():
        for imported in re.findall(r'from "([^"]+)"', file.decode()):
            assert imported.removeprefix("ar4d/") in FILES, f"{name} imports {imported}"


def test_the_client_of_the_pinned_viser_is_found():
    assert viser_client().startswith("<script data-p=")
    assert "currentScript" in viser_client()


def test_a_message_page_leads_back():
    page = message_page("Gone <away>.", home="../")
    assert "Gone &lt;away&gt;." in page
    assert 'href="../"' in page
    assert "href" not in message_page("Gone.").replace('rel="icon" href', "")


@pytest.mark.skipif(not (EXAMPLE_RUN / "run.json").exists(), reason="the example run is not here")
def test_the_example_with_its_input_video_is_at_most_two_and_a_half_megabytes(tmp_path):
    run, format = Run.open(EXAMPLE_RUN), find_format("html")
    (path,) = export(
        run.asset(), "html", tmp_path / "a.html", format.make_options(options_of_run(format, run))
    )
    page = path.read_text(encoding="utf-8")
    recorded = json.loads(_found(r'id="ar4d-recording">(.*?)</script>', page))
    assert recorded["meta"]["keyFrames"] == 24
    assert recorded["meta"]["count"] > 8000
    assert len(recorded["inputs"]) == 24
    assert path.stat().st_size <= 2.5 * MEGABYTE
