"""What happens to pictures in the world, done on purpose: to see and to measure what a network bears.

    disturbed_u8 = DISTURBANCES["noise"].apply(image_gray_u8, face_box_xyxy, 15.0, np.random.default_rng(0))

Amounts are in units of the face or of grey levels, so that they mean the same for every size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Change = Callable[[np.ndarray, np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Disturbance:
    """One way to spoil a picture.

    Attributes:
        label: what it is called on pages and cards.
        unit: of its amount.
        low, high: the amounts worth trying.
        usual: the amount that cards report.
        apply: `(image_gray_u8 (h, w), face_box_xyxy (4,), amount, generator)` to a new (h, w) uint8 picture.
    """

    label: str
    unit: str
    low: float
    high: float
    usual: float
    apply: Change


def turn_matrix(face_box_xyxy: np.ndarray, degrees: float) -> np.ndarray:
    """(2, 3) map that turns a picture, and its points with it, about the middle of a face; positive is clockwise."""
    x, y = (face_box_xyxy[:2] + face_box_xyxy[2:]) / 2
    return cv2.getRotationMatrix2D((float(x), float(y)), -degrees, 1.0)


def _blur(image: np.ndarray, box: np.ndarray, amount: float, generator: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), max(amount / 100 * _width(box), 1e-3))


def _noise(image: np.ndarray, box: np.ndarray, amount: float, generator: np.random.Generator) -> np.ndarray:
    return _to_u8(image + generator.normal(0, amount, image.shape))


def _compress(image: np.ndarray, box: np.ndarray, amount: float, generator: np.random.Generator) -> np.ndarray:
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, round(amount)])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE))


def _brightness(image: np.ndarray, box: np.ndarray, amount: float, generator: np.random.Generator) -> np.ndarray:
    return _to_u8(image * amount)


def _turn(image: np.ndarray, box: np.ndarray, amount: float, generator: np.random.Generator) -> np.ndarray:
    matrix = turn_matrix(box, amount)
    return cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _cover(image: np.ndarray, box: np.ndarray, amount: float, generator: np.random.Generator) -> np.ndarray:
    """A grey box over a share of the face's box, somewhere within it and of its shape."""
    size = (box[2:] - box[:2]) * np.sqrt(amount / 100)
    low = box[:2] + generator.random(2) * (box[2:] - box[:2] - size)
    (x0, y0), (x1, y1) = np.round(low).astype(int).clip(0), np.round(low + size).astype(int).clip(0)
    covered = image.copy()
    covered[y0:y1, x0:x1] = 128
    return covered


def _coarsen(image: np.ndarray, box: np.ndarray, amount: float, generator: np.random.Generator) -> np.ndarray:
    small = cv2.resize(image, None, fx=1 / amount, fy=1 / amount, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _width(box: np.ndarray) -> float:
    return float(box[2] - box[0])


def _to_u8(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


DISTURBANCES: dict[str, Disturbance] = {
    "blur": Disturbance("Blur", "% of the face's width", 0.2, 8, 2, _blur),
    "noise": Disturbance("Grey noise", "grey levels", 1, 60, 15, _noise),
    "jpeg": Disturbance("JPEG compression", "quality", 1, 95, 20, _compress),
    "dark": Disturbance("Darkness", "times as bright", 0.05, 1, 0.5, _brightness),
    "bright": Disturbance("Brightness", "times as bright", 1, 4, 2, _brightness),
    "turn": Disturbance("Tilt", "degrees", -90, 90, 30, _turn),
    "cover": Disturbance("Covered part", "% of the face", 2, 80, 25, _cover),
    "coarse": Disturbance("Resolution", "times coarser", 1, 8, 2, _coarsen),
}
