"""What points are for: where a head is turned, how far eyes and mouth are open, and how often it blinks.

    reader = ExpressionReader()
    expressions = reader(time_s, tracking.faces, image_rgb_u8.shape[:2])
    expressions[face.id].yaw_deg

For 68 points. Openings are measured on the face seen from the front (`fkd.front_view`), so that a turn of
the head neither closes an eye nor narrows a mouth. Give it points that are not smoothed: a blink is over
in a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace

import numpy as np

from fkd.front_view import measure_eyes, measure_mouth
from fkd.pipeline.head import HeadPose, fit_head
from fkd.pipeline.track import TrackedFace
from fkd.schema import IBUG68, Schema

# Eyes count as closed when they are open by less than this share of what is usual, both together and each
# alone, and as open again above another. Networks see closed eyes half open, on real faces at 0.7 to 0.88 of
# the usual, so a fall tells of a blink and not its end. It has to be deeper where openings are uneven: by so
# many times what they usually change by from one frame to the next.
_CLOSED, _EACH_CLOSED, _OPEN, _CHANGES = 0.9, 0.97, 0.93, 4.0
_LONGEST_BLINK_S = 0.7
_USUAL_MEMORY_S = 1.0
_FORGOTTEN_S = 60.0  # no tracker gives a number back later


@dataclass(frozen=True)
class Expression:
    """Pose and expression of one face.

    Attributes:
        yaw_deg: turn of the head, positive to the picture's right.
        pitch_deg: positive upwards.
        roll_deg: tilt in the picture, positive clockwise.
        right_eye_opening, left_eye_opening: of the subject's eyes: height between the lids over width.
        mouth_opening: height between the inner lips over the width of the mouth.
        mouth_width: over the distance of the outer eye corners.
        blinks: how often both eyes closed and opened again since the face was first seen.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    right_eye_opening: float
    left_eye_opening: float
    mouth_opening: float
    mouth_width: float
    blinks: int = 0

    def rounded(self) -> dict[str, float]:
        """All of it by name to three decimals, in the order of `expression_columns`."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def expression_columns(schema: Schema) -> tuple[str, ...]:
    """Names of what files tell of a face's expression: the fields of `Expression`, and none without 68 points."""
    return tuple(item.name for item in fields(Expression)) if schema is IBUG68 else ()


def read_expression(points_px: np.ndarray, image_shape: tuple[int, int]) -> Expression:
    """Pose and expression from (68, 2) points in a picture of this height and width; errors as `fit_head`."""
    return _told(fit_head(points_px, image_shape))


def _told(pose: HeadPose) -> Expression:
    eyes, mouth = measure_eyes(pose.front_mm), measure_mouth(pose.front_mm)
    return Expression(pose.yaw_deg, pose.pitch_deg, pose.roll_deg, *eyes, *mouth)


class BlinkCounter:
    """Counts the blinks of one face: short falls of the opening of both eyes below what is usual for it.

    Attributes:
        blinks: how many have ended by now.
    """

    def __init__(self) -> None:
        self.blinks = 0
        self._time_s = np.inf
        self._usual, self._last, self._change = np.zeros(2), 1.0, 0.0
        self._closed_s: float | None = None

    def __call__(self, time_s: float, openings: tuple[float, float]) -> int:
        """Take in the openings of both eyes at a time; returns `blinks`. A step back in time begins anew."""
        elapsed_s, self._time_s = time_s - self._time_s, time_s
        if elapsed_s <= 0:
            self._usual, self._last, self._change, self._closed_s = np.array(openings), 1.0, 0.0, None
        shares = np.array(openings) / np.maximum(self._usual, 1e-6)
        both = float(shares.mean())
        if self._closed_s is None:
            if both < min(_CLOSED, 1 - _CHANGES * self._change) and shares.max() < _EACH_CLOSED:
                self._closed_s = time_s
        elif both > _OPEN:
            self.blinks += time_s - self._closed_s <= _LONGEST_BLINK_S
            self._closed_s = None
        if elapsed_s > 0 and (self._closed_s is None or time_s - self._closed_s > _LONGEST_BLINK_S):
            memory = 1 - np.exp(-elapsed_s / _USUAL_MEMORY_S)
            self._usual = self._usual + memory * (openings - self._usual)
            self._change += memory * (abs(both - self._last) - self._change)
        self._last = both
        return self.blinks


@dataclass
class _Reading:
    """What is remembered of a face from frame to frame."""

    pose: HeadPose
    seen_s: float
    counter: BlinkCounter = field(default_factory=BlinkCounter)


class ExpressionReader:
    """Reads the faces of one video, each with a blink counter of its own."""

    def __init__(self) -> None:
        self._known: dict[int, _Reading] = {}

    def __call__(
        self, time_s: float, faces: Sequence[TrackedFace], image_shape: tuple[int, int]
    ) -> dict[int, Expression]:
        """The expression of each face of a frame of this height and width, by the face's `id`."""
        self._known = {id: known for id, known in self._known.items() if time_s - known.seen_s < _FORGOTTEN_S}
        return {face.id: self._read(time_s, face, image_shape) for face in faces}

    def _read(self, time_s: float, face: TrackedFace, image_shape: tuple[int, int]) -> Expression:
        known = self._known.get(face.id)
        pose = fit_head(face.points_px, image_shape, known.pose if known else None)
        known = self._known[face.id] = replace(known, pose=pose, seen_s=time_s) if known else _Reading(pose, time_s)
        seen = _told(pose)
        return replace(seen, blinks=known.counter(time_s, (seen.right_eye_opening, seen.left_eye_opening)))
