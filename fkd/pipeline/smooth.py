"""Steady points: a one-euro filter for each point of each followed face.

    smoother = Smoother()
    faces = smoother(time_s, tracking.faces)

The filter of Casiez, Roussel and Vogel ("1 € filter", CHI 2012) is a low-pass whose cutoff rises with
speed: a point at rest is held still, one that moves is let through at once. Speeds are measured in
sides of the face, so that one setting suits faces of any size at any frame rate.

What one point moves by itself is for the most part the network's unsteadiness, what all points move
together is not. So a point's speed is that of the whole face and, from where trembling ends, its own beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fkd.options import check, option
from fkd.pipeline.track import TrackedFace

# Speeds beside that of the face, in its sides a second, that points at rest do not reach but by trembling.
_TREMBLING_SPEED = 0.04


@dataclass(frozen=True)
class SmoothOptions:
    """How steady points are; out-of-range values raise `ValueError`."""

    smoothing: bool = option(True, "Hold points steady that hardly move.")
    min_cutoff_hz: float = option(
        0.25, "How fast points at rest may change; lower is steadier and slower.", low=0.05, high=30.0
    )
    speed_gain: float = option(
        8.0, "How readily moving points are let through, in Hz for a side of the face a second.", low=0.0, high=100.0
    )
    speed_cutoff_hz: float = option(0.7, "How fast the estimated speed may change.", low=0.1, high=30.0)

    def __post_init__(self) -> None:
        check(self)


class OneEuro:
    """The filter for the points of one face; it begins with the first ones it is given."""

    def __init__(self, options: SmoothOptions) -> None:
        self.options = options
        self._time_s = np.inf
        self._count = 0
        self._given = self._steady = self._speeds = np.empty((0, 2))

    def __call__(self, time_s: float, points_px: np.ndarray) -> np.ndarray:
        """(k, 2) points at a time to (k, 2) float32 steadier ones; a time that does not increase begins anew."""
        points = np.asarray(points_px, np.float64)
        elapsed_s = time_s - self._time_s
        if elapsed_s <= 0:
            self._steady, self._speeds, self._count = points, np.zeros_like(points), 1
        else:
            speeds = (points - self._given) / elapsed_s
            self._speeds = self._speeds + _share(self.options.speed_cutoff_hz, elapsed_s) * (speeds - self._speeds)
            sides_per_s = _sides_per_s(self._speeds, max(float(np.ptp(points, axis=0).max()), 1e-6))
            share = _share(self.options.min_cutoff_hz + self.options.speed_gain * sides_per_s, elapsed_s)
            # The first frames are averaged: else the noise of the very first would be let go but slowly.
            self._count += 1
            self._steady = self._steady + np.maximum(share, 1 / self._count) * (points - self._steady)
        self._time_s, self._given = time_s, points
        return self._steady.astype(np.float32)


class Smoother:
    """Filters the faces of one video, each by its number; a face that a frame lacks begins anew."""

    def __init__(self, options: SmoothOptions | None = None) -> None:
        self.options = options or SmoothOptions()
        self._filters: dict[int, OneEuro] = {}

    def __call__(self, time_s: float, faces: Sequence[TrackedFace]) -> list[TrackedFace]:
        """The faces of the next frame with steadier points; boxes and scores stay as they are."""
        if not self.options.smoothing:
            self._filters = {}
            return list(faces)
        self._filters = {face.id: self._filters.get(face.id) or OneEuro(self.options) for face in faces}
        return [replace(face, points_px=self._filters[face.id](time_s, face.points_px)) for face in faces]


def _share(cutoff_hz: np.ndarray | float, elapsed_s: float) -> np.ndarray | float:
    """How much of the way to a new value a first-order low-pass goes."""
    turns = 2 * np.pi * cutoff_hz * elapsed_s
    return turns / (1 + turns)


def _sides_per_s(speeds_px_s: np.ndarray, side_px: float) -> np.ndarray:
    """(k, 2) speeds to (k, 1) how fast each point is taken to move."""
    together = speeds_px_s.mean(axis=0)
    own = np.linalg.norm(speeds_px_s - together, axis=1, keepdims=True) / side_px
    return np.linalg.norm(together) / side_px + np.maximum(0, own - _TREMBLING_SPEED)
