"""The whole way from a photo to the keypoints of every face in it.

    pipeline = Pipeline(load_model("ibug68"))
    faces = pipeline(image_rgb_u8)
    faces = pipeline(image_rgb_u8, boxes=tight_boxes_xyxy)

A Haar cascade finds faces; each is framed by its tight box, made grey, cut out with the margin that
the network was trained with, predicted together with the others, and mapped back to the photo.
Further looks then cut each face by its own points, turned upright, and predict it again, which brings the
error close to that in true boxes; the weights' cards give both. What the network does not take for a face
is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fkd.crop import tight_boxes_from_points
from fkd.errors import FkdError
from fkd.images import to_gray
from fkd.pipeline.detect import HaarDetector, HaarOptions
from fkd.pipeline.face import Face
from fkd.pipeline.look import Clock, Look, Looker, contradicted

if TYPE_CHECKING:
    from fkd.weights import LoadedModel

MIN_FACE_SCORE = 0.5
# Two faces whose points lie closer than this, on average and in sides of the face, are one face.
_SAME_FACE = 0.2


@dataclass(frozen=True)
class Result:
    """What became of one photo.

    Attributes:
        faces: the faces, from left to right, or in the order of the given boxes.
        crops_gray_u8: (n, s, s) uint8: each face as the network saw it last.
        crops_to_photo: (n, 2, 3) float64: maps from the pixels of each crop to the photo's.
        milliseconds: time spent in the steps `detect`, `crop` and `predict`.
        weak_scores: where spots were looked for, the scores of those that the network was not sure enough of.
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
            tight = self.detector(image_gray_u8).tight_xyxy if boxes is None else _checked_boxes(boxes)
        upright = np.zeros(len(tight))
        look = self.looker(image_gray_u8, tight, upright, clock)
        again = look.face_scores > 0  # points that fell together lead nowhere
        if boxes is not None:
            again = (look.scores >= self.min_face_score) & contradicted(tight, upright, *self.looker.frames(look))
        for _ in range(self.refinements):
            if not again.any():
                break
            frames = self.looker.frames(look.subset(again))
            look = look.updated(again, self.looker(image_gray_u8, *frames, clock))
            again &= look.face_scores > 0
        weak: list[float] = []
        if boxes is None:
            weak = look.scores[look.scores < self.min_face_score].tolist()
            look = look.subset(self._true_faces(look))
            tight = tight_boxes_from_points(look.points_px, self.model.card.schema).astype(np.float32)
        rows = zip(tight, look.scores, look.points_px, look.point_scores, strict=True)
        faces = [Face(box, float(score), points, scores) for box, score, points, scores in rows]
        return Result(faces, look.crops_gray_u8, look.crops_to_photo, clock.milliseconds, tuple(weak))

    def _true_faces(self, look: Look) -> np.ndarray:
        """Indices of the looks that are faces, each face once: where two found the same, the surer one."""
        kept: list[int] = []
        for index in np.argsort(-look.scores, kind="stable"):
            points = look.points_px[index]
            reach = _SAME_FACE * np.ptp(points, axis=0).max()
            apart = np.linalg.norm(look.points_px[kept] - points, axis=-1).mean(axis=-1)
            if look.scores[index] >= self.min_face_score and (apart > reach).all():
                kept.append(int(index))
        return np.sort(np.array(kept, np.int64))


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
