"""Video files in and out: upright frames in true time, and annotated clips with the sound of their source.

    for time_s, image_rgb_u8 in read_frames(Path("clip.mp4")):
        ...
    with open_video_writer(Path("drawn.mp4"), video_info(clip), sound_of=clip) as writer:
        writer.write(time_s, image_rgb_u8)

One frame is held at a time, so memory does not grow with a clip's length. Only containers of `_FORMATS`
are opened and only from the disk: play lists, which name other files and addresses, are turned away.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.reformatter import Colorspace

from fkd.errors import FkdError, UnwritableError
from fkd.images import MAX_PIXELS
from fkd.paths import written_aside

SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})

_FORMATS = "asf,avi,flv,matroska,mov,mp4,mpeg,mpegts,ogg,webm"
_ENCODERS = ("libx264", "libopenh264", "mpeg4")
# MPEG-4's clock cannot be finer than 1/65535 s; this one divides the usual frame rates.
_WRITTEN_TIME_BASE = Fraction(1, 60_000)
_USUAL_FPS = 25.0
_HIGHEST_FPS = 480  # some containers state the ticks of their clock instead
_COPIED_SOUND = frozenset({"aac", "mp3"})  # what every player expects in an MP4; the rest becomes AAC
_USUAL_SOUND_HZ = 48_000
_MATROSKA_DURATION = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)")
_MOST_DEMUX_FAILURES = 50  # in a row, without a packet between them


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a clip before it is read.

    Attributes:
        width, height: of the upright picture with square pixels.
        fps: average frames per second.
        duration_s: as the file states it, or None.
        frames: about how many there are, or None.
        has_sound: whether there is a sound track that can be decoded.
    """

    width: int
    height: int
    fps: float
    duration_s: float | None
    frames: int | None
    has_sound: bool


class Frame(NamedTuple):
    """One picture of a clip: seconds from the clip's start, and (h, w, 3) uint8 RGB, upright."""

    time_s: float
    image_rgb_u8: np.ndarray


def video_info(path: Path) -> VideoInfo:
    """Size, length and sound of a clip; decodes its first frame.

    Raises:
        FkdError: no video that can be read; the sentence says why and what to do.
    """
    with _Reader(path) as reader:
        first = next(iter(reader), None)
        if first is None:
            raise _unreadable(path)
        height, width = first.image_rgb_u8.shape[:2]
        duration_s = reader.duration_s
        frames = reader.stream.frames or (round(duration_s * reader.fps) if duration_s else None)
        return VideoInfo(width, height, reader.fps, duration_s, frames, bool(_sound_streams(reader.container)))


def read_frames(path: Path, on_damage: Callable[[str], object] = warnings.warn) -> Iterator[Frame]:
    """The frames of a clip in the order they are shown, turned upright as the camera noted.

    Times are the file's own, whatever the frame rate does, and always increase. Every frame has the size
    of the first.

    Args:
        path: a file that FFmpeg reads: mp4, mov, mkv, webm, avi and others.
        on_damage: told in one sentence, after the last frame, when parts could not be read.

    Raises:
        FkdError: when there is no frame to give; the sentence says why and what to do.
    """
    count, last_s = 0, 0.0
    with _Reader(path) as reader:
        for frame in reader:
            yield frame
            count, last_s = count + 1, frame.time_s
        if not count:
            raise _unreadable(path)
        if reader.is_damaged:
            whole = f" of {reader.duration_s:.1f} s" if reader.duration_s else ""
            on_damage(f"{path} is damaged or cut short: {count} frames up to {last_s:.1f} s{whole} could be read.")


class _Reader:
    """An opened clip; iterating gives its frames and learns of its damage."""

    def __init__(self, path: Path) -> None:
        self.container = _open(path)
        try:
            self.stream = _video_stream(path, self.container)
        except FkdError:
            self.container.close()
            raise
        self.stream.codec_context.thread_type = av.codec.context.ThreadType.AUTO
        stated = (self.stream.average_rate, self.stream.guessed_rate)
        self.fps = next((float(rate) for rate in stated if rate and rate <= _HIGHEST_FPS), _USUAL_FPS)
        # What lies before zero is there to prime a decoder and is not played.
        self._origin_s = max(0.0, (self.container.start_time or 0) / av.time_base)
        self._failures = 0
        self._end_s = 0.0

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    @property
    def duration_s(self) -> float | None:
        """How long the picture lasts; a sound track may be longer."""
        if self._picture_s is not None:
            return self._picture_s
        return self.container.duration / av.time_base if self.container.duration else None

    @property
    def _picture_s(self) -> float | None:
        """How long the file says that the picture alone lasts."""
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        if tag := _MATROSKA_DURATION.fullmatch(self.stream.metadata.get("DURATION", "")):
            hours, minutes, seconds = map(float, tag.groups())
            return hours * 3600 + minutes * 60 + seconds - self._origin_s
        return None

    @property
    def is_damaged(self) -> bool:
        """Whether something failed, or the frames ended well before the time that the file states."""
        is_known = self._picture_s is not None or not self.container.streams.audio
        missing_s = (self.duration_s or 0.0) - self._end_s
        return self._failures > 0 or (is_known and missing_s > max(0.2, 3 / self.fps))

    def __iter__(self) -> Iterator[Frame]:
        time_s, size = -1 / self.fps, None
        for decoded in self._decode():
            stated_s = -np.inf if decoded.time is None else decoded.time - self._origin_s
            time_s = stated_s if stated_s > time_s else time_s + 1 / self.fps
            size = size or (_square_width(self.stream, decoded.width), decoded.height)
            try:
                image = decoded.to_ndarray(format="rgb24", width=size[0], height=size[1], interpolation="BICUBIC")
            except av.FFmpegError:
                self._failures += 1
                continue
            lasts_s = float((decoded.duration or 0) * (decoded.time_base or 0)) or 1 / self.fps
            self._end_s = time_s + lasts_s
            yield Frame(time_s, _upright(image, decoded))

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that can be decoded; what fails is counted and passed over."""
        in_a_row, packets = 0, self.container.demux(self.stream)
        while in_a_row < _MOST_DEMUX_FAILURES:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                self._failures, in_a_row = self._failures + 1, in_a_row + 1
                packets = self.container.demux(self.stream)  # an iterator that has raised is used up
                continue
            if packet is None:
                return
            in_a_row = 0
            try:
                yield from packet.decode()
            except av.FFmpegError:
                self._failures += 1


def _open(path: Path) -> InputContainer:
    try:
        if path.stat().st_size == 0:
            raise FkdError(f"{path} is empty (0 bytes); copy or record the video again.")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise FkdError(f"{path} does not exist; check the path.") from None
    except OSError as error:
        raise FkdError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    allowed = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(f"file:{path}", container_options=allowed, metadata_errors="replace")
    except av.FFmpegError:
        raise _unreadable(path) from None


def _video_stream(path: Path, container: InputContainer) -> av.VideoStream:
    """The stream that is shown; a sound file's cover picture is none."""
    shown = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not shown and not container.streams.audio:
        raise _unreadable(path)
    if not shown:
        raise FkdError(f"{path} has no picture, only sound; choose a video.")
    if shown[0].codec_context is None:  # nothing here can decode it
        raise _unreadable(path)
    width, height = max(shown[0].width, _square_width(shown[0], shown[0].width)), shown[0].height
    if width * height > MAX_PIXELS:
        size = f"{width:,} x {height:,} pixels"
        raise FkdError(f"{path} has {size} in a frame; scale it down to at most {MAX_PIXELS // 10**6} megapixels.")
    return shown[0]


def _sound_streams(container: InputContainer) -> list[av.AudioStream]:
    """The sound tracks that can be decoded."""
    return [stream for stream in container.streams.audio if stream.codec_context is not None]


def _square_width(stream: av.VideoStream, width: int) -> int:
    """Width of a stored picture once its pixels are square."""
    return max(1, round(width * (stream.sample_aspect_ratio or 1)))


def _unreadable(path: Path) -> FkdError:
    return FkdError(f"{path} is damaged or not a video that can be read; convert it to MP4 or record it again.")


def _upright(image_u8: np.ndarray, decoded: av.VideoFrame) -> np.ndarray:
    """Turn and mirror a stored picture by the matrix that a phone wrote beside it; right angles only."""
    try:
        matrix = cast(SideDataContainer, decoded.side_data)["DISPLAYMATRIX"]
    except KeyError:
        return image_u8
    x_from_x, y_from_x, _, x_from_y, y_from_y = struct.unpack("5i", bytes(matrix)[:20])
    if abs(x_from_y) > abs(x_from_x):
        image_u8, x_from_x, y_from_y = image_u8.swapaxes(0, 1), x_from_y, y_from_x
    return np.ascontiguousarray(image_u8[:: 1 if y_from_y >= 0 else -1, :: 1 if x_from_x >= 0 else -1])


class VideoWriter:
    """Takes the frames of a clip one after the other; made by `open_video_writer`."""

    def __init__(self, container: OutputContainer, info: VideoInfo, sound: _Sound | None) -> None:
        self._container, self._sound = container, sound
        self._stream = _add_video(container, info)
        self._last_pts, self._usual_duration = -1, round(1 / info.fps / _WRITTEN_TIME_BASE)
        if sound:
            sound.add_to(container)

    def write(self, time_s: float, image_rgb_u8: np.ndarray) -> None:
        """Add a (h, w, 3) uint8 RGB frame of the clip's size; times increase."""
        below, right = self._stream.height - image_rgb_u8.shape[0], self._stream.width - image_rgb_u8.shape[1]
        if below or right:  # the chosen pixel format comes in pairs of rows and columns
            image_rgb_u8 = np.pad(image_rgb_u8, ((0, below), (0, right), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(image_rgb_u8, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        self._last_pts = max(self._last_pts + 1, round(time_s / _WRITTEN_TIME_BASE))
        frame.pts, frame.time_base, frame.duration = self._last_pts, _WRITTEN_TIME_BASE, self._usual_duration
        self._container.mux(self._stream.encode(frame))
        if self._sound:
            self._sound.mux_until(time_s)

    def finish(self) -> None:
        """Write what the encoders still hold back, and the rest of the sound."""
        self._container.mux(self._stream.encode())
        if self._sound:
            self._sound.mux_until(float("inf"))


@contextmanager
def open_video_writer(path: Path, info: VideoInfo, sound_of: Path | None = None) -> Iterator[VideoWriter]:
    """A writer of an MP4 that keeps each frame's time; the file appears, complete, when the block ends.

    Args:
        path: where to, ending in `.mp4`.
        info: size and frame rate, as of the clip that is drawn on.
        sound_of: a clip whose sound goes along, copied where an MP4 can hold it.

    Raises:
        UnwritableError: the place cannot be written to.
    """
    with written_aside(path) as aside:
        sound = _Sound(sound_of) if sound_of and info.has_sound else None
        try:
            with av.open(str(aside), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                writer = VideoWriter(container, info, sound)
                yield writer
                writer.finish()
        except av.FFmpegError as error:
            raise UnwritableError(f"{path} cannot be written ({error.strerror}); name another place.") from error
        finally:
            if sound:
                sound.close()


def _add_video(container: OutputContainer, info: VideoInfo) -> av.VideoStream:
    encoder = next(name for name in _ENCODERS if name in av.codecs_available)
    stream = cast(av.VideoStream, container.add_stream(encoder, rate=Fraction(info.fps).limit_denominator(1001)))
    stream.width, stream.height = info.width + info.width % 2, info.height + info.height % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base, context.colorspace = _WRITTEN_TIME_BASE, Colorspace.ITU709
    if encoder == "libx264":
        # Without frames that refer to later ones, a frame's place in the file is its time.
        context.options = {"preset": "veryfast", "crf": "20", "bf": "0"}
    else:  # these know no constant quality
        context.bit_rate = round(0.2 * info.width * info.height * info.fps)
    return stream


class _Sound:
    """The first sound track of a clip that can be decoded, brought into another container step by step.

    Sound is an extra: where it is damaged, it ends, and the picture goes on.
    """

    def __init__(self, path: Path) -> None:
        self._container = _open(path)
        self._source = _sound_streams(self._container)[0]
        self._origin_s = max(0, self._container.start_time or 0) / av.time_base
        self._packets: Iterator[av.Packet] = iter(self._container.demux(self._source))
        self._time_s, self._is_over = 0.0, False

    def close(self) -> None:
        self._container.close()

    def add_to(self, target: OutputContainer) -> None:
        self._target = target
        self._copies = self._source.codec_context.name.removesuffix("float") in _COPIED_SOUND
        if self._copies:
            self._stream = target.add_stream_from_template(self._source)
        else:
            layout = "mono" if self._source.codec_context.channels == 1 else "stereo"
            rate = self._source.codec_context.sample_rate
            known = rate in (av.Codec("aac", "w").audio_rates or ())
            self._stream = target.add_stream("aac", rate=rate if known else _USUAL_SOUND_HZ, layout=layout)

    def mux_until(self, time_s: float) -> None:
        """Bring over everything up to a time of the clip, in its order with the picture."""
        while not self._is_over and self._time_s <= time_s:
            try:
                self._mux(next(self._packets))
            except (StopIteration, av.FFmpegError, ValueError):  # the last where the sound changes its kind midway
                self._is_over = True
                if not self._copies:
                    self._target.mux(self._stream.encode(None))

    def _mux(self, packet: av.Packet) -> None:
        if packet.pts is not None:
            self._time_s = float(packet.pts * packet.time_base) - self._origin_s
        if not self._copies:
            for frame in cast(list[av.AudioFrame], packet.decode()):
                if frame.pts is not None and frame.time_base:
                    frame.pts -= round(self._origin_s / frame.time_base)
                self._target.mux(self._stream.encode(frame))
        elif packet.dts is not None and packet.pts is not None:
            offset = round(self._origin_s / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - offset, packet.dts - offset, self._stream
            self._target.mux(packet)
