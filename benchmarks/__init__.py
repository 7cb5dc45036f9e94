"""Measurements that other people can repeat."""

from ar4d.threads import configure_threads

configure_threads()
