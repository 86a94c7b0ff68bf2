"""A whole video from file to files: its faces followed, its points written, its frames drawn on.

    with open_writer(Path("points.csv"), schema, video_columns(schema)) as writer:
        summary = process_clip(Path("clip.mp4"), model, writer.write, drawn=Path("drawn.mp4"))

One frame is held at a time. Progress is reported as `fkd.progress` describes; a listener that raises
stops the work, and the annotated video then does not appear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fkd.pipeline.draw import DrawOptions, draw_faces
from fkd.pipeline.expression import ExpressionReader
from fkd.pipeline.smooth import Smoother, SmoothOptions
from fkd.pipeline.track import TrackedFace, Tracker, TrackOptions
from fkd.pipeline.write import PhotoFaces
from fkd.progress import report
from fkd.schema import IBUG68, Schema
from fkd.video import VideoInfo, open_video_writer, read_frames, video_info

if TYPE_CHECKING:
    from fkd.weights import LoadedModel


@dataclass(frozen=True)
class ClipOptions:
    """How a video is worked on: how faces are followed, held steady and drawn."""

    track: TrackOptions = field(default_factory=TrackOptions)
    smooth: SmoothOptions = field(default_factory=SmoothOptions)
    draw: DrawOptions = field(default_factory=DrawOptions)


@dataclass(frozen=True)
class ClipSummary:
    """What became of a video.

    Attributes:
        frames: how many were read.
        frames_with_faces: how many of them show a face that was followed.
        faces: how many different ones.
        damage: the sentence that says what could not be read, or None.
    """

    frames: int
    frames_with_faces: int
    faces: int
    damage: str | None


def process_clip(
    path: Path,
    model: LoadedModel,
    write: Callable[[PhotoFaces], None],
    options: ClipOptions | None = None,
    drawn: Path | None = None,
    progress: Callable[[float], None] | None = None,
    name: str | None = None,
) -> ClipSummary:
    """Follow the faces of a video from its first frame to its last.

    Args:
        path: a file that `fkd.video.read_frames` reads.
        model: the network, which may be shared.
        write: given each frame's faces, with 68 points also their expressions, as soon as they are known.
        options: see there.
        drawn: where to put an annotated MP4 with the sound of the video.
        progress: told the share, 0 to 1, that is done after each frame; `fkd.progress.report` if not given.
        name: what the video is called in what is written; its path if not given.

    Raises:
        FkdError: when the video cannot be read or `drawn` cannot be written.
    """
    options, progress = options or ClipOptions(), progress or partial(report, "following faces")
    info, damages = video_info(path), list[str]()
    tracker, smoother, reader = Tracker(model, options.track), Smoother(options.smooth), ExpressionReader()
    schema = model.card.schema
    frames, frames_with_faces, numbers = 0, 0, set[int]()
    with _drawing(drawn, path, info, schema, options.draw) as draw:
        for time_s, image_rgb_u8 in read_frames(path, damages.append):
            found, (height, width) = tracker(image_rgb_u8, time_s).faces, image_rgb_u8.shape[:2]
            faces = smoother(time_s, found)
            read = reader(time_s, found, (height, width)) if schema is IBUG68 else {}
            photo = PhotoFaces(name or str(path), width, height, tuple(faces), expressions=read)
            write(replace(photo, frame=frames, time_s=round(time_s, 6)))
            draw(time_s, image_rgb_u8, faces)
            frames, frames_with_faces = frames + 1, frames_with_faces + bool(faces)
            numbers.update(face.id for face in faces)
            progress(_share(time_s, frames, info))
    progress(1.0)
    return ClipSummary(frames, frames_with_faces, len(numbers), next(iter(damages), None))


def _share(time_s: float, frames: int, info: VideoInfo) -> float:
    """How much is done; a file may state too short a length, and then the end is near but not reached."""
    share = time_s / info.duration_s if info.duration_s else frames / info.frames if info.frames else 0.0
    return min(share, 0.99)


@contextmanager
def _drawing(
    drawn: Path | None, source: Path, info: VideoInfo, schema: Schema, options: DrawOptions
) -> Iterator[Callable[[float, np.ndarray, list[TrackedFace]], None]]:
    """What draws a frame and adds it to the annotated video, or does nothing."""
    with open_video_writer(drawn, info, sound_of=source) if drawn else nullcontext() as writer:

        def draw(time_s: float, image_rgb_u8: np.ndarray, faces: list[TrackedFace]) -> None:
            if writer:
                writer.write(time_s, draw_faces(image_rgb_u8, faces, schema, options))

        yield draw
