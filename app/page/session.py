"""What a page's handlers share: who the visitor is, where he is, and how problems are told."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import gradio as gr

from app.runs import storage
from app.runs.worker import TaskFailed, WorkerDied
from ar4d.errors import UserError

STORAGE_KEY = "ar4d-visitor"
# Encrypts what the browser keeps; constant, or a restarted server could not read it. No secret:
# the token inside is what counts, and that is the visitor's own.
STORAGE_SECRET = "ar4d"
SECONDS_SHOWN = 12.0

Handler = TypeVar("Handler", bound=Callable)


@dataclass(frozen=True)
class Here:
    """A visitor and what he has before him; his browser keeps it."""

    visitor: str
    draft: str | None = None
    run: str | None = None

    @staticmethod
    def of(value: Any) -> Here:
        """From what the browser sent, which may be anything; somebody new gets a token."""
        names = ("visitor", "draft", "run")
        texts = {n: value.get(n) for n in names} if isinstance(value, dict) else dict.fromkeys(names)
        texts = {name: text if isinstance(text, str) else None for name, text in texts.items()}
        if texts["visitor"] is None or not storage.TOKEN.fullmatch(texts["visitor"]):
            return Here(storage.new_token())
        return Here(**texts)  # type: ignore[arg-type]

    def at(self, **changes: str | None) -> Here:
        return replace(self, **changes)

    def kept(self) -> dict[str, str | None]:
        """For the browser."""
        return asdict(self)


def browser_state() -> gr.BrowserState:
    return gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)


def spoken(handler: Handler, on_page: bool = True) -> Handler:
    """Tells a handler's `UserError` as one sentence, on the page or to a client."""

    @functools.wraps(handler)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except (UserError, WorkerDied, TaskFailed) as error:
            raise sentence(error, on_page) from error

    return told  # type: ignore[return-value]


def sentence(error: Exception, on_page: bool = True) -> gr.Error:
    """As Gradio shows it. On the page its messages are HTML, which ours are not."""
    text = storage.discreet(str(error))
    text = html.escape(text, quote=False) if on_page else text
    return gr.Error(text, SECONDS_SHOWN, title="This did not work", print_exception=False)
