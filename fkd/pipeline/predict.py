"""The whole way from a photo to the keypoints of every face in it.

    pipeline = Pipeline(load_model("ibug68"))
    faces = pipeline(image_rgb_u8)
    faces = pipeline(image_rgb_u8, boxes=tight_boxes_xyxy)

A Haar cascade finds faces; each is framed by its tight box, made grey, cut out with the margin that
the network was trained with, predicted together with the others, and mapped back to the photo.
Further looks then cut each face by its own points, turned upright, and predict it again, which brings the
error close to that in true boxes; the weights' cards give both. What the network does not take for a face
is dropped. Where no face is left, a closer search gives it more spots to judge; where it sees none in a box
that was given, it is shown more of the picture, less, and the same turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fkd.crop import tight_boxes_from_points
from fkd.errors import FkdError
from fkd.images import to_gray
from fkd.pipeline.detect import CloserSearch, HaarDetector, HaarOptions, Spots
from fkd.pipeline.face import Face
from fkd.pipeline.look import Clock, Look, Looker, contradicted, gives_scores

if TYPE_CHECKING:
    from fkd.weights import LoadedModel

MIN_FACE_SCORE = 0.5
# Two faces whose points lie closer than this, on average and in sides of the face, are one face.
_SAME_FACE = 0.2
# The score of faces that only a closer search finds: it asks about so many spots that some are scored 0.65 by chance.
_SURE = 0.7
# Spots with less than this share of the score that faces need are not looked at again.
_PROMISING = 0.25
# What the network is shown where it sees no face in a given box: squares so many times as large, and turns.
_OTHER_RATIOS = (0.35, 0.5, 0.7, 1.4)
_OTHER_TURNS_DEG = (45.0, -45.0, 90.0, -90.0, 135.0, -135.0, 180.0)
# Such a face is the one that was meant if so little of it lies outside the box, or its middle so near that of a box
# so large, in sides of the face: a box beside a face, or over less than a third of it, is of no face.
_OUTSIDE, _OFF_CENTRE, _LEAST_BOX = 0.1, 0.15, 0.58


@dataclass(frozen=True)
class Result:
    """What became of one photo.

    Attributes:
        faces: the faces, from left to right, or in the order of the given boxes.
        crops_gray_u8: (n, s, s) uint8: each face as the network saw it last.
        crops_to_photo: (n, 2, 3) float64: maps from the pixels of each crop to the photo's.
        milliseconds: time spent in the steps `detect`, `crop` and `predict`.
        weak_scores: where faces were searched for, the scores of those spots that the network was not sure enough of;
            without those of the closer search, which no lower `min_face_score` lets pass.
    """

    faces: list[Face]
    crops_gray_u8: np.ndarray
    crops_to_photo: np.ndarray
    milliseconds: dict[str, float]
    weak_scores: tuple[float, ...] = ()


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
        self.looker = Looker(model.predict, model.card)
        self.detector = HaarDetector(haar)
        self.closer_search = CloserSearch(self.detector.options) if self.detector.options.closer else None
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
            FkdError: for the name of a file instead of a picture, and when this OpenCV has no cascade to look for
                faces with.
        """
        clock = Clock()
        _check_image(image_rgb_u8)
        with clock("detect"):
            image_gray_u8 = to_gray(image_rgb_u8)
        if boxes is None:
            return self._search(image_gray_u8, clock)
        return self._look_into(image_gray_u8, _checked_boxes(boxes), clock)

    def _search(self, image_gray_u8: np.ndarray, clock: Clock) -> Result:
        """The faces of a picture, from left to right."""
        weak: list[float] | None = None
        least = self.min_face_score
        for tight, angles in self._spots(image_gray_u8, clock):
            look = self.looker(image_gray_u8, tight, angles, clock)
            look = self._look_again(image_gray_u8, look, look.scores >= least * _PROMISING, clock)
            if weak is None:
                weak = look.scores[look.scores < self.min_face_score].tolist()
            look = look.subset(self._true_faces(look, least))
            if len(look):
                break
            least = max(least, _SURE)
        tight = tight_boxes_from_points(look.points_px, self.model.card.schema).astype(np.float32)
        order = np.argsort(tight[:, 0] + tight[:, 2], kind="stable")
        return _result(tight[order], look.subset(order), clock, weak)

    def _spots(self, image_gray_u8: np.ndarray, clock: Clock) -> Iterator[Spots]:
        """Where faces may be; who takes the next ones has seen no face in those before."""
        with clock("detect"):
            tight = self.detector(image_gray_u8).tight_xyxy
        yield Spots(tight, np.zeros(len(tight)))
        if not (self.closer_search and gives_scores(self.model)):  # all would be faces to one without
            return
        closer = self.closer_search(image_gray_u8)
        while True:
            with clock("detect"):
                spots = next(closer, None)
            if spots is None:
                return
            yield spots

    def _look_into(self, image_gray_u8: np.ndarray, tight: np.ndarray, clock: Clock) -> Result:
        """One face for each of (n, 4) float32 given boxes, in their order."""
        upright = np.zeros(len(tight))
        look = self.looker(image_gray_u8, tight, upright, clock)
        look = self._reframed(image_gray_u8, tight, look, clock)
        again = look.scores >= self.min_face_score
        again &= contradicted(tight, upright, *self.looker.frames(look))
        return _result(tight, self._look_again(image_gray_u8, look, again, clock), clock)

    def _look_again(self, image_gray_u8: np.ndarray, look: Look, again: np.ndarray, clock: Clock) -> Look:
        """The look with the faces of a (n,) mask framed by their own points, upright, and predicted anew."""
        for _ in range(self.refinements):
            again = again & (look.face_scores > 0)  # points that fell together lead nowhere
            if not again.any():
                break
            frames = self.looker.frames(look.subset(again))
            look = look.updated(again, self.looker(image_gray_u8, *frames, clock))
        return look

    def _reframed(self, image_gray_u8: np.ndarray, tight: np.ndarray, look: Look, clock: Clock) -> Look:
        """The look with other frames of the boxes in which no face was seen, where a face is seen in one of them."""
        poor = np.flatnonzero(look.scores < self.min_face_score)
        if not len(poor):
            return look
        ratios = np.array([*_OTHER_RATIOS, *np.ones(len(_OTHER_TURNS_DEG))])[:, None, None]
        turns = np.array([*np.zeros(len(_OTHER_RATIOS)), *_OTHER_TURNS_DEG])
        low, high = tight[poor, :2], tight[poor, 2:]
        centre, half = (low + high) / 2, (high - low) / 2
        frames = np.concatenate([centre - ratios * half, centre + ratios * half], axis=-1)
        others = self.looker(image_gray_u8, frames.reshape(-1, 4), np.repeat(turns, len(poor)), clock)
        best = others.scores.reshape(len(turns), len(poor)).argmax(axis=0)
        surest = others.subset(best * len(poor) + np.arange(len(poor)))
        found = (surest.scores >= self.min_face_score) & self._is_meant(tight[poor], surest)
        return look.replaced(poor[found], surest.subset(found))

    def _is_meant(self, tight: np.ndarray, look: Look) -> np.ndarray:
        """(n,) bool: whether (n, 4) boxes hold the faces that were seen, or a good part of their middle."""
        faces, _ = self.looker.frames(look)
        low, high = faces[:, :2], faces[:, 2:]
        side = (high - low).max(axis=1, keepdims=True)
        within = (tight[:, :2] < low + _OUTSIDE * side) & (high - _OUTSIDE * side < tight[:, 2:])
        apart = np.linalg.norm((low + high - tight[:, :2] - tight[:, 2:]) / 2, axis=1)
        large = (tight[:, 2:] - tight[:, :2]).max(axis=1) > _LEAST_BOX * side[:, 0]
        return within.all(axis=1) | (large & (apart < _OFF_CENTRE * side[:, 0]))

    def _true_faces(self, look: Look, least_score: float) -> np.ndarray:
        """Indices of the looks that are faces, each face once: where two found the same, the surer one."""
        kept: list[int] = []
        for index in np.argsort(-look.scores, kind="stable"):
            points = look.points_px[index]
            reach = _SAME_FACE * np.ptp(points, axis=0).max()
            apart = np.linalg.norm(look.points_px[kept] - points, axis=-1).mean(axis=-1)
            if look.scores[index] >= least_score and (apart > reach).all():
                kept.append(int(index))
        return np.sort(np.array(kept, np.int64))


def _result(tight_xyxy: np.ndarray, look: Look, clock: Clock, weak_scores: list[float] | None = None) -> Result:
    rows = zip(tight_xyxy, look.scores, look.points_px, look.point_scores, strict=True)
    faces = [Face(box, float(score), points, scores) for box, score, points, scores in rows]
    return Result(faces, look.crops_gray_u8, look.crops_to_photo, clock.milliseconds, tuple(weak_scores or ()))


def _check_image(image_rgb_u8: np.ndarray) -> None:
    if isinstance(image_rgb_u8, (str, Path)):
        raise FkdError(
            f"Faces are looked for in a picture, not under its name: pass fkd.images.read_image({str(image_rgb_u8)!r})."
        )
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
