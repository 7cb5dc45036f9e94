"""Videos, decoded with PyAV: only the frames that are wanted, upright, in RGBA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.reformatter import ColorTrc, Interpolation
from PIL import Image

from ar4d.clip.pictures import check_size, scaled_size, shrink
from ar4d.errors import UserError

# Containers that are files of their own: no playlists, which could name other files or hosts.
_CONTAINERS = "mov,matroska,webm,avi,gif,mpegts,mpeg,ogg,flv,asf,mpegvideo,h264,hevc,ivf,nut,mxf"
_INDEXED_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # their time stamps can be trusted
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_ALPHA_DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}  # FFmpeg's own decoders drop WebM's alpha


class Video:
    """A video file. Opening it reads its time stamps and decodes its first frame, no more."""

    def __init__(self, path: Path, fps: float | None) -> None:
        self.name = path.name
        self.warnings: list[str] = []
        self._path = path
        with self._open() as container:
            stream = self._video_stream(container)
            self._indexed = container.format.name in _INDEXED_CONTAINERS
            self._ticks, self._keys = self._list_frames(container)  # time stamps in units of time_base
            self.times, self.length = self._timeline(stream, fps)
        self._matrix, (self.width, self.height) = self._look_at_first_frame()

    def label(self, index: int) -> str:
        return f"frame {index} ({self.times[index]:.2f} s)"

    def read(self, indices: Sequence[int], scale: float) -> Iterator[tuple[int, np.ndarray]]:
        with self._open() as container:
            reader = _Reader(container)
            frames = self._find_stamps(reader, indices) if self._indexed else self._count(reader, indices)
            for index, frame in frames:
                yield index, self._picture(frame, scale)

    def _open(self) -> InputContainer:
        try:
            options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
            return av.open(str(self._path), container_options=options)
        except av.error.FFmpegError as error:
            raise UserError(
                f"{self._path} is neither a video nor an image that can be read: it may be damaged or of "
                "another kind; convert it to MP4, WebM, GIF or PNG."
            ) from error

    def _video_stream(self, container: InputContainer) -> av.VideoStream:
        if not container.streams.video:
            raise UserError(f"{self._path} holds no video: choose another file.")
        stream = container.streams.video[0]
        check_size(self._path, stream.codec_context.width, stream.codec_context.height)
        return stream

    def _list_frames(self, container: InputContainer) -> tuple[np.ndarray, np.ndarray]:
        """Reads all packets and decodes none: the time stamps of the frames, and those of key frames."""
        video = container.streams.video[0].index
        ticks, keys, end = [], [], 0.0
        try:
            for packet in container.demux():
                tick = packet.pts if packet.pts is not None else packet.dts
                if tick is None or not packet.size:
                    continue
                end = max(end, float((tick + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index == video and packet.is_keyframe:
                    keys.append(tick)
                if packet.stream.index == video and not packet.is_discard:
                    ticks.append(tick)
        except av.error.FFmpegError as error:
            self.warnings.append(f"{self.name} is damaged after {end:.1f} s: {error.strerror}.")
        if not ticks:
            raise UserError(f"{self._path} holds no video frames: it may be damaged or cut off.")
        announced = (container.duration or 0) / 1e6
        missing = announced - (end - (container.start_time or 0) / 1e6)
        if missing > max(0.5, 0.02 * announced):
            self.warnings.append(
                f"{self.name} is cut off: the last {missing:.1f} of its {announced:.1f} s are missing."
            )
        return np.array(sorted(ticks)), np.array(sorted(keys))

    def _timeline(self, stream: av.VideoStream, fps: float | None) -> tuple[np.ndarray, float]:
        """Seconds at which each frame begins, and at which the last one ends."""
        steps, tick = np.diff(self._ticks), float(stream.time_base or 1)
        step = float(np.median(steps)) * tick if len(steps) else 0.0
        if fps is not None or step <= 0:
            step = 1 / (fps or float(stream.average_rate or 25))
        distinct = not (steps == 0).any()
        self._indexed = self._indexed and distinct
        stamps = (self._ticks - self._ticks[0]) * tick
        times = stamps if distinct and fps is None else np.arange(len(self._ticks)) * step
        return times, float(times[-1] + step)

    def _look_at_first_frame(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The display matrix and the upright size with square pixels."""
        with self._open() as container:
            reader = _Reader(container)
            frame = next(reader.frames(), None)
            if frame is None:
                raise UserError(f"No frame of {self._path} can be decoded: it may be damaged or cut off.")
            matrix = _display_matrix(frame)
            if frame.color_trc in _HDR:
                self.warnings.append(f"{self.name} is an HDR video: its colours will look pale.")
            aspect = float(reader.stream.sample_aspect_ratio or 1)
        width, height = round(frame.width * aspect), frame.height
        return matrix, (height, width) if _is_turned(matrix) else (width, height)

    def _find_stamps(self, reader: _Reader, indices: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Finds frames by their time stamps, and jumps to a key frame where one lies on the way."""
        frames, frame = reader.frames(), None
        for index in indices:
            target = self._ticks[index]
            keys = self._keys[self._keys <= target]
            if len(keys) and (frame is None or keys[-1] > frame.pts):
                frames, frame = reader.frames_from(int(keys[-1])), None
            while frame is None or frame.pts < target:
                frame = next(frames, None)
                if frame is None:
                    break  # the rest cannot be decoded, but a later key frame may help
            if frame is not None and frame.pts == target:
                yield index, frame

    def _count(self, reader: _Reader, indices: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Finds frames by counting, where time stamps are missing or not to be trusted (AVI)."""
        wanted = set(indices)
        for index, frame in enumerate(reader.frames()):
            if index in wanted:
                yield index, frame
            if index >= indices[-1]:
                return

    def _picture(self, frame: av.VideoFrame, scale: float) -> np.ndarray:
        size = scaled_size(self.width, self.height, scale)
        width, height = size[::-1] if _is_turned(self._matrix) else size
        if any(component.is_alpha for component in frame.format.components) or frame.format.has_palette:
            image = Image.fromarray(frame.to_ndarray(format="rgba"))
            picture = shrink(image, (width, height))
        else:
            smaller = width < frame.width or height < frame.height
            method = Interpolation.AREA if smaller else Interpolation.BILINEAR
            flags = method | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
            picture = frame.reformat(width, height, "rgba", interpolation=flags).to_ndarray()
        return _turn(picture, self._matrix)


class _Reader:
    """An open video's frames, in the order in which they are shown."""

    def __init__(self, container: InputContainer) -> None:
        self.stream = container.streams.video[0]
        self.stream.thread_type = "AUTO"
        self._container = container
        self._decoder = self._make_decoder()

    def _make_decoder(self) -> av.VideoCodecContext:
        name = _ALPHA_DECODERS.get(self.stream.codec_context.name)
        if name is None or self.stream.metadata.get("alpha_mode") != "1":
            return self.stream.codec_context
        decoder = av.VideoCodecContext.create(name, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.extradata = self.stream.codec_context.extradata
        return decoder

    def frames_from(self, key: int) -> Iterator[av.VideoFrame]:
        """Frames from the key frame with this time stamp on."""
        self._container.seek(key, stream=self.stream)
        if self._decoder.is_open:
            self._decoder.flush_buffers()
        return self.frames()

    def frames(self) -> Iterator[av.VideoFrame]:
        """Frames from here on, less those that are damaged."""
        packets = self._container.demux(self.stream)
        while (packet := _next_packet(packets)) is not None:
            try:
                decoded = self._decoder.decode(packet)
            except av.error.InvalidDataError:
                continue
            yield from (frame for frame in decoded if not frame.is_corrupt)


def _next_packet(packets: Iterator[av.Packet]) -> av.Packet | None:
    """The last packet that `packets` yields is empty and makes the decoder hand out what it holds."""
    try:
        return next(packets, None)
    except av.error.FFmpegError:  # cut off in mid-packet; opening the file has told so
        return None


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """The upper left 2×2 of the matrix [[a, b], [c, d]] with x' = a x + c y and y' = b x + d y, y down."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return np.eye(2)
    return np.frombuffer(bytes(data), dtype=np.int32).reshape(3, 3)[:2, :2] / 65536


def _is_turned(matrix: np.ndarray) -> bool:
    """Whether width and height change places."""
    return bool(abs(matrix[0, 1]) > abs(matrix[0, 0]))


def _turn(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Applies the quarter turns and mirrorings of a display matrix to a picture [h, w, 4]."""
    if _is_turned(matrix):
        picture, (right, down) = picture.transpose(1, 0, 2), (matrix[1, 0], matrix[0, 1])
    else:
        right, down = matrix[0, 0], matrix[1, 1]
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
