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
from dataclasses import dataclass, replace

import numpy as np

from fkd.front_view import measure_eyes, measure_mouth
from fkd.pipeline.head import fit_head
from fkd.pipeline.track import TrackedFace

# Shares of the usual opening at which eyes count as closed and as open again. Networks see closed eyes
# half open, so a blink is a fall of the opening rather than its end.
_CLOSED, _OPEN = 0.75, 0.88
_LONGEST_BLINK_S = 0.7
_USUAL_MEMORY_S = 2.0
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


def read_expression(points_px: np.ndarray, image_shape: tuple[int, int]) -> Expression:
    """Pose and expression from (68, 2) points in a picture of this height and width; errors as `fit_head`."""
    pose = fit_head(points_px, image_shape)
    eyes, mouth = measure_eyes(pose.front_mm), measure_mouth(pose.front_mm)
    return Expression(pose.yaw_deg, pose.pitch_deg, pose.roll_deg, *eyes, *mouth)


class BlinkCounter:
    """Counts the blinks of one face: short falls of the opening of both eyes below what is usual for it.

    Attributes:
        blinks: how many have ended by now.
        time_s: when the face was last seen.
    """

    def __init__(self) -> None:
        self.blinks = 0
        self.time_s = np.inf
        self._usual = 0.0
        self._closed_s: float | None = None

    def __call__(self, time_s: float, openings: tuple[float, float]) -> int:
        """Take in the openings of both eyes at a time; returns `blinks`. A step back in time begins anew."""
        opening = float(np.mean(openings))
        elapsed_s = time_s - self.time_s
        if elapsed_s <= 0:
            self._usual, self._closed_s = opening, None
        self.time_s = time_s
        if self._closed_s is None and max(openings) < _CLOSED * self._usual:
            self._closed_s = time_s
        elif self._closed_s is not None and opening > _OPEN * self._usual:
            self.blinks += time_s - self._closed_s <= _LONGEST_BLINK_S
            self._closed_s = None
        if elapsed_s > 0 and (self._closed_s is None or time_s - self._closed_s > _LONGEST_BLINK_S):
            self._usual += (1 - np.exp(-elapsed_s / _USUAL_MEMORY_S)) * (opening - self._usual)
        return self.blinks


class ExpressionReader:
    """Reads the faces of one video, each with a blink counter of its own."""

    def __init__(self) -> None:
        self._counters: dict[int, BlinkCounter] = {}

    def __call__(
        self, time_s: float, faces: Sequence[TrackedFace], image_shape: tuple[int, int]
    ) -> dict[int, Expression]:
        """The expression of each face of a frame of this height and width, by the face's `id`."""
        known = self._counters.items()
        self._counters = {number: counter for number, counter in known if time_s - counter.time_s < _FORGOTTEN_S}
        expressions = {}
        for face in faces:
            seen = read_expression(face.points_px, image_shape)
            counter = self._counters.setdefault(face.id, BlinkCounter())
            blinks = counter(time_s, (seen.right_eye_opening, seen.left_eye_opening))
            expressions[face.id] = replace(seen, blinks=blinks)
        return expressions
