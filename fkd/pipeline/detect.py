"""Where the faces are: OpenCV's Haar cascades, and the tight box that each detection stands for.

    detections = HaarDetector(HaarOptions(cascade="profile"))(image_gray_u8)

The method is Viola and Jones's (2001). A cascade answers with a square of its own taste; networks
are framed by the *tight box* (round the points, brow to chin and jaw to jaw), and `tight_from_haar`
leads from one to the other.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

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
        height, width = image_gray_u8.shape
        ratio = min(_MOST_ENLARGED, _WINDOW_PX / (self.options.min_face * max(height, width)))
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(image_gray_u8, size, interpolation=method)
        boxes, neighbours = self._search(scaled)
        tight = tight_from_haar(boxes, self.options.cascade)
        if self.options.cascade == "profile":  # the cascade knows faces that look to one side only
            mirrored_boxes, more_neighbours = self._search(np.ascontiguousarray(scaled[:, ::-1]))
            mirrored_tight = tight_from_haar(mirrored_boxes, "profile")
            boxes = np.concatenate([boxes, _mirror(mirrored_boxes, size[0])])
            tight = np.concatenate([tight, _mirror(mirrored_tight, size[0])])
            neighbours = np.concatenate([neighbours, more_neighbours])
        kept = suppress_overlaps(boxes, neighbours, _SAME_FACE_IOU)
        kept = kept[np.argsort(boxes[kept, 0] + boxes[kept, 2], kind="stable")]
        per_pixel = np.array([width / size[0], height / size[1]] * 2)
        return Detections(*(((part[kept] + 0.5) * per_pixel - 0.5).astype(np.float32) for part in (boxes, tight)))

    def _cascade(self) -> cv2.CascadeClassifier:
        """The thread's own classifier: one that several threads share returns wrong boxes without a word."""
        if not hasattr(self._of_thread, "cascade"):
            self._of_thread.cascade = load_cascade(self.options.cascade)
        return self._of_thread.cascade

    def _search(self, image_gray_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, 4) boxes through the outer edges of their pixels, and (n,) how many hits agreed on each."""
        smallest = max(_WINDOW_PX, round(self.options.min_face * max(image_gray_u8.shape)))
        found, neighbours = self._cascade().detectMultiScale2(
            image_gray_u8, self.options.scale_factor, self.options.min_neighbors, minSize=(smallest, smallest)
        )
        xywh = np.asarray(found, np.float64).reshape(-1, 4)
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1) - 0.5
        return boxes, np.asarray(neighbours, np.int64).reshape(-1)


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
