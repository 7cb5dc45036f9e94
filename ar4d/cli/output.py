"""`render`, `export` and `evaluate`: what is made of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ar4d.errors import UserError
from ar4d.runs import Run
