"""The player's page: viser's client with our player around it, served or as one file."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ar4d.player.recording import Recording
from ar4d.player.scene import empty_scene

WEB = Path(__file__).parent / "web"
FILES = {path.name: path.read_bytes() for path in sorted(WEB.iterdir()) if path.suffix in (".js", ".css")}
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}
CLIENT = "viser-client.html"
"""Name under which a server serves `viser_client`, beside `FILES`."""
CREDIT = "Made with AR4D"

# Before anything is painted: light or dark, and with controls or without.
_EARLY = """<script>{
  const query = new URLSearchParams(location.search);
  const asked = query.get("theme") ?? query.get("__theme") ?? THEME;
  const dark = asked ? asked === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.toggleAttribute("data-noui", query.has("noui"));
}</script>"""
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' "
    "height='32' rx='8' fill='%234f46e5'/%3E%3Cpath d='M12 9v14l11-7z' fill='white'/%3E%3C/svg%3E"
)


@dataclass(frozen=True)
class PageText:
    """What the page says about itself.

    Attributes:
        title: shown in the corner and in the window's title; without one, neither corner nor credit is shown.
        home: address that the credit leads to.
        picture: absolute address of a picture for previews of the link.
        poster: address of the picture that is shown until the object is there.
        download: address of the page as one file.
        embed: whether the page offers the code that embeds it.
        theme: "light" or "dark"; that of the visitor's system if empty.
    """

    title: str = ""
    home: str = ""
    picture: str = ""
    poster: str = ""
    download: str = ""
    embed: bool = False
    theme: str = ""

    def config(self) -> dict[str, Any]:
        """What web/main.js reads."""
        theme = self.theme or None
        return {"title": self.title, "theme": theme, "download": self.download, "embed": self.embed}


def served_page(text: PageText, base: str = "") -> str:
    """The page of a server's viewer.

    Args:
        base: address of the viewer, relative to the page's own, which ends with a slash.
    """
    web = f"{base}web/"
    config = {**text.config(), "scene": empty_scene(), "client": f"{web}{CLIENT}", "stream": f"{base}stream"}
    scripts = [name for name in FILES if name.endswith(".js")]
    modules = {f"ar4d/{name}": f"{web if base else './web/'}{name}" for name in scripts}
    links = [
        *(f'<link rel="stylesheet" href="{web}{name}">' for name in FILES if name.endswith(".css")),
        *(f'<link rel="modulepreload" href="{web}{name}">' for name in scripts),
        f'<link rel="preload" as="fetch" crossorigin href="{web}{CLIENT}">',
    ]
    return _page(text, "".join(links), modules, _json("ar4d-config", config))


def standalone_page(
    text: PageText, recording: Recording, state: dict[str, Any], inputs: Sequence[bytes] = ()
) -> str:
    """The page as one file that needs no network.

    Args:
        state: of the run, as the viewer's server sends it (app/viewer/run_viewer.py).
        inputs: the clip's frames as picture files.
    """
    config = {**text.config(), "scene": empty_scene()}
    files = {f"ar4d/{name}": _data(name) for name in FILES if name.endswith(".js")}
    styles = "".join(FILES[name].decode() for name in FILES if name.endswith(".css"))
    recorded = {
        "state": state,
        "meta": recording.meta,
        "inputs": [base64.b64encode(file).decode() for file in inputs],
        "data": base64.b64encode(recording.data).decode(),
    }
    data = _json("ar4d-config", config) + _json("ar4d-recording", recorded)
    client = viser_client().replace("<script ", '<script type="text/plain" id="viser-client" ', 1)
    return _page(text, f"<style>{styles}</style>", files, data + client)


@cache
def viser_client() -> str:
    """The script element of viser's page that holds its whole client, and starts it.

    Raises:
        RuntimeError: the installed version of viser is built in another way.
    """
    import viser

    page = (Path(viser.__file__).parent / "client/build/index.html").read_text(encoding="utf-8")
    found = re.search(r"<script data-p=.*?</script>", page, re.DOTALL)
    if found is None:
        raise RuntimeError(f"viser {viser.__version__}'s client is unknown; install the pinned version.")
    return found.group()


def message_page(sentence: str, home: str = "") -> str:
    """A page with one sentence, in the visitor's light or dark scheme, and a way back."""
    back = f'<p><a target="_top" href="{html.escape(home)}">To the start page</a></p>' if home else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>AR4D viewer</title>'
        f'<link rel="icon" href="{_ICON}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><style>'
        ":root{color-scheme:light dark}body{margin:0;height:100vh;display:grid;place-content:center;"
        "font:16px/1.5 system-ui,sans-serif}p{max-width:32em;margin:.4em;padding:0 1.5em;text-align:center}"
        f"</style></head><body><main><p>{html.escape(sentence)}</p>{back}</main></body></html>"
    )


def _page(text: PageText, head: str, modules: dict[str, str], data: str) -> str:
    player = (WEB / "player.html").read_text(encoding="utf-8")
    player = player.replace("<!--poster-->", _poster(text)).replace("<!--header-->", _header(text))
    title = f"{text.title} · AR4D" if text.title else "AR4D viewer"
    early = _EARLY.replace("THEME", json.dumps(text.theme or None))
    imports = json.dumps({"imports": modules})
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">'
        f'<title>{html.escape(title)}</title><link rel="icon" href="{_ICON}">{_preview(text, title)}{early}'
        f'<script type="importmap">{imports}</script>{head}</head><body>{player}{data}'
        '<script type="module">import "ar4d/main.js";</script></body></html>'
    )


def _poster(text: PageText) -> str:
    if not text.poster:
        return ""
    described = f"{text.title or 'The object'}, seen from the front"
    source = html.escape(text.poster)
    return f'<img class="poster" data-part="poster" alt="{html.escape(described)}" src="{source}">'


def _header(text: PageText) -> str:
    if not text.title:
        return ""
    credit = CREDIT
    if text.home:
        elsewhere = ' target="_blank" rel="noopener"' if text.home.startswith("http") else ""
        credit = f'<a href="{html.escape(text.home)}"{elsewhere}>{CREDIT}</a>'
    return f"<header><h1>{html.escape(text.title)}</h1><p>{credit}</p></header>"


def _preview(text: PageText, title: str) -> str:
    """What other programs show of a link to the page."""
    described = "An object that moves in 3D, made from a video: turn it, and play it at any speed."
    facts = {"type": "website", "title": title, "site_name": "AR4D", "description": described}
    if text.picture:
        facts["image"] = text.picture
    tags = (f'<meta property="og:{name}" content="{html.escape(fact)}">' for name, fact in facts.items())
    return "".join(tags)


def _json(id: str, value: Any) -> str:
    """JSON inside a page; no value can end the script element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{id}">{text}</script>'


def _data(name: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(FILES[name]).decode()}"
