"""axe-core's rules, applied to a page in the browser."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from playwright.sync_api import Page

from tests.support.npm import install

FOLDER = Path(__file__).parents[1] / "player" / "node"


@cache
def _axe() -> str:
    """axe-core's script; installed when it is first needed."""
    return (install(FOLDER) / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def serious_findings(page: Page) -> list[str]:
    """The rules of impact "serious" or "critical" that the page and its frames break, with the elements."""
    for frame in page.frames:
        frame.evaluate(_axe())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations)")
    return [
        f"{rule['id']}: {rule['help']} ({', '.join(node['html'][:120] for node in rule['nodes'])})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
