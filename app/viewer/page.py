"""The viewer's page: viser's client with our player around it."""

from __future__ import annotations

import gzip
import html
from functools import cache
from pathlib import Path

import viser

WEB = Path(__file__).parent / "web"
FILES = {path.name: path.read_bytes() for path in sorted(WEB.iterdir()) if path.suffix in (".js", ".css")}
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}

_HEAD = '<link rel="stylesheet" href="web/style.css"><script type="module" src="web/main.js"></script>'


@cache
def viewer_page(gzipped: bool = False) -> bytes:
    """viser's single-file client with our styles, scripts and controls; all addresses are relative."""
    page = (Path(viser.__file__).parent / "client/build/index.html").read_text(encoding="utf-8")
    player = (WEB / "player.html").read_text(encoding="utf-8")
    for old, new in (
        ("<title>Viser</title>", "<title>AR4D viewer</title>"),
        ("</head>", f"{_HEAD}</head>"),
        ("</body>", f"{player}</body>"),
    ):
        before, found, after = page.rpartition(old)
        if not found:
            raise RuntimeError(
                f"viser {viser.__version__}'s client has no {old}; install the pinned version."
            )
        page = f"{before}{new}{after}"
    return gzip.compress(page.encode()) if gzipped else page.encode()


def message_page(sentence: str) -> str:
    """A page with one sentence, in the visitor's light or dark scheme."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>AR4D viewer</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>'
        ":root{color-scheme:light dark}body{margin:0;height:100vh;display:grid;place-items:center;"
        "font:16px/1.5 system-ui,sans-serif}p{max-width:32em;padding:0 1.5em;text-align:center;opacity:.75}"
        f"</style></head><body><p>{html.escape(sentence)}</p></body></html>"
    )
