"""How good predicted points are; every figure of a card and a table is made here."""

from __future__ import annotations

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


def argmax_accuracy(predicted_px: np.ndarray, true_px: np.ndarray) -> float:
    """Share of faces whose largest predicted coordinate is the largest true one; rows with gaps left out.

    It says little about points; one published student project calls it accuracy.
    """
    complete = np.isfinite(true_px).all(axis=(1, 2))
    largest = [points[complete].reshape(complete.sum(), -1).argmax(axis=1) for points in (predicted_px, true_px)]
    return float(np.mean(largest[0] == largest[1])) if complete.any() else float("nan")


def auc(face_errors: np.ndarray, limit: float = FAILURE) -> float:
    """Area under the cumulative error curve up to `limit`, as a share of the whole rectangle."""
    return float(np.mean(np.clip(1 - face_errors / limit, 0, 1)))


def summarise(predicted_px: np.ndarray, true_px: np.ndarray, schema: Schema) -> dict[str, Any]:
    """Every metric of a set of faces.

    Args:
        predicted_px: (n, k, 2) in any frame that keeps angles; RMSE alone depends on its scale.
        true_px: (n, k, 2), NaN for missing labels.
        schema: which points they are.

    Returns:
        Percentages `nme`, `nme_median`, `nme_p90`, `fr8`, `auc8`, `argmax_accuracy`; `rmse_px` (for 68
        points on a face scaled to 96 px); `nme_by_group` and `nme_by_keypoint`; the number of `faces`.
    """
    distances = eye_distances_px(true_px, schema)
    errors = point_errors_px(predicted_px, true_px) / distances[:, None]
    per_face = np.nanmean(errors[np.isfinite(distances)], axis=1)
    per_point = np.nanmean(errors, axis=0)
    scale = _scale_to_96(true_px) if schema.name == "ibug68" else 1.0
    percent = {
        "nme": per_face.mean(),
        "nme_median": np.median(per_face),
        "nme_p90": np.quantile(per_face, 0.9),
        "fr8": np.mean(per_face > FAILURE),
        "auc8": auc(per_face),
        "argmax_accuracy": argmax_accuracy(predicted_px, true_px),
    }
    return {
        "faces": len(true_px),
        **{name: round(100 * float(value), 3) for name, value in percent.items()},
        "rmse_px": round(rmse_px(predicted_px * scale, true_px * scale), 4),
        "nme_by_group": {g: round(100 * float(per_point[list(m)].mean()), 3) for g, m in schema.groups.items()},
        "nme_by_keypoint": {
            name: round(100 * float(e), 3) for name, e in zip(schema.keypoints, per_point, strict=True)
        },
    }


def _scale_to_96(true_px: np.ndarray) -> np.ndarray:
    """(n, 1, 1) factors that bring the longer side of each tight box to 96 pixels."""
    extent = np.nanmax(true_px, axis=1) - np.nanmin(true_px, axis=1)
    return 96 / extent.max(axis=1)[:, None, None]
