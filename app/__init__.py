"""The browser application: a page that shows runs being made, and their viewers."""

from ar4d.threads import configure_threads

configure_threads()
