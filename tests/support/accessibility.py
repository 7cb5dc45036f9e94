"""axe-core's rules, applied to a page in the browser."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Page

FOLDER = Path(__file__).parents[1] / "player" / "node"
NPM = shutil.which("npm")
needs_npm = pytest.mark.skipif(NPM is None, reason="no Node.js with npm on this machine")


@cache
def _axe() -> str:
    """axe-core's script; installed when it is first needed."""
    script = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        subprocess.run([NPM or "npm", "ci"], cwd=FOLDER, check=True, capture_output=True, timeout=300)
    return script.read_text(encoding="utf-8")


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
