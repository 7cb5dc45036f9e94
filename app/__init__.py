"""The browser application: a page that shows runs being made, and their viewers."""

from app.space import prepare
from ar4d.threads import configure_threads

configure_threads()
prepare()
