"""Training of the networks that come with the program."""

from ar4d.threads import configure_threads

configure_threads()
