"""Haar search for video: the whole frame at once, a share of it in each frame, or only near a known place.

    search = FaceSearch(0.07)
    tight_xyxy = search.everywhere(image_gray_u8)
    tight_xyxy = search.next_share(image_gray_u8)

A search over a whole frame takes longer than following a face in it. `next_share` looks for some of the
sizes only, one of several parts of about the same cost in turn, so that looking for new faces never makes
one frame late; large faces come first, as they are the nearest and cost least. More false hits are let
through than from a photo: the network judges them.
"""

from __future__ import annotations

import cv2
import numpy as np

from fkd.pipeline.detect import find_tilted, load_cascade, squares_of, suppress_overlaps, tight_from_haar

_WINDOW_PX = 24  # the cascade's smallest; a frame is scaled until its smallest face is as large
_CASCADE, _SCALE_FACTOR, _MIN_NEIGHBORS = "frontal", 1.2, 1
# First and last window of each share, counted in steps of the scale factor. Neighbouring shares have one
# size in common, so that a face between two sizes has its hits in one share.
_LAST_STEP, _LARGEST_WINDOW_PX = 40, 10_000
_SHARES = ((6, _LAST_STEP), (4, 6), (3, 4), (1, 3), (0, 1))
SHARES = len(_SHARES)
_TILTS_DEG = (32.0, -32.0)
_SAME_FACE_IOU = 0.3
# Near a known place: how far round it in sides of the face, how large that is made, and which sizes of
# a detection are sought there, in sides of a tight box.
_NEAR_REACH, _NEAR_FACE_PX, _NEAR_SIZES = 1.5, 30, (0.9, 1.6)


class FaceSearch:
    """Finds faces in the frames of one video; not to be shared by threads, as cascades may not.

    Args:
        min_face: smallest face to look for, as a share of the frame's longer side.

    Raises:
        FkdError: when this OpenCV has no cascades.
    """

    def __init__(self, min_face: float) -> None:
        self._cascade = load_cascade(_CASCADE)
        self._min_face = min_face
        self._turn = self._tilted_turn = 0

    def everywhere(self, image_gray_u8: np.ndarray) -> np.ndarray:
        """(n, 4) tight boxes of faces of all sizes, in pixels of the frame, surest first."""
        return self._sizes(image_gray_u8, (0, _LAST_STEP))

    def next_share(self, image_gray_u8: np.ndarray) -> np.ndarray:
        """As `everywhere`, for a small part of the work; `SHARES` calls in a row cover all sizes, large ones first."""
        steps = _SHARES[self._turn % SHARES]
        self._turn += 1
        return self._sizes(image_gray_u8, steps)

    @property
    def tilt_deg(self) -> float:
        """By how much the faces are tilted clockwise that `next_tilted_share` will look for."""
        return _TILTS_DEG[self._tilted_turn // SHARES % len(_TILTS_DEG)]

    def next_tilted_share(self, image_gray_u8: np.ndarray) -> np.ndarray:
        """As `next_share` for tilted faces, of which a cascade knows nothing: all to one side, then to the other.

        The boxes are those of the upright face, round its middle in the frame.
        """
        steps, tilt_deg = _SHARES[self._tilted_turn % SHARES], self.tilt_deg
        self._tilted_turn += 1
        return self._tilted(image_gray_u8, steps, tilt_deg)

    def near(self, image_gray_u8: np.ndarray, tight_xyxy: np.ndarray) -> np.ndarray:
        """(n, 4) tight boxes of faces about as large as a (4,) one and not far from it."""
        low, high = tight_xyxy[:2], tight_xyxy[2:]
        side = float((high - low).max())
        size = np.array(image_gray_u8.shape[::-1])
        first, last = (
            np.clip((low + high) / 2 + reach * side, 0, size).astype(int) for reach in (-_NEAR_REACH, _NEAR_REACH)
        )
        if (last - first).min() < 0.5 * side:
            return np.empty((0, 4))
        part = image_gray_u8[first[1] : last[1], first[0] : last[0]]
        windows = tuple(_NEAR_FACE_PX * share for share in _NEAR_SIZES)
        found = self._windows(part, _NEAR_FACE_PX / max(side, 1.0), windows)
        return found + np.tile(first, 2)

    def _sizes(self, image_gray_u8: np.ndarray, steps: tuple[int, int], longer_px: int | None = None) -> np.ndarray:
        low, high = (min(_WINDOW_PX * _SCALE_FACTOR**step, _LARGEST_WINDOW_PX) for step in steps)
        ratio = _WINDOW_PX / (self._min_face * (longer_px or max(image_gray_u8.shape)))
        return self._windows(image_gray_u8, ratio, (low, high))

    def _tilted(self, image_gray_u8: np.ndarray, steps: tuple[int, int], angle_deg: float) -> np.ndarray:
        """Boxes from the frame turned back by an angle, whole, on as large a canvas as that takes."""
        longer_px = max(image_gray_u8.shape)
        return find_tilted(image_gray_u8, angle_deg, lambda turned: self._sizes(turned, steps, longer_px))

    def _windows(self, image_gray_u8: np.ndarray, ratio: float, windows_px: tuple[float, ...]) -> np.ndarray:
        """(n, 4) tight boxes from squares of these sizes in the picture made `ratio` times as large."""
        height, width = image_gray_u8.shape
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        smallest, largest = (round(window) for window in windows_px)
        scaled = cv2.resize(image_gray_u8, size, interpolation=method)
        sizes = {"minSize": (smallest, smallest), "maxSize": (largest, largest)}
        edges, hits = squares_of(self._cascade, scaled, _SCALE_FACTOR, _MIN_NEIGHBORS, **sizes)
        boxes = edges * np.array([width / size[0], height / size[1]] * 2) - 0.5
        kept = suppress_overlaps(boxes, hits, _SAME_FACE_IOU)
        return tight_from_haar(boxes[kept], _CASCADE)
