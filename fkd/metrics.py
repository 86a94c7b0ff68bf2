"""How good predicted points are; every figure of a card and a table is made here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fkd.schema import Schema

FAILURE = 0.08  # a face whose NME is above this has failed


def point_errors_px(predicted_px: np.ndarray, true_px: np.ndarray) -> np.ndarray:
    """(n, k) distances between predicted and true points (n, k, 2); NaN where a label is missing."""
    return np.linalg.norm(predicted_px - true_px, axis=-1)


def eye_distances_px(true_px: np.ndarray, schema: Schema) -> np.ndarray:
    """(n,) distances of the outer eye corners, which divide errors in NME."""
    first, second = schema.normalising_pair
    return np.linalg.norm(true_px[:, first] - true_px[:, second], axis=-1)


def face_nme(predicted_px: np.ndarray, true_px: np.ndarray, schema: Schema) -> np.ndarray:
    """(n,) mean point error of each face in eye distances (not percent); NaN without eye corners."""
    return np.nanmean(point_errors_px(predicted_px, true_px), axis=1) / eye_distances_px(true_px, schema)


def rmse_px(predicted_px: np.ndarray, true_px: np.ndarray) -> float:
    """Root of the mean squared coordinate error over all labelled coordinates (Kaggle's measure)."""
    return float(np.sqrt(np.nanmean((predicted_px - true_px) ** 2)))


def auc(face_errors: np.ndarray) -> float:
    """Area under the cumulative error curve up to `FAILURE`, as a share of the whole rectangle."""
    return float(np.mean(np.clip(1 - face_errors / FAILURE, 0, 1)))


@dataclass(frozen=True)
class FaceErrors:
    """What is kept of n predicted faces: enough for every figure, and no picture and no point.

    Attributes:
        errors_px: (n, k) distances between predicted and true points, NaN where a label is missing; in
            pixels of the picture, for 68 points of the face scaled to 96 pixels.
        eyes_px: (n,) distances of the true outer eye corners in the same frame.
        largest_agrees: (n,) bool: whether the largest predicted coordinate is the largest true one. Its
            share says little about points; one published student project calls it accuracy.
    """

    errors_px: np.ndarray
    eyes_px: np.ndarray
    largest_agrees: np.ndarray

    @classmethod
    def measure(cls, predicted_px: np.ndarray, true_px: np.ndarray, schema: Schema) -> FaceErrors:
        """From (n, k, 2) predicted and true points, the latter NaN where missing, in one frame."""
        if schema.name == "ibug68":
            scale = _scale_to_96(true_px)
            predicted_px, true_px = predicted_px * scale, true_px * scale
        errors, eyes = point_errors_px(predicted_px, true_px), eye_distances_px(true_px, schema)
        return cls(errors, eyes, _largest(predicted_px) == _largest(true_px))

    def subset(self, which: np.ndarray) -> FaceErrors:
        """The faces chosen by an index or boolean array."""
        return FaceErrors(*(part[which] for part in vars(self).values()))

    @property
    def complete(self) -> np.ndarray:
        """(n,) bool: faces with every label present."""
        return np.isfinite(self.errors_px).all(axis=1)

    @property
    def nme(self) -> np.ndarray:
        """(n,) mean point error of each face in eye distances (not percent); NaN without eye corners."""
        return np.nanmean(self.errors_px, axis=1) / self.eyes_px

    def summary(self, schema: Schema) -> dict[str, Any]:
        """Every metric of these faces; see `summarise`."""
        per_face = self.nme[np.isfinite(self.eyes_px)]
        per_point = np.nanmean(self.errors_px / self.eyes_px[:, None], axis=0)
        complete = self.complete
        percent = {
            "nme": per_face.mean(),
            "nme_median": np.median(per_face),
            "nme_p90": np.quantile(per_face, 0.9),
            "fr8": np.mean(per_face > FAILURE),
            "auc8": auc(per_face),
            "argmax_accuracy": self.largest_agrees[complete].mean() if complete.any() else np.nan,
        }
        return {
            "faces": len(self.errors_px),
            **{name: round(100 * float(value), 3) for name, value in percent.items()},
            # Each squared distance is the sum of two squared coordinates.
            "rmse_px": round(float(np.sqrt(np.nanmean(np.square(self.errors_px, dtype=np.float64)) / 2)), 4),
            "nme_by_group": {g: round(100 * float(per_point[list(m)].mean()), 3) for g, m in schema.groups.items()},
            "nme_by_keypoint": {
                name: round(100 * float(e), 3) for name, e in zip(schema.keypoints, per_point, strict=True)
            },
        }


def summarise(predicted_px: np.ndarray, true_px: np.ndarray, schema: Schema) -> dict[str, Any]:
    """Every metric of a set of faces.

    Args:
        predicted_px: (n, k, 2) in any frame that keeps angles; RMSE alone depends on its scale.
        true_px: (n, k, 2), NaN for missing labels.
        schema: which points they are.

    Returns:
        Percentages `nme`, `nme_median`, `nme_p90`, `fr8`, `auc8`, `argmax_accuracy` (of faces with every
        label); `rmse_px` (for 68 points on a face scaled to 96 px); `nme_by_group` and `nme_by_keypoint`;
        the number of `faces`.
    """
    return FaceErrors.measure(predicted_px, true_px, schema).summary(schema)


def _largest(points_px: np.ndarray) -> np.ndarray:
    """(n,) index of each face's largest coordinate."""
    return points_px.reshape(len(points_px), -1).argmax(axis=1)


def _scale_to_96(true_px: np.ndarray) -> np.ndarray:
    """(n, 1, 1) factors that bring the longer side of each tight box to 96 pixels."""
    extent = np.nanmax(true_px, axis=1) - np.nanmin(true_px, axis=1)
    return 96 / extent.max(axis=1)[:, None, None]
