"""`Face`: what the pipeline returns for each face of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Face:
    """One face, in pixels of the picture that was given.

    Attributes:
        box_xyxy: (4,) float32: the tight box round the points, brow to chin and jaw to jaw, or the one that was given.
        score: 0 to 1: how sure the network is that there is a face.
        points_px: (k, 2) float32 x, y.
        point_scores: (k,) float32, 0 to 1: falls where a point is hidden or uncertain.
    """

    box_xyxy: np.ndarray
    score: float
    points_px: np.ndarray
    point_scores: np.ndarray

    def __post_init__(self) -> None:
        k = len(self.points_px)
        for field, shape in (("box_xyxy", (4,)), ("points_px", (k, 2)), ("point_scores", (k,))):
            received = getattr(self, field).shape
            if received != shape:
                raise ValueError(f"{field}: expected shape {shape}, received {received}")
