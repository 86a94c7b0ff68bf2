"""One look at the faces of a picture: cut each out upright, let the network predict it, map the points back.

Both ways through the project are made of looks: a photo's faces are looked at several times in one
picture (`predict`), a video's once in each frame (`track`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fkd.crop import cut, transform
from fkd.pipeline.framing import upright_frames

if TYPE_CHECKING:
    from fkd.runtime import Prediction
    from fkd.weights import Card, LoadedModel

_BATCH = 64
# How far the points may contradict a frame before it is corrected. Offset in sides of the face, ratio of sizes,
# and tilt: beyond, a look at the points' own frame is more exact (a frame is best that is right, and the points'
# own is never quite). Offset and ratio were chosen on validation faces in boxes shifted by 10 %, scaled by 15 %.
_BELIEVED_OFFSET, _BELIEVED_RATIO, _BELIEVED_TILT_DEG = 0.05, 1.1, 15.0
# Points within less than this share of their frame have fallen together, which those of no face do.
_LEAST_RATIO = 0.5
# What noise is taken for: greys by which pixels differ, how far apart they lie, and the window, in crop pixels.
_NOISE_GREYS, _NOISE_REACH_PX, _NOISE_WINDOW_PX = 12.0, 2.5, 7


@dataclass(frozen=True)
class Look:
    """Crops of n faces and what the network said of them; points are in photo pixels.

    Attributes:
        crops_gray_u8: (n, s, s) uint8.
        crops_to_photo: (n, 2, 3) float64 maps from crop pixels to photo pixels.
        points_px: (n, k, 2) float32. point_scores: (n, k). face_scores: (n,).
    """

    crops_gray_u8: np.ndarray
    crops_to_photo: np.ndarray
    points_px: np.ndarray
    point_scores: np.ndarray
    face_scores: np.ndarray

    def __len__(self) -> int:
        return len(self.face_scores)

    @property
    def scores(self) -> np.ndarray:
        """(n,) 0 to 1: how sure it is that there is a face.

        The network's own answer alone takes many a pebble for a face. But points on a pebble are unsure
        one by one, and few pebbles look like a face from every framing.
        """
        return np.sqrt(self.face_scores * self.point_scores.mean(axis=1))

    def subset(self, which: np.ndarray) -> Look:
        """The looks at some of the faces."""
        return Look(*(part[which] for part in vars(self).values()))

    def replaced(self, which: np.ndarray, other: Look) -> Look:
        """A copy whose rows `which` are taken from `other`."""
        parts = [part.copy() for part in vars(self).values()]
        for part, newer in zip(parts, vars(other).values(), strict=True):
            part[which] = newer
        return Look(*parts)

    def updated(self, which: np.ndarray, other: Look) -> Look:
        """As `replaced`, but of face scores the lower one remains."""
        newer = self.replaced(which, other)
        return replace(newer, face_scores=np.minimum(newer.face_scores, self.face_scores))


class Clock:
    """Adds up the milliseconds spent in each named step."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time the block as a part of `step`."""
        start = time.perf_counter()
        yield
        self.milliseconds[step] = self.milliseconds.get(step, 0.0) + 1000 * (time.perf_counter() - start)


class Looker:
    """Looks at faces with one network.

    Args:
        predict: (n, s, s) uint8 crops to their `Prediction`.
        card: what the network is.
        denoise: whether crops are freed from a camera's noise, see `without_noise`.
    """

    def __init__(self, predict: Callable[[np.ndarray], Prediction], card: Card, denoise: bool = False) -> None:
        self.predict = predict
        self.card = card
        self.denoise = denoise

    def __call__(self, image_gray_u8: np.ndarray, tight_xyxy: np.ndarray, angles_deg: np.ndarray, clock: Clock) -> Look:
        """Cut every face out, turned upright by its angle, and predict all of them.

        Args:
            image_gray_u8: (h, w) uint8.
            tight_xyxy: (n, 4) tight boxes in each face's own upright frame, as `upright_frames` gives them.
            angles_deg: (n,) by how much each is tilted clockwise.
            clock: the steps `crop` and `predict` are added to it.

        Returns:
            What it saw; a face whose points fell together has the score 0.
        """
        size, k = self.card.input_size, len(self.card.schema)
        with clock("crop"):
            to_photo = self.card.crop.matrices(tight_xyxy, size, angles_deg)
            crops = np.empty((len(to_photo), size, size), np.uint8)
            for crop, matrix in zip(crops, to_photo, strict=True):
                crop[:] = cut(image_gray_u8, matrix, size)
                if self.denoise:
                    crop[:] = without_noise(crop)
        with clock("predict"):
            parts = [self.predict(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)]
            points = np.concatenate([np.empty((0, k, 2), np.float32), *(part.points_px for part in parts)])
            point_scores = np.concatenate([np.empty((0, k), np.float32), *(part.point_scores for part in parts)])
            face_scores = np.concatenate([np.empty(0, np.float32), *(part.face_scores for part in parts)])
        points_px = transform(points, to_photo).astype(np.float32)
        face_scores = np.where(self._collapsed(points_px, tight_xyxy), np.float32(0), face_scores)
        return Look(crops, to_photo, points_px, point_scores, face_scores)

    def _collapsed(self, points_px: np.ndarray, tight_xyxy: np.ndarray) -> np.ndarray:
        """(n,) bool: faces whose points fell together, as an unskilled network's do, and agree with themselves there.

        Looked at by such points again, a face would shrink to less than a pixel.
        """
        seen_xyxy, _ = upright_frames(points_px, self.card.schema)
        return _centre_and_side(seen_xyxy)[1] < _LEAST_RATIO * _centre_and_side(tight_xyxy)[1]

    def frames(self, look: Look) -> tuple[np.ndarray, np.ndarray]:
        """Where to look next: (n, 4) boxes and (n,) angles of the faces by their own points."""
        return upright_frames(look.points_px, self.card.schema)


def gives_scores(model: LoadedModel) -> bool:
    """Whether the network itself says how sure it is; asking it also warms it up."""
    empty = np.zeros((1, model.card.input_size, model.card.input_size), np.uint8)
    return bool(model.predict(empty, flip=False).face_scores[0] < 1)


def without_noise(crop_gray_u8: np.ndarray) -> np.ndarray:
    """A (s, s) uint8 crop with noise averaged away and edges kept: bilateral filter, Tomasi and Manduchi, 1998.

    Noise moves a network's points from frame to frame. A plain blur would calm them as well, and misplace
    those of small sharp faces.
    """
    return cv2.bilateralFilter(crop_gray_u8, _NOISE_WINDOW_PX, _NOISE_GREYS, _NOISE_REACH_PX)


def contradicted(
    given_xyxy: np.ndarray, given_angles_deg: np.ndarray, seen_xyxy: np.ndarray, seen_angles_deg: np.ndarray
) -> np.ndarray:
    """(n,) bool: where the frames that the points ask for are further from the given ones than networks bear."""
    (given_centre, given_side), (centre, side) = _centre_and_side(given_xyxy), _centre_and_side(seen_xyxy)
    offset = np.linalg.norm(centre - given_centre, axis=1)
    ratio = np.maximum(given_side, side) / np.maximum(np.minimum(given_side, side), 1e-6)
    tilt = np.abs((seen_angles_deg - given_angles_deg + 180) % 360 - 180)
    return (offset > _BELIEVED_OFFSET * side) | (ratio > _BELIEVED_RATIO) | (tilt > _BELIEVED_TILT_DEG)


def _centre_and_side(boxes_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return (low + high) / 2, (high - low).max(axis=1)
