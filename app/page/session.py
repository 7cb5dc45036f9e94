"""The visitor's session, and how a page's handlers report problems."""

from __future__ import annotations

import dataclasses
import functools
import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import gradio as gr

from app.runs import storage
from app.runs.worker import TaskFailed, WorkerDied
from ar4d.errors import UserError

STORAGE_KEY = "ar4d-visitor"
# Encrypts what the browser stores. It is constant, because a restarted server must be able to read it,
# and it is no secret: the token inside is what counts, and that belongs to the visitor.
STORAGE_SECRET = "ar4d"
SECONDS_SHOWN = 12.0

Handler = TypeVar("Handler", bound=Callable)


@dataclass(frozen=True)
class Session:
    """The visitor's token and the open draft and run, stored in the visitor's browser."""

    visitor: str
    draft: str | None = None
    run: str | None = None

    @staticmethod
    def from_browser(value: Any) -> Session:
        """The session that a browser sent, which may be anything; a new visitor gets a token."""
        names = ("visitor", "draft", "run")
        texts = {n: value.get(n) for n in names} if isinstance(value, dict) else dict.fromkeys(names)
        texts = {name: text if isinstance(text, str) else None for name, text in texts.items()}
        if texts["visitor"] is None or not storage.TOKEN.fullmatch(texts["visitor"]):
            return Session(storage.new_token())
        return Session(**texts)  # type: ignore[arg-type]

    def replace(self, **changes: str | None) -> Session:
        """The session with another draft or run."""
        return dataclasses.replace(self, **changes)

    def to_browser(self) -> dict[str, str | None]:
        """The values that the browser stores."""
        return dataclasses.asdict(self)


def browser_state() -> gr.BrowserState:
    """The component that holds the session."""
    return gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)


def report_user_errors(handler: Handler, on_page: bool = True) -> Handler:
    """Wraps a handler so that its `UserError` becomes a message on the page, or to an API client."""

    @functools.wraps(handler)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return handler(*args, **kwargs)
        except (UserError, WorkerDied, TaskFailed) as error:
            raise to_gradio_error(error, on_page) from error

    return wrapped  # type: ignore[return-value]


def to_gradio_error(error: Exception, on_page: bool = True) -> gr.Error:
    """The error as Gradio shows it. The page displays messages as HTML, so ours are escaped there."""
    text = storage.strip_server_paths(str(error))
    text = html.escape(text, quote=False) if on_page else text
    return gr.Error(text, SECONDS_SHOWN, title="This did not work", print_exception=False)


def found(find: Callable[..., Any], *arguments: Any) -> Any:
    """The value that `find` returns; None if it raises, because it was deleted or is damaged."""
    try:
        return find(*arguments)
    except UserError:
        return None
