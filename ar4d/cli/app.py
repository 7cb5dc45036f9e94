"""`app`: the page in the browser."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from ar4d.errors import UserError

PACKAGE = Path(__file__).parents[1]
HOMES = (PACKAGE.parent, PACKAGE / "bundled")
"""Folders that may hold the package `app`: the repository's root, and where a wheel puts it.

The page is no top-level package of the wheel, because the name is too common to be taken by a library.
"""


def main(argv: list[str]) -> None:
    """start the page in the browser"""
    home = home_of_page()
    absent = [name for name in ("gradio", "viser") if importlib.util.find_spec(name) is None]
    if absent:
        raise UserError(f"The page needs {' and '.join(absent)}; install with `pip install 'ar4d[app]'`.")
    sys.path.insert(0, str(home))
    from app.main import main as serve

    raise SystemExit(serve(argv))


def home_of_page() -> Path:
    """The folder that holds the package `app`.

    Raises:
        UserError: there is none.
    """
    for folder in HOMES:
        if (folder / "app" / "main.py").is_file():
            return folder
    raise UserError(
        "This installation has no page; run `python app.py` in a copy of the repository, or install a wheel "
        "of ar4d."
    )
