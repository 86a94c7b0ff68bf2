"""Where the faces are: OpenCV's Haar cascades, and the tight box that each detection stands for.

    detections = HaarDetector(HaarOptions(cascade="profile"))(image_gray_u8)
    for spots in CloserSearch(HaarOptions())(image_gray_u8):  # where that finds nothing
        ...

The method is Viola and Jones's (2001). A cascade answers with a square of its own taste; networks
are framed by the *tight box* (round the points, brow to chin and jaw to jaw), and `tight_from_haar`
leads from one to the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fkd.crop import invert, transform
from fkd.errors import FkdError
from fkd.options import check, option

CASCADES = {
    "frontal": "haarcascade_frontalface_default.xml",
    "frontal_alt2": "haarcascade_frontalface_alt2.xml",
    "profile": "haarcascade_profileface.xml",
}
# Where the tight box lies in a detection: offset of its centre as x, y and its width and height, all
# in sides of the square. Medians over real faces, measured by `python -m fkd.calibrate`.
_TIGHT_IN_HAAR = {
    "frontal": (0.0, 0.157, 0.856, 0.831),
    "frontal_alt2": (0.0, 0.164, 0.877, 0.850),
    "profile": (-0.080, 0.162, 0.758, 0.737),
}
# The smallest window of the frontal cascade, in pixels. A photo is scaled until the smallest face
# that is looked for has this size: anything finer would cost time and find nothing more. Enlarging
# small photos, by up to a half, lets faces of 16 pixels be found too.
_WINDOW_PX = 24
_MOST_ENLARGED = 1.5
SMALLEST_FACE_PX = round(_WINDOW_PX / _MOST_ENLARGED)
_SAME_FACE_IOU = 0.3
# By how much the faces are tilted clockwise that a closer search looks for, at first and at last.
_TILTS_DEG, _TURNS_DEG = (30.0, -30.0), (90.0, -90.0, 180.0)
# A picture is flat if its greys, but for this share at either end, lie within so many; fewer are of noise alone.
_EXTREME, _FLAT_GREYS, _LEAST_GREYS = 0.002, 100, 8
_COARSE_FACTOR = 1.2  # ratio of one searched size to the next there


@dataclass(frozen=True)
class HaarOptions:
    """How faces are looked for; out-of-range values raise `ValueError`."""

    cascade: str = option(
        "frontal",
        "Which cascade looks for faces: frontal suits most photos, frontal_alt2 is stricter, "
        "profile finds faces seen from either side.",
        choices=tuple(CASCADES),
    )
    scale_factor: float = option(
        1.1, "Ratio of one searched face size to the next; smaller finds more and takes longer.", low=1.01, high=2.0
    )
    min_neighbors: int = option(
        4, "How many overlapping hits make a face; larger means fewer false ones.", low=1, high=50
    )
    min_face: float = option(
        0.02,
        "Smallest face to look for, as a share of the photo's longer side; smaller takes longer.",
        low=0.005,
        high=1.0,
    )

    closer: bool = option(
        True,
        "Where no face is found, look again for faint, tilted and turned ones; such photos then take several times as "
        "long. Needs weights with scores of their own.",
        label="Look again where none is found",
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Detections:
    """Faces that were found, from left to right, in pixels of the searched picture.

    Attributes:
        boxes_xyxy: (n, 4) float32: the detector's own boxes.
        tight_xyxy: (n, 4) float32: where the tight boxes should be.
    """

    boxes_xyxy: np.ndarray
    tight_xyxy: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes_xyxy)


class HaarDetector:
    """Finds faces with a Haar cascade; one detector may be shared by any number of threads.

    Raises:
        FkdError: when this OpenCV has no cascades.
    """

    def __init__(self, options: HaarOptions | None = None) -> None:
        self.options = options or HaarOptions()
        self._of_thread = threading.local()

    def __call__(self, image_gray_u8: np.ndarray) -> Detections:
        """Find the faces of a (h, w) uint8 picture of any size."""
        scaled, per_pixel = _scaled(image_gray_u8, self.options.min_face)
        boxes, neighbours = self._search(scaled)
        tight = tight_from_haar(boxes, self.options.cascade)
        if self.options.cascade == "profile":  # the cascade knows faces that look to one side only
            mirrored_boxes, more_neighbours = self._search(np.ascontiguousarray(scaled[:, ::-1]))
            mirrored_tight = tight_from_haar(mirrored_boxes, "profile")
            boxes = np.concatenate([boxes, _mirror(mirrored_boxes, scaled.shape[1])])
            tight = np.concatenate([tight, _mirror(mirrored_tight, scaled.shape[1])])
            neighbours = np.concatenate([neighbours, more_neighbours])
        kept = suppress_overlaps(boxes, neighbours, _SAME_FACE_IOU)
        kept = kept[np.argsort(boxes[kept, 0] + boxes[kept, 2], kind="stable")]
        return Detections(*((_enlarged(part[kept], per_pixel)).astype(np.float32) for part in (boxes, tight)))

    def find_tight(self, image_gray_u8: np.ndarray) -> np.ndarray:
        """(n, 4) float32: the tight boxes alone."""
        return self(image_gray_u8).tight_xyxy

    def _cascade(self) -> cv2.CascadeClassifier:
        """The thread's own classifier: one that several threads share returns wrong boxes without a word."""
        if not hasattr(self._of_thread, "cascade"):
            self._of_thread.cascade = load_cascade(self.options.cascade)
        return self._of_thread.cascade

    def _search(self, image_gray_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, 4) boxes through the outer edges of their pixels, and (n,) how many hits agreed on each."""
        smallest = max(_WINDOW_PX, round(self.options.min_face * max(image_gray_u8.shape)))
        factor, least = self.options.scale_factor, self.options.min_neighbors
        edges, hits = squares_of(self._cascade(), image_gray_u8, factor, least, minSize=(smallest, smallest))
        return edges - 0.5, hits


class Spots(NamedTuple):
    """Where faces might be, for a network to judge.

    Attributes:
        tight_xyxy: (n, 4) tight boxes of the upright faces, round their middles in the picture.
        angles_deg: (n,) by how much each is tilted clockwise.
    """

    tight_xyxy: np.ndarray
    angles_deg: np.ndarray


class CloserSearch:
    """Looks harder for the faces of a picture in which nothing was found; may be shared by threads.

    It lets through what few hits agree on, also in the picture tilted and turned, which are many false hits too;
    and gives a picture contrast that is much too dark, too light or too flat.

    Args:
        options: how faces were looked for.
    """

    def __init__(self, options: HaarOptions) -> None:
        lenient = replace(options, min_neighbors=1)
        self._upright = HaarDetector(lenient)
        self._coarse = HaarDetector(replace(lenient, scale_factor=max(_COARSE_FACTOR, options.scale_factor)))

    def __call__(self, image_gray_u8: np.ndarray) -> Iterator[Spots]:
        """Spots in a (h, w) uint8 picture, the likelier ones first: the rest is work for whom these show no face."""
        scaled, per_pixel = _scaled(image_gray_u8, self._upright.options.min_face, most_enlarged=1.0)
        scaled = _with_contrast(scaled)
        for tilts_deg in ((0.0,), _TILTS_DEG, _TURNS_DEG):
            find = self._coarse.find_tight if tilts_deg[0] else self._upright.find_tight
            found = [find_tilted(scaled, tilt_deg, find) for tilt_deg in tilts_deg]
            angles = np.repeat(tilts_deg, [len(boxes) for boxes in found])
            yield Spots(_enlarged(np.concatenate(found), per_pixel), angles)


def find_tilted(image_gray_u8: np.ndarray, tilt_deg: float, find: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(n, 4) tight boxes of faces tilted clockwise by an angle: what `find` sees in the picture turned back by it.

    The boxes are those of the upright faces, round their middles in the picture.
    """
    if not tilt_deg:
        return find(image_gray_u8)
    height, width = image_gray_u8.shape
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), tilt_deg, 1.0)
    extent = np.ceil(np.round(np.abs(turn[:, :2]) @ (width, height), 6)).astype(int)
    turn[:, 2] += (extent - np.array([width, height])) / 2
    boxes = find(cv2.warpAffine(image_gray_u8, turn, (int(extent[0]), int(extent[1]))))
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    centre = transform(centre, invert(turn))
    return np.concatenate([centre - half, centre + half], axis=1)


def load_cascade(name: str) -> cv2.CascadeClassifier:
    """A new classifier for one of `CASCADES`; `FkdError` when OpenCV has none."""
    try:
        cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).with_name("data") / CASCADES[name]))
    except AttributeError:
        cascade = None
    if cascade is None or cascade.empty():
        raise FkdError(
            f"OpenCV {cv2.__version__} has no Haar cascades to find faces with; "
            'install one that has: pip install "opencv-python-headless>=4.10,<5".'
        )
    return cascade


def squares_of(
    cascade: cv2.CascadeClassifier, image_gray_u8: np.ndarray, scale_factor: float, min_neighbors: int, **sizes: Any
) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4) float64 outer edges x0, y0, x1, y1 of a cascade's squares, and (n,) how many hits agreed on each.

    They come by size and then place: OpenCV's threads answer in any order, and of squares with as many hits the
    first one silences the others.
    """
    found, hits = cascade.detectMultiScale2(image_gray_u8, scale_factor, min_neighbors, **sizes)
    xywh = np.asarray(found, np.float64).reshape(-1, 4)
    order = np.lexsort(xywh.T)
    edges = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    return edges[order], np.asarray(hits, np.int64).reshape(-1)[order]


def tight_from_haar(boxes_xyxy: np.ndarray, cascade: str) -> np.ndarray:
    """(n, 4) squares as a cascade finds them to the (n, 4) tight boxes they most likely stand for."""
    dx, dy, width, height = _TIGHT_IN_HAAR[cascade]
    side = boxes_xyxy[:, 2] - boxes_xyxy[:, 0]
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 + side[:, None] * (dx, dy)
    half = side[:, None] * (width / 2, height / 2)
    return np.concatenate([centre - half, centre + half], axis=1)


def suppress_overlaps(boxes_xyxy: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
    """Indices of the boxes that remain, best first, when each box silences lesser ones over it.

    Args:
        boxes_xyxy: (n, 4).
        scores: (n,) larger is better.
        iou: intersection over union from which two boxes stand for one face.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    for index in order:
        if not kept or _iou(boxes_xyxy[index], boxes_xyxy[kept]).max() < iou:
            kept.append(int(index))
    return np.array(kept, np.int64)


def _scaled(
    image_gray_u8: np.ndarray, min_face: float, most_enlarged: float = _MOST_ENLARGED
) -> tuple[np.ndarray, np.ndarray]:
    """The picture as large as the search needs it, and (2,) picture pixels in one of its pixels, as x, y."""
    height, width = image_gray_u8.shape
    ratio = min(most_enlarged, _WINDOW_PX / (min_face * max(height, width)))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    return cv2.resize(image_gray_u8, size, interpolation=method), np.array([width / size[0], height / size[1]])


def _with_contrast(image_gray_u8: np.ndarray) -> np.ndarray:
    """The picture as it is, or with its greys spread if they all lie close together, as cascades see little in such."""
    low, high = np.quantile(image_gray_u8, (_EXTREME, 1 - _EXTREME))
    if high - low > _FLAT_GREYS:
        return image_gray_u8
    factor = 255 / max(high - low, _LEAST_GREYS)
    return ((image_gray_u8 - low) * factor).clip(0, 255).astype(np.uint8)


def _enlarged(boxes_xyxy: np.ndarray, per_pixel: np.ndarray) -> np.ndarray:
    """(n, 4) boxes in pixels of `_scaled` in those of the picture."""
    return (boxes_xyxy + 0.5) * np.tile(per_pixel, 2) - 0.5


def _iou(box_xyxy: np.ndarray, others_xyxy: np.ndarray) -> np.ndarray:
    low = np.maximum(box_xyxy[:2], others_xyxy[:, :2])
    high = np.minimum(box_xyxy[2:], others_xyxy[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box_xyxy[2:] - box_xyxy[:2]) + np.prod(others_xyxy[:, 2:] - others_xyxy[:, :2], axis=1)
    return shared / (area - shared)


def _mirror(boxes_xyxy: np.ndarray, width: int) -> np.ndarray:
    mirrored = boxes_xyxy.copy()
    mirrored[:, [0, 2]] = width - 1 - boxes_xyxy[:, [2, 0]]
    return mirrored
