"""A camera's picture worked on while it runs: one `LiveSession` for each person who looks at one.

    session = LiveSession(LiveSettings(model))
    drawn = session.on_frame(frame)     # in the thread that brings the frames, av.VideoFrame to av.VideoFrame
    session.settings = replace(session.settings, mirror=False)    # in any other thread
    session.figures(), session.snapshot_png(), session.start_recording()

Faces are followed, held steady and read in the frame as the camera gave it. Only what is shown is
mirrored, picture and points together, so that left and right never change places.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from fkd.errors import FkdError
from fkd.pipeline.clip import ClipOptions
from fkd.pipeline.draw import draw_faces, draw_notice
from fkd.pipeline.expression import Expression, ExpressionReader
from fkd.pipeline.look import Clock
from fkd.pipeline.recording import Recording
from fkd.pipeline.smooth import Smoother
from fkd.pipeline.track import TrackedFace, Tracker
from fkd.schema import IBUG68, Schema

if TYPE_CHECKING:
    from fkd.weights import LoadedModel

# The steps of a frame in their order, as `LiveFigures.milliseconds` has them, with what people call them.
STEPS = {
    "decode": "Decode",
    "gray": "Grey",
    "search": "Search",
    "crop": "Crop",
    "predict": "Predict",
    "match": "Match",
    "smooth": "Smooth",
    "read": "Pose",
    "draw": "Draw",
    "encode": "Encode",
}
_REMEMBERED = 60  # frames that the figures are of
_LOG_EVERY_S = 10.0
_NOTICE = "This picture could not be worked on; the page says why."
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveSettings:
    """How a live picture is worked on; replaced as a whole, also while it runs.

    Attributes:
        model: the network, which sessions share.
        options: how faces are followed, held steady and drawn.
        mirror: whether the picture is shown as in a mirror.
    """

    model: LoadedModel
    options: ClipOptions = field(default_factory=ClipOptions)
    mirror: bool = True


@dataclass(frozen=True)
class LiveFigures:
    """What a live picture has come to of late.

    Attributes:
        frames_per_s: frames that were worked on in a second.
        milliseconds: mean time of each step of `STEPS`.
        delay_ms: from when a frame could have come at the earliest until it leaves again.
        faces: those of the last frame, in its pixels.
        prints: how many more were taken for prints and left out.
        expressions: theirs by `id`; none without 68 points.
        frames: how many were worked on since the session began.
        failures: how many of them failed.
        failure: why the last of these did, or None.
        idle_s: seconds since the last frame; infinite before a stream's first one and after its end.
        slowest_s: seconds that the longest frame of the stream took, also told when it has ended.
        silence_s: seconds for which no frame had come when the stream ended; 0 while it runs.
    """

    frames_per_s: float
    milliseconds: dict[str, float]
    delay_ms: float
    faces: tuple[TrackedFace, ...]
    prints: int
    expressions: dict[int, Expression]
    frames: int
    failures: int
    failure: str | None
    idle_s: float
    slowest_s: float
    silence_s: float

    @property
    def frame_ms(self) -> float:
        """Mean time of all steps together."""
        return sum(self.milliseconds.values())


class LiveSession:
    """The state behind one live picture.

    `on_frame` never raises: whatever goes wrong is counted, logged and written on the frame, and following
    begins anew. One thread brings frames; any thread may do the rest.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.recording: Recording | None = None
        self.is_recording = False
        self._working, self._telling = threading.Lock(), threading.Lock()
        self._followers: _Followers | None = None
        self._numbers = 0
        self._shown_rgb_u8: np.ndarray | None = None
        self._faces: tuple[TrackedFace, ...] = ()
        self._prints = 0
        self._expressions: dict[int, Expression] = {}
        self._frames = self._failures = 0
        self._failure: str | None = None
        self._logged_s = -math.inf
        self._slowest_s = self._silence_s = 0.0
        self._forget_pace()

    # In the thread that brings the frames ----------------------------------------------------------

    def on_frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as it is shown, of the same size; its time is the frame's own."""
        with self._working:
            came_s = time.perf_counter()
            image_rgb_u8, clock = None, Clock()
            try:
                with clock("decode"):
                    image_rgb_u8 = frame.to_ndarray(format="rgb24")
                shown_rgb_u8 = self._work_on(image_rgb_u8, float(frame.time or 0.0), clock)
                with clock("encode"):
                    answer = av.VideoFrame.from_ndarray(shown_rgb_u8, format="rgb24").reformat(format="yuv420p")
                self._note(float(frame.time or 0.0), came_s, clock, shown_rgb_u8)
            except Exception as error:
                self._note_failure(error, came_s)
                if image_rgb_u8 is None:
                    return frame
                answer = av.VideoFrame.from_ndarray(draw_notice(image_rgb_u8, _NOTICE), format="rgb24")
            answer.pts = frame.pts
            if frame.time_base is not None:
                answer.time_base = frame.time_base
            return answer

    def _work_on(self, image_rgb_u8: np.ndarray, time_s: float, clock: Clock) -> np.ndarray:
        """Follow and read the faces of a frame; the picture that is shown."""
        recording, settings = self.recording, self.settings  # others may replace both while this frame is worked on
        followers = self._followers_for(settings)
        seen = followers.tracker(image_rgb_u8, time_s)
        clock.milliseconds |= seen.milliseconds
        found = [replace(face, id=face.id + followers.numbered_from) for face in seen.faces]
        self._numbers = max([self._numbers, *(face.id for face in found)])
        with clock("smooth"):
            faces = followers.smoother(time_s, found)
        with clock("read"):
            schema = settings.model.card.schema
            expressions = followers.reader(time_s, found, image_rgb_u8.shape[:2]) if schema is IBUG68 else {}
        if recording is not None and recording is self.recording and self.is_recording:
            self._record(recording, schema, time_s, faces, expressions)
        self._faces, self._prints, self._expressions = tuple(faces), len(seen.prints), expressions
        with clock("draw"):
            shown, drawn = image_rgb_u8, faces
            if settings.mirror:
                shown = cv2.flip(image_rgb_u8, 1)
                drawn = [_mirrored(face, image_rgb_u8.shape[1]) for face in faces]
            return draw_faces(shown, drawn, schema, settings.options.draw)

    def _followers_for(self, settings: LiveSettings) -> _Followers:
        """What follows and smooths by these settings; made anew where they have changed."""
        kept = self._followers
        if kept is None or kept.model is not settings.model or kept.tracker.options != settings.options.track:
            kept = self._followers = _Followers(settings, self._numbers)
        elif kept.smoother.options != settings.options.smooth:
            kept.smoother = Smoother(settings.options.smooth)
        return kept

    def _record(
        self,
        recording: Recording,
        schema: Schema,
        time_s: float,
        faces: Sequence[TrackedFace],
        expressions: dict[int, Expression],
    ) -> None:
        if recording.schema is schema:
            recording.add(time_s, faces, expressions)
        if recording.is_full or recording.schema is not schema:
            self.is_recording = False

    def _note(self, time_s: float, came_s: float, clock: Clock, shown_rgb_u8: np.ndarray) -> None:
        left_s = time.perf_counter()
        with self._telling:
            self._shown_rgb_u8 = shown_rgb_u8
            self._count(came_s, left_s)
            self._steps_ms.append(clock.milliseconds)
            self._delays_ms.append(1000 * self._delay(time_s, came_s, left_s))

    def _forget_faces(self) -> None:
        self._followers, self._faces, self._prints, self._expressions = None, (), 0, {}

    def _note_failure(self, error: Exception, came_s: float) -> None:
        self._forget_faces()
        now_s = time.perf_counter()
        if now_s - self._logged_s > _LOG_EVERY_S:
            self._logged_s = now_s
            _log.error("A live picture could not be worked on", exc_info=error)
        with self._telling:
            self._failures += 1
            self._failure = str(error) if isinstance(error, FkdError) else f"an unforeseen {type(error).__name__}"
            self._count(came_s, now_s)

    def _count(self, came_s: float, left_s: float) -> None:
        """A frame that came and left at these times, perhaps the first one of a stream."""
        if not self._left_s:
            self._slowest_s = self._silence_s = 0.0
        self._frames += 1
        self._left_s.append(left_s)
        self._slowest_s = max(self._slowest_s, left_s - came_s)

    # In any thread ---------------------------------------------------------------------------------

    def end_stream(self) -> None:
        """The camera has stopped: forget the faces, end a recording; the last picture can still be had."""
        with self._working:
            self._forget_faces()
            self.is_recording = False
            with self._telling:
                if self._left_s:  # it may be told twice
                    self._silence_s = time.perf_counter() - self._left_s[-1]
                self._forget_pace()

    def figures(self) -> LiveFigures:
        """The figures of the last frames."""
        with self._telling:
            left_s, steps = tuple(self._left_s), tuple(self._steps_ms)
            delays = tuple(self._delays_ms)
            frames, failures, failure = self._frames, self._failures, self._failure
            slowest_s, silence_s = self._slowest_s, self._silence_s
        told = {step: sum(each.get(step, 0.0) for each in steps) / max(len(steps), 1) for step in STEPS}
        passed_s = left_s[-1] - left_s[0] if len(left_s) > 1 else 0.0
        return LiveFigures(
            frames_per_s=(len(left_s) - 1) / passed_s if passed_s > 0 else 0.0,
            milliseconds=told,
            delay_ms=sum(delays) / max(len(delays), 1),
            faces=self._faces,
            prints=self._prints,
            expressions=self._expressions,
            frames=frames,
            failures=failures,
            failure=failure,
            idle_s=time.perf_counter() - left_s[-1] if left_s else math.inf,
            slowest_s=slowest_s,
            silence_s=silence_s,
        )

    def snapshot_png(self) -> bytes:
        """The picture shown last as PNG; `FkdError` before the first one."""
        shown = self._shown_rgb_u8
        if shown is None:
            raise FkdError("There is no picture yet; start the camera first.")
        return cv2.imencode(".png", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))[1].tobytes()

    def start_recording(self) -> None:
        """Record the points from the next frame on, instead of what was recorded before."""
        self.recording = Recording(self.settings.model.card.schema)
        self.is_recording = True

    def stop_recording(self) -> None:
        """Record no further; `recording` keeps what there is."""
        self.is_recording = False

    def _forget_pace(self) -> None:
        self._left_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._steps_ms: deque[dict[str, float]] = deque(maxlen=_REMEMBERED)
        self._delays_ms: deque[float] = deque(maxlen=_REMEMBERED)
        self._delay = DelayGauge()


class DelayGauge:
    """How old a frame is when it leaves, told by the camera's clock against this machine's.

    A frame could have come at the earliest by as much after its time as the least late of the last ones
    did; whatever it comes later, it has waited. Streamlit-webrtc sends a finished frame when the next one
    comes, so that its age is a whole number of the camera's steps. What browser and network take is not in it.
    """

    def __init__(self) -> None:
        self._late_s: deque[float] = deque(maxlen=5 * _REMEMBERED)
        self._steps_s: deque[float] = deque(maxlen=5 * _REMEMBERED)
        self._last_s = math.nan

    def __call__(self, time_s: float, came_s: float, done_s: float) -> float:
        """Seconds from when a frame could have come until it leaves.

        Args:
            time_s: of the frame by the camera's clock.
            came_s: when it came, by this machine's.
            done_s: when it was done, by this machine's.
        """
        if time_s > self._last_s:
            self._steps_s.append(time_s - self._last_s)
        self._last_s = time_s
        self._late_s.append(came_s - time_s)
        age_s = done_s - (time_s + min(self._late_s))
        step_s = min(self._steps_s, default=0.0)
        return math.ceil(age_s / step_s) * step_s if step_s > 0 else age_s


class _Followers:
    """What remembers the faces of one stream.

    Attributes:
        numbered_from: added to the tracker's numbers, so that a session never uses one twice.
    """

    def __init__(self, settings: LiveSettings, numbered_from: int) -> None:
        self.model = settings.model
        self.tracker = Tracker(settings.model, settings.options.track)
        self.smoother = Smoother(settings.options.smooth)
        self.reader = ExpressionReader()
        self.numbered_from = numbered_from


def _mirrored(face: TrackedFace, width: int) -> TrackedFace:
    """Where a face is seen in the mirrored picture; each point stays the part of the face that it is."""
    x0, y0, x1, y1 = face.box_xyxy
    points_px = face.points_px * np.array([-1, 1], np.float32) + np.array([width - 1, 0], np.float32)
    return replace(face, box_xyxy=np.array([width - 1 - x1, y0, width - 1 - x0, y1], np.float32), points_px=points_px)
