"""Where a ridge regression on gradients expects the points of each face, learnt from the dataset itself.

No trained weights are needed: one half of the groups teaches the regression that judges the other.
Pictures are cut by the labels' tight boxes, moved at random while learning, described by histograms
of oriented gradients (Dalal and Triggs, 2005) and mapped to points in two steps, the second cut by
what the first expects (a short cascade after the supervised descent of Xiong and De la Torre, 2013).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fkd.crop import CropFrame, cut, invert, tight_boxes, transform
from fkd.data.dataset import Dataset
from fkd.progress import steps

_SIDE = 64
_FRAME = CropFrame(scale=1.2)
_STEPS = ((6, 0.12), (4, 0.05))  # moved copies of each face, and standard deviation of the moves in box sides
_RIDGE = 1.0  # in mean variances of a feature
_FEWEST_TEACHERS = 50


def expected_points(dataset: Dataset, seed: int = 0) -> np.ndarray:
    """(n, k, 2) points in the dataset's pixels; NaN where too few faces can teach, or a face has no box."""
    names, inverse = np.unique(dataset.groups, return_inverse=True)
    half = (np.random.default_rng(seed).permutation(len(names)) % 2)[inverse]
    extent = np.ptp(np.nan_to_num(tight_boxes_or_nan(dataset.points_px)).reshape(-1, 2, 2), axis=1).max(axis=1)
    expected_px = np.full(dataset.points_px.shape, np.nan)
    for judged in (0, 1):
        teachers = np.flatnonzero(dataset.complete & (half != judged))
        faces = np.flatnonzero((half == judged) & (extent > 0))
        if len(teachers) >= _FEWEST_TEACHERS and len(faces):
            expected_px[faces] = _judge(dataset, teachers, faces, np.random.default_rng(seed))
    return expected_px


def tight_boxes_or_nan(points_px: np.ndarray) -> np.ndarray:
    """`tight_boxes`, where faces without any label are expected."""
    boxes = np.full((len(points_px), 4), np.nan)
    labelled = np.isfinite(points_px).any(axis=(1, 2))
    boxes[labelled] = tight_boxes(points_px[labelled])
    return boxes


def _judge(dataset: Dataset, teachers: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(len(faces), k, 2) points, after every step of the cascade."""
    points_px = dataset.points_px.astype(np.float64)
    boxes = tight_boxes(points_px[faces])
    for copies, amount in _STEPS:
        rows = np.repeat(teachers, copies)
        maps = _FRAME.matrices(_moved(tight_boxes(points_px[rows]), amount, rng), _SIDE)
        targets = transform(points_px[rows], invert(maps)).reshape(len(rows), -1)
        predict = _ridge(_describe(dataset.images_u8, rows, maps), targets)
        maps = _FRAME.matrices(boxes, _SIDE)
        expected = predict(_describe(dataset.images_u8, faces, maps)).reshape(len(faces), -1, 2)
        expected_px = transform(expected, maps)
        boxes = tight_boxes(expected_px)
    return expected_px


def _moved(boxes_xyxy: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Square boxes about as large as (n, 4) boxes, shifted and scaled at random."""
    side = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).max(axis=1, keepdims=True)
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2 + rng.normal(0, amount, (len(side), 2)) * side
    half = side / 2 * np.exp(rng.normal(0, amount, side.shape))
    return np.concatenate([centre - half, centre + half], axis=1)


def _describe(images_u8: np.ndarray, rows: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """(n, 1764) float32: nine directions in 7x7 overlapping blocks of 2x2 cells."""
    gradients = cv2.HOGDescriptor((_SIDE, _SIDE), (16, 16), (8, 8), (8, 8), 9)
    cuts = steps("learning where points lie", list(zip(rows, maps, strict=True)))
    crops = (cut(images_u8[row], matrix, _SIDE) for row, matrix in cuts)
    return np.stack([np.ravel(gradients.compute(crop)) for crop in crops])


def _ridge(features: np.ndarray, targets: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    feature_mean, target_mean = features.mean(axis=0), targets.mean(axis=0)
    centred = features - feature_mean
    gram = (centred.T @ centred).astype(np.float64)
    gram[np.diag_indices_from(gram)] += _RIDGE * np.trace(gram) / len(gram)
    coefficients = np.linalg.solve(gram, centred.T @ (targets - target_mean))
    return lambda unknown: (unknown - feature_mean) @ coefficients + target_mean
