"""Clips made for tests: any container, codec, rotation, timing and sound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import skimage.data

from fkd.data.synthetic import render_face

CODECS = {".mp4": "libx264", ".mkv": "libx264", ".mov": "mpeg4", ".avi": "mpeg4", ".webm": "libvpx"}
SOUNDS = {".mp4": "aac", ".mkv": "libopus", ".mov": "pcm_s16le", ".avi": "mp3", ".webm": "libopus"}
REGULAR_S = [number / 25 for number in range(25)]
SOUND_HZ = 48_000


def corner_frame(width: int = 96, height: int = 64) -> np.ndarray:
    """A dark picture whose upper left quarter is red."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (230, 20, 20)
    return image


def moving_face(frames: int, seed: int = 3, width: int = 320, height: int = 240) -> list[np.ndarray]:
    """A drawn face of 110 px that moves to and fro by 40 px before a real background."""
    face = render_face(seed, 160, yaw_deg=0, pitch_deg=0, roll_deg=0, face_fraction=0.68).image_rgb_u8
    background = np.ascontiguousarray(skimage.data.astronaut()[250 : 250 + height, :width]) // 2
    images = []
    for number in range(frames):
        image, left = background.copy(), 80 + round(20 * np.sin(number / 8))
        image[40:200, left : left + 160] = face
        images.append(image)
    return images


def write_clip(
    path: Path,
    images: Iterable[np.ndarray] | None = None,
    times_s: Sequence[float] = REGULAR_S,
    *,
    codec: str | None = None,
    sound: bool = False,
    rotation_deg: int | None = None,
    mirrored: bool = False,
    pixel_aspect: Fraction | None = None,
    start_s: float = 0.0,
) -> Path:
    """Write a clip; without pictures, of corners.

    Args:
        path: whose ending says the container.
        images: (h, w, 3) uint8 frames of one size.
        times_s: when each is shown.
        codec: instead of the container's usual one.
        sound: whether a tone of 440 Hz goes along.
        pixel_aspect: width of a pixel over its height.
        rotation_deg: by which a player turns it counter-clockwise.
        mirrored: whether it then also mirrors it, as some phones note for the front camera.
        start_s: where the clock of the file begins.
    """
    shown = list(images) if images is not None else [corner_frame()] * len(times_s)
    height, width = shown[0].shape[:2]
    # A tick that divides 25 frames a second, and fine enough for any other times.
    tick = Fraction(1, 25) if list(times_s) == REGULAR_S else Fraction(1, 1000)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec or CODECS[path.suffix], rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = tick
        if pixel_aspect:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation_deg is not None:
            video.set_display_rotation(rotation_deg, hflip=mirrored)
        track = container.add_stream(SOUNDS[path.suffix], rate=SOUND_HZ, layout="mono") if sound else None
        for time_s, image in zip(times_s, shown, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round((time_s + start_s) / tick), tick
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if track:
            _add_tone(container, track, times_s[-1] + 0.04, start_s)
    return path


def write_y4m(path: Path, images: Iterable[np.ndarray], width: int = 640, height: int = 480) -> Path:
    """Write (h, w, 3) uint8 frames, 25 a second, as the raw video that Chromium's fake camera plays in a loop."""
    with av.open(str(path), "w", format="yuv4mpegpipe") as container:
        video = container.add_stream("wrapped_avframe", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(video.encode(frame.reformat(width, height, "yuv420p")))
        container.mux(video.encode())
    return path


def write_sound(path: Path) -> Path:
    """A file with half a second of sound and no picture."""
    with av.open(str(path), "w") as container:
        _add_tone(container, container.add_stream("aac", rate=SOUND_HZ, layout="mono"), 0.5, 0.0)
    return path


def _add_tone(container: av.container.OutputContainer, track: av.AudioStream, seconds: float, start_s: float) -> None:
    samples = np.arange(round(SOUND_HZ * seconds))
    tone = (8000 * np.sin(samples * 2 * np.pi * 440 / SOUND_HZ)).astype(np.int16)[None]
    for begin in range(0, tone.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(tone[:, begin : begin + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = SOUND_HZ, Fraction(1, SOUND_HZ)
        frame.pts = begin + round(start_s * SOUND_HZ)
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def cut_short(path: Path, share: float) -> Path:
    """Keep the first part of a file, as a broken copy does."""
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    return path
