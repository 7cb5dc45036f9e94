"""Generators that tell events and return a result: those of the stages and of `imagine`."""


def drained(stream):
    """The events of a stream, and what it returned."""
    events = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value
