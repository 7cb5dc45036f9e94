"""Interlaced video: whether a video is, and how to make whole frames of its fields.

Both are FFmpeg's filters: `idet` compares the fields of consecutive frames, `bwdif` interpolates the lines
of the second field. A flag alone says little: many progressive videos carry it, many interlaced ones do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

import av
import av.error
from av.filter import Graph

FieldOrder = Literal["tff", "bff", "auto"]

SAMPLE_FRAMES = 12  # consecutive frames that are looked at
_SHARE = 0.25  # of the frames; telecined film has two combed ones in five
_LEAST = 2  # frames


def detect_interlacing(stream: av.VideoStream, frames: Iterable[av.VideoFrame]) -> FieldOrder | None:
    """Detect whether consecutive frames are interlaced.

    Args:
        stream: the frames' stream.
        frames: some consecutive frames; a subject at rest decides nothing, then their flags do.

    Returns:
        The field order ("auto": as flagged frame by frame), or None for progressive video.
    """
    flagged, found = False, Counter[str]()
    with_flags = _Flags(frames)
    for frame in _filtered(stream, "idet", "", with_flags):
        found[str(frame.metadata.get("lavfi.idet.multiple.current_frame", ""))] += 1
    flagged = with_flags.flagged
    combed, progressive = found["tff"] + found["bff"], found["progressive"]
    if combed >= _LEAST and combed >= _SHARE * (combed + progressive):
        return "tff" if found["tff"] >= found["bff"] else "bff"
    return "auto" if flagged and progressive == 0 else None


class _Flags:
    """Pass frames on and remember whether any was flagged as interlaced."""

    def __init__(self, frames: Iterable[av.VideoFrame]) -> None:
        self._frames = frames
        self.flagged = False

    def __iter__(self) -> Iterator[av.VideoFrame]:
        for frame in self._frames:
            self.flagged |= bool(frame.interlaced_frame)
            yield frame


def deinterlaced(
    stream: av.VideoStream, frames: Iterable[av.VideoFrame], order: FieldOrder
) -> Iterator[av.VideoFrame]:
    """Make one progressive frame of each interlaced one, at the time of its first field."""
    for frame in _filtered(stream, "bwdif", f"mode=send_frame:parity={order}:deint=all", frames):
        if frame.pts is not None and frame.time_base is not None and stream.time_base is not None:
            frame.pts = round(frame.pts * frame.time_base / stream.time_base)  # the filter halves the base
        yield frame


def _filtered(
    stream: av.VideoStream, name: str, arguments: str, frames: Iterable[av.VideoFrame]
) -> Iterator[av.VideoFrame]:
    """Frames that have passed one filter of FFmpeg's."""
    graph = Graph()
    nodes = [graph.add_buffer(template=stream), graph.add(name, arguments), graph.add("buffersink")]
    nodes[0].link_to(nodes[1])
    nodes[1].link_to(nodes[2])
    graph.configure()
    for frame in frames:
        graph.push(frame)
        yield from _pulled(graph)
    graph.push(None)
    yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    """What the graph has ready."""
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):  # it wants more, or has no more
            return
        assert isinstance(frame, av.VideoFrame)
        yield frame
