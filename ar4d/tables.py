"""Tables for the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

UNLIMITED = 10_000  # columns, where no terminal limits a line


def text_table(rows: Sequence[Sequence[str]], *, numbers: bool = False) -> str:
    """Aligned text of rows of cells. Cells wrap where a terminal is too narrow for them.

    Args:
        rows: the first is the header; all have as many cells.
        numbers: right-align all columns but the first.
    """
    header, *body = rows
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="")
    for k, title in enumerate(header):
        table.add_column(title, justify="right" if numbers and k > 0 else "left")
    for row in body:
        table.add_row(*row)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else UNLIMITED
    console = Console(width=width, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
