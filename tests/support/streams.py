"""Collects the events of streams: those of stages, of whole runs and of `imagine`."""

from ar4d.events import drain


def drained(stream):
    """The events of a stream as a list, and what it returned."""
    events = []
    result = drain(stream, events.append)
    return events, result
