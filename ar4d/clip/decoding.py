"""Videos, decoded with PyAV: only the frames that are wanted, upright, in RGBA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image

from ar4d.clip.colors import HDR_TRANSFERS, into_gamut, needs_conversion, to_srgb
from ar4d.clip.interlacing import SAMPLE_FRAMES, FieldOrder, deinterlaced, detect_interlacing
from ar4d.clip.pictures import check_size, scaled_size, shrink
from ar4d.errors import UserError
from ar4d.images import to_uint8

# Containers that are files of their own: no playlists, which could name other files or hosts.
_CONTAINERS = "mov,matroska,webm,avi,gif,mpegts,mpeg,ogg,flv,asf,mpegvideo,h264,hevc,ivf,nut,mxf,dv,apng"
_INDEXED_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # their time stamps can be trusted
_PICTURE = Disposition.attached_pic | Disposition.timed_thumbnails
_DOLBY_TAGS = ("dvh1", "dvhe", "dva1", "dvav", "dav1")  # without a base layer for other players
_UNSPECIFIED = 2  # colour matrix in H.273
_ALPHA_DECODERS = {"vp9": "libvpx-vp9", "vp8": "libvpx"}  # FFmpeg's own decoders drop WebM's alpha

_STILL_CODECS = ("mjpeg", "png", "webp", "bmp")  # of preview pictures; of a clip too, if it is the only one


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
        self._field_order: FieldOrder | None = self._detect_interlacing()

    def place(self, index: int) -> str:
        return f"{self.times[index]:.2f} s"

    def read(self, indices: Sequence[int], scale: float) -> Iterator[tuple[int, np.ndarray]]:
        with self._open() as container:
            reader = _Reader(container, self._field_order)
            frames = self._find_stamps(reader, indices) if self._indexed else self._count(reader, indices)
            for index, frame in frames:
                yield index, self._picture(frame, scale)

    def _open(self) -> InputContainer:
        try:
            options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
            # As a URL: a name like "take:1.mp4" would name a protocol.
            name = f"file:{self._path.absolute()}"
            return av.open(name, container_options=options, metadata_errors="replace")  # titles in Latin-1
        except av.error.FFmpegError as error:
            raise UserError(
                f"{self._path} is neither a video nor an image that can be read: it may be damaged or of "
                "another kind; convert it to MP4, WebM, GIF or PNG."
            ) from error

    def _video_stream(self, container: InputContainer) -> av.VideoStream:
        streams = moving_streams(container)
        if not streams:
            what = "sound and a cover picture, but no video" if container.streams.video else "no video"
            raise UserError(f"{self._path} holds {what}: choose another file.")
        stream = streams[0]
        if len(streams) > 1:
            number = container.streams.video.index(stream) + 1
            self.warnings.append(
                f"{self.name} holds {len(streams)} videos: only video {number}, {stream.width}×"
                f"{stream.height} pixels large, is used."
            )
        check_size(self._path, stream.codec_context.width, stream.codec_context.height)
        return stream

    def _list_frames(self, container: InputContainer) -> tuple[np.ndarray, np.ndarray]:
        """Read all packets and decode none: the time stamps of the frames, and those of key frames."""
        video = moving_streams(container)[0].index
        ticks, keys, end, durations, unstamped = [], [], 0.0, {}, 0
        try:
            for packet in container.demux():
                tick = packet.pts if packet.pts is not None else packet.dts
                if tick is None or not packet.size:
                    unstamped += packet.stream.index == video and packet.size > 0
                    continue
                end = max(end, float((tick + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index == video and packet.is_keyframe:
                    keys.append(tick)
                if packet.stream.index == video and not packet.is_discard:
                    ticks.append(tick)
                    durations[tick] = float((packet.duration or 0) * packet.time_base)
        except av.error.FFmpegError as error:
            self.warnings.append(f"{self.name} is damaged after {end:.1f} s: {error.strerror}.")
        if not ticks and unstamped:  # a bare stream, outside any container
            ticks = [0] * unstamped
            rate = float(moving_streams(container)[0].average_rate or 25)
            self.warnings.append(
                f"{self.name} has no time stamps: {rate:g} frames a second are assumed; --fps changes that."
            )
        if not ticks:
            raise UserError(f"{self._path} holds no video frames: it may be damaged or cut off.")
        self._last_duration = durations.get(max(ticks), 0.0)
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
        if not distinct or fps is not None:
            return np.arange(len(self._ticks)) * step, len(self._ticks) * step
        return stamps, float(stamps[-1] + (self._last_duration or step))

    def _look_at_first_frame(self) -> tuple[np.ndarray, tuple[int, int]]:
        """The display matrix and the upright size with square pixels."""
        with self._open() as container:
            reader = _Reader(container)
            frame = next(reader.frames(), None)
            if frame is None:
                raise UserError(f"No frame of {self._path} can be decoded: it may be damaged or cut off.")
            matrix = _display_matrix(frame) if reader.is_native else self._find_display_matrix()
            self._check_colors(reader.stream, frame)
            aspect = float(reader.stream.sample_aspect_ratio or 1)
        width, height = round(frame.width * aspect), frame.height
        return matrix, (height, width) if _is_turned(matrix) else (width, height)

    def _find_display_matrix(self) -> np.ndarray:
        """The display matrix, which only a stream's own decoder passes on to its frames."""
        with self._open() as container:
            frame = next(_Reader(container, native=True).frames(), None)
            return np.eye(2) if frame is None else _display_matrix(frame)

    def _check_colors(self, stream: av.VideoStream, frame: av.VideoFrame) -> None:
        """Name colours that have to be converted, and refuse those that cannot be."""
        hdr = frame.color_trc in HDR_TRANSFERS
        if stream.codec_context.codec_tag in _DOLBY_TAGS and not hdr:
            raise UserError(
                f"{self._path} is Dolby Vision without a base layer (profile 5), whose colours cannot be "
                "read: export it as SDR or HLG."
            )
        if hdr:
            self.warnings.append(
                f"{self.name} is an HDR video: it was converted to SDR, with its reference white as white."
            )
        elif needs_conversion(frame.color_trc, frame.color_primaries):
            self.warnings.append(f"{self.name} has wide-gamut colours: they were converted to sRGB.")

    def _detect_interlacing(self) -> FieldOrder | None:
        """Look at some frames at the beginning and, where nothing moves there, in the middle."""
        order: FieldOrder | None = None
        starts = [None, *self._keys[len(self._keys) // 2 :][:1]] if self._indexed else [None]
        for start in starts:
            with self._open() as container:
                reader = _Reader(container)
                frames = reader.frames() if start is None else reader.frames_from(int(start))
                sample = list(islice(frames, SAMPLE_FRAMES))
                if not sample or _has_own_pixels(sample[0]):
                    return None
                order = detect_interlacing(reader.stream, sample)
            if order in ("tff", "bff"):
                break
        if order is not None:
            self.warnings.append(
                f"{self.name} is interlaced: whole frames were made of its fields, so fine detail is softer."
            )
        return order

    def _find_stamps(self, reader: _Reader, indices: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Find frames by their time stamps, and jump to a key frame where one lies on the way."""
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
        """Find frames by counting, where time stamps are missing or not to be trusted (AVI)."""
        wanted = set(indices)
        for index, frame in enumerate(reader.frames()):
            if index in wanted:
                yield index, frame
            if index >= indices[-1]:
                return

    def _picture(self, frame: av.VideoFrame, scale: float) -> np.ndarray:
        size = scaled_size(self.width, self.height, scale)
        width, height = size[::-1] if _is_turned(self._matrix) else size
        if _has_own_pixels(frame):
            image = Image.fromarray(frame.to_ndarray(format="rgba"))
            picture = shrink(image, (width, height))
        else:
            smaller = width < frame.width or height < frame.height
            method = Interpolation.AREA if smaller else Interpolation.BILINEAR
            flags = method | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
            if self._field_order is None:
                picture = _rgba(frame, width, height, flags)
            else:
                picture = _rgba_by_luma(frame, width, height, flags)
        return _turn(picture, self._matrix)


class _Reader:
    """An open video's frames, in the order in which they are shown."""

    def __init__(
        self, container: InputContainer, field_order: FieldOrder | None = None, native: bool = False
    ) -> None:
        self.stream = moving_streams(container)[0]
        self._field_order: FieldOrder | None = field_order
        self.stream.thread_type = "AUTO"
        self._container = container
        self._decoder = self.stream.codec_context if native else self._make_decoder()
        self.is_native = self._decoder is self.stream.codec_context

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
        """Whole frames from here on, less those that are damaged."""
        frames = self._decoded()
        return frames if self._field_order is None else deinterlaced(self.stream, frames, self._field_order)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self.stream)
        while (packet := _next_packet(packets)) is not None:
            try:
                decoded = self._decoder.decode(packet)
            except av.error.InvalidDataError:
                continue
            yield from (frame for frame in decoded if not frame.is_corrupt)


def moving_streams(container: InputContainer) -> list[av.VideoStream]:
    """The videos in a container, without pictures such as an album's cover; the default one first.

    A preview picture that is marked as a video comes last.
    """
    moving = [s for s in container.streams.video if not s.disposition & _PICTURE]
    return sorted(
        moving, key=lambda s: (s.codec_context.name in _STILL_CODECS, not s.disposition & Disposition.default)
    )


def _has_own_pixels(frame: av.VideoFrame) -> bool:
    """Whether the frame has alpha or a palette, which FFmpeg's scaler would not average correctly."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def _rgba(frame: av.VideoFrame, width: int, height: int, flags: int) -> np.ndarray:
    """[height, width, 4] uint8 sRGB of an opaque frame."""
    # What does not name its matrix has that of HD or of SD video, by its size, as players assume.
    is_hd = frame.width >= 1280 or frame.height > 576
    unnamed = frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb
    matrix = Colorspace.ITU709 if unnamed and is_hd else None
    if not needs_conversion(frame.color_trc, frame.color_primaries):
        return frame.reformat(width, height, "rgba", src_colorspace=matrix, interpolation=flags).to_ndarray()
    # Planar: FFmpeg 8 mixes up the channels of packed 16-bit RGB when it interpolates chroma in full.
    wide = frame.reformat(width, height, "gbrp16le", src_colorspace=matrix, interpolation=flags).to_ndarray()
    colors = to_srgb(wide, frame.color_trc, frame.color_primaries)
    return np.dstack([colors, np.full(colors.shape[:2], 255, np.uint8)])


def _rgba_by_luma(frame: av.VideoFrame, width: int, height: int, flags: int) -> np.ndarray:
    """The same of a frame made of fields, whose chroma may still mix both.

    Where the luma leaves no room for so much chroma, as beside a subject on white, the chroma is another
    field's: it is reduced until the colour lies in the gamut, and the luma stays.
    """
    planes = frame.reformat(width, height, "yuv444p", interpolation=flags).to_ndarray().astype(np.float32)
    full = frame.color_range == ColorRange.JPEG
    luma = np.clip(planes[0] / 255 if full else (planes[0] - 16) / 219, 0, 1)
    blue, red = (planes[1:] - 128) / (255 if full else 224)
    is_hd = frame.width >= 1280 or frame.height > 576
    kr, kb = (0.2126, 0.0722) if frame.colorspace == Colorspace.ITU709 or is_hd else (0.299, 0.114)
    red, blue = 2 * (1 - kr) * red, 2 * (1 - kb) * blue  # R' − Y', B' − Y'
    offsets = np.stack([red, -(kr * red + kb * blue) / (1 - kr - kb), blue], axis=-1)
    colors = into_gamut(luma, luma[..., None] + offsets)
    return np.dstack([to_uint8(colors), np.full(luma.shape, 255, np.uint8)])


def _next_packet(packets: Iterator[av.Packet]) -> av.Packet | None:
    """The last packet that `packets` yields is empty and makes the decoder hand out what it holds."""
    try:
        return next(packets, None)
    except av.error.FFmpegError:  # cut off in mid-packet; opening the file has named it
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
    """Apply the quarter turns and mirrorings of a display matrix to a picture [h, w, 4]."""
    if _is_turned(matrix):
        picture, (right, down) = picture.transpose(1, 0, 2), (matrix[1, 0], matrix[0, 1])
    else:
        right, down = matrix[0, 0], matrix[1, 1]
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
