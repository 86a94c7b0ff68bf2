"""The whole way from a photo to the keypoints of every face in it.

    pipeline = Pipeline(load_model("ibug68"))
    faces = pipeline(image_rgb_u8)
    faces = pipeline(image_rgb_u8, boxes=tight_boxes_xyxy)

A Haar cascade finds faces; each is framed by its tight box, made grey, cut out with the margin that
the network was trained with, predicted together with the others, and mapped back to the photo.
Further looks then cut each face by its own points, turned upright, and predict it again: on held-out
faces two of them take the error from about 10 % above that of true boxes to 3 %. What the network
does not take for a face is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fkd.crop import cut, transform
from fkd.images import to_gray
from fkd.pipeline.detect import HaarDetector, HaarOptions
from fkd.pipeline.face import Face
from fkd.pipeline.framing import upright_frames

if TYPE_CHECKING:
    from fkd.weights import LoadedModel

MIN_FACE_SCORE = 0.5
_BATCH = 64
# Two faces whose points lie closer than this, on average and in sides of the face, are one face.
_SAME_FACE = 0.2
# How far the points may contradict a given box before it is corrected: about what the networks were
# trained to bear. Offset in sides of the face, ratio of sizes, and tilt.
_BELIEVED_OFFSET, _BELIEVED_RATIO, _BELIEVED_TILT_DEG = 0.1, 1.2, 20.0


@dataclass(frozen=True)
class Result:
    """What became of one photo.

    Attributes:
        faces: the faces, from left to right, or in the order of the given boxes.
        crops_gray_u8: (n, s, s) uint8: each face as the network saw it last.
        crops_to_photo: (n, 2, 3) float64: maps from the pixels of each crop to the photo's.
        milliseconds: time spent in the steps `detect`, `crop` and `predict`.
    """

    faces: list[Face]
    crops_gray_u8: np.ndarray
    crops_to_photo: np.ndarray
    milliseconds: dict[str, float]


@dataclass(frozen=True)
class _Look:
    """Crops of n faces and what the network said of them; points are in photo pixels."""

    crops_gray_u8: np.ndarray
    crops_to_photo: np.ndarray
    points_px: np.ndarray
    point_scores: np.ndarray
    face_scores: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """(n,) 0 to 1: how sure it is that there is a face.

        The network's own answer alone takes many a pebble for a face. But points on a pebble are unsure
        one by one, and few pebbles look like a face from every framing.
        """
        return np.sqrt(self.face_scores * self.point_scores.mean(axis=1))

    def subset(self, which: np.ndarray) -> _Look:
        return _Look(*(part[which] for part in vars(self).values()))

    def updated(self, which: np.ndarray, other: _Look) -> _Look:
        """A copy whose rows `which` are taken from `other`; of face scores, the lower one remains."""
        parts = [part.copy() for part in vars(self).values()]
        for part, newer in zip(parts, vars(other).values(), strict=True):
            part[which] = newer
        updated = _Look(*parts)
        return replace(updated, face_scores=np.minimum(updated.face_scores, self.face_scores))


class Pipeline:
    """Finds the faces of a photo and their keypoints; may be shared by threads as far as the model may.

    Args:
        model: the network, from `fkd.weights.load_model`.
        haar: how faces are looked for.
        min_face_score: detections that the network scores lower are dropped.
        refinements: how many more times each face is looked at, upright and framed by its own points.
    """

    def __init__(
        self,
        model: LoadedModel,
        haar: HaarOptions | None = None,
        min_face_score: float = MIN_FACE_SCORE,
        refinements: int = 2,
    ) -> None:
        self.model = model
        self.detector = HaarDetector(haar)
        self.min_face_score = min_face_score
        self.refinements = refinements

    def __call__(self, image_rgb_u8: np.ndarray, boxes: np.ndarray | None = None) -> list[Face]:
        """The faces of a photo; see `run`."""
        return self.run(image_rgb_u8, boxes).faces

    def run(self, image_rgb_u8: np.ndarray, boxes: np.ndarray | None = None) -> Result:
        """Predict the keypoints of every face.

        Args:
            image_rgb_u8: (h, w, 3) uint8 RGB, of any size.
            boxes: (n, 4) tight boxes `x0, y0, x1, y1` in pixels, brow to chin and jaw to jaw, where the
                faces are known. Each then gives one face, however low its score, and is believed unless
                the points that the network sees in it say that it lies elsewhere.

        Raises:
            ValueError: when shape, dtype or a box is not as described.
            FkdError: when this OpenCV has no cascade to look for faces with.
        """
        clock = _Clock()
        _check_image(image_rgb_u8)
        with clock("detect"):
            image_gray_u8 = to_gray(image_rgb_u8)
            if boxes is None:
                found = self.detector(image_gray_u8)
                shown, tight = found.boxes_xyxy, found.tight_xyxy
            else:
                shown = tight = _checked_boxes(boxes)
        look = self._look(image_gray_u8, tight, np.zeros(len(tight)), clock)
        again = np.ones(len(look.scores), bool)
        if boxes is not None:
            again = (look.scores >= self.min_face_score) & _contradicted(tight, *self._frames(look))
        for _ in range(self.refinements if again.any() else 0):
            frames = self._frames(look.subset(again))
            look = look.updated(again, self._look(image_gray_u8, *frames, clock))
        if boxes is None:
            kept = self._true_faces(look)
            shown, look = shown[kept], look.subset(kept)
        rows = zip(shown, look.scores, look.points_px, look.point_scores, strict=True)
        faces = [Face(box, float(score), points, scores) for box, score, points, scores in rows]
        return Result(faces, look.crops_gray_u8, look.crops_to_photo, clock.milliseconds)

    def _look(self, image_gray_u8: np.ndarray, tight_xyxy: np.ndarray, angles_deg: np.ndarray, clock: _Clock) -> _Look:
        """Cut every face out, turned upright by its angle, and predict all of them."""
        size, k = self.model.card.input_size, len(self.model.card.schema)
        with clock("crop"):
            to_photo = self.model.card.crop.matrices(tight_xyxy, size, angles_deg)
            crops = np.empty((len(to_photo), size, size), np.uint8)
            for crop, matrix in zip(crops, to_photo, strict=True):
                crop[:] = cut(image_gray_u8, matrix, size)
        with clock("predict"):
            parts = [self.model.predict(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)]
            points = np.concatenate([np.empty((0, k, 2), np.float32), *(part.points_px for part in parts)])
            point_scores = np.concatenate([np.empty((0, k), np.float32), *(part.point_scores for part in parts)])
            face_scores = np.concatenate([np.empty(0, np.float32), *(part.face_scores for part in parts)])
        return _Look(crops, to_photo, transform(points, to_photo).astype(np.float32), point_scores, face_scores)

    def _frames(self, look: _Look) -> tuple[np.ndarray, np.ndarray]:
        return upright_frames(look.points_px, self.model.card.schema)

    def _true_faces(self, look: _Look) -> np.ndarray:
        """Indices of the looks that are faces, each face once: where two found the same, the surer one."""
        kept: list[int] = []
        for index in np.argsort(-look.scores, kind="stable"):
            points = look.points_px[index]
            reach = _SAME_FACE * np.ptp(points, axis=0).max()
            apart = np.linalg.norm(look.points_px[kept] - points, axis=-1).mean(axis=-1)
            if look.scores[index] >= self.min_face_score and (apart > reach).all():
                kept.append(int(index))
        return np.sort(np.array(kept, np.int64))


class _Clock:
    """Adds up the milliseconds spent in each named step."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.milliseconds[step] = self.milliseconds.get(step, 0.0) + 1000 * (time.perf_counter() - start)


def _contradicted(given_xyxy: np.ndarray, seen_xyxy: np.ndarray, angles_deg: np.ndarray) -> np.ndarray:
    """(n,) bool: where the boxes that the points ask for are not the given ones."""
    (given_centre, given_side), (centre, side) = _centre_and_side(given_xyxy), _centre_and_side(seen_xyxy)
    offset = np.linalg.norm(centre - given_centre, axis=1)
    ratio = np.maximum(given_side, side) / np.maximum(np.minimum(given_side, side), 1e-6)
    return (offset > _BELIEVED_OFFSET * side) | (ratio > _BELIEVED_RATIO) | (np.abs(angles_deg) > _BELIEVED_TILT_DEG)


def _centre_and_side(boxes_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return (low + high) / 2, (high - low).max(axis=1)


def _check_image(image_rgb_u8: np.ndarray) -> None:
    image = np.asarray(image_rgb_u8)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image_rgb_u8: expected (h, w, 3) uint8, received {image.shape} {image.dtype}")


def _checked_boxes(boxes: np.ndarray) -> np.ndarray:
    """The boxes as (n, 4) float32; `ValueError` unless each is finite and has x0 < x1 and y0 < y1."""
    array = np.asarray(boxes, np.float32)
    array = array.reshape(0, 4) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes: expected (n, 4), received {np.shape(boxes)}")
    if not np.isfinite(array).all() or not (array[:, 2:] > array[:, :2]).all():
        raise ValueError("boxes: expected finite x0 < x1 and y0 < y1 in every row")
    return array
