"""`space`: the page as a Hugging Face Space."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

import tyro

from ar4d.cli.app import home_of_page


@dataclass(frozen=True)
class _SpaceArguments:
    """Upload this copy of the repository as a Hugging Face Space, without tests, documents and history."""

    action: tyro.conf.Positional[Literal["push"]]
    """push: make the Space if there is none, and replace its files."""
    name: tyro.conf.Positional[str]
    """The Space, as USER/NAME."""
    private: bool = False
    """Let nobody else see a new Space."""


def main(argv: list[str]) -> None:
    """upload the page as a Hugging Face Space"""
    arguments = tyro.cli(_SpaceArguments, prog="ar4d space", args=argv)
    sys.path.insert(0, str(home_of_page()))
    from huggingface_hub import HfApi

    from app.space import push

    print(push(arguments.name, HfApi(), arguments.private))
