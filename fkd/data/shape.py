"""Faces as shapes: aligned by similarity, and how well each point agrees with the others.

The mean shape and the covariance of its points are estimated from the dataset itself, in rounds that
leave the most unusual faces out (a trimmed Gaussian; Cootes' point distribution model without its
cut in dimensions). A point is then judged by what the other points of its face say about it, so that
one wrong point is seen even where the face as a whole is ordinary.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

_ALIGNMENT_ROUNDS = 4
_FITTING_ROUNDS = 3
_FEWEST_IN_STRATUM = 20
_KEPT = 0.95  # share of the faces that each round of fitting keeps
_FEW_ROWS = 3  # for each column, for which a covariance is half of what was measured
_RIDGE = 1e-3  # of the mean variance, added to each: labels are never exact
_LEAST_VARIANCE = 1e-12  # so that faces that are all the same can be compared too


@dataclass(frozen=True)
class ShapeScores:
    """What shape alone says about n faces of k points.

    Attributes:
        aligned: (n, k, 2) points brought onto the mean shape by a similarity, in lengths of its RMS radius.
        mean: (k, 2) the mean shape, centred.
        to_mean: (n, 2, 3) the similarities from the picture's pixels; NaN with fewer than two labels.
        point_scores: (n, k) and face_scores: (n,) as `judge` gives them.
    """

    aligned: np.ndarray
    mean: np.ndarray
    to_mean: np.ndarray
    point_scores: np.ndarray
    face_scores: np.ndarray


def similarity(points: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(n, 2, 3) similarities that bring (n, k, 2) points closest to (k, 2) or (n, k, 2) targets.

    Missing points are left out; with fewer than two the result is NaN. `weights` are (n, k).
    """
    here, there = _complex(points), _complex(np.broadcast_to(target, points.shape))
    w = np.where(np.isfinite(here) & np.isfinite(there), 1.0 if weights is None else weights, 0.0)
    here, there = np.nan_to_num(here), np.nan_to_num(there)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = w.sum(axis=1, keepdims=True)
        centre, goal = (w * here).sum(axis=1, keepdims=True) / total, (w * there).sum(axis=1, keepdims=True) / total
        spread = (w * np.abs(here - centre) ** 2).sum(axis=1)
        turn = (w * np.conj(here - centre) * (there - goal)).sum(axis=1) / np.where(spread > 0, spread, np.nan)
    shift = goal[:, 0] - turn * centre[:, 0]
    linear = np.stack([np.stack([turn.real, -turn.imag], -1), np.stack([turn.imag, turn.real], -1)], -2)
    return np.concatenate([linear, np.stack([shift.real, shift.imag], -1)[..., None]], axis=-1)


def score_shapes(points_px: np.ndarray) -> ShapeScores:
    """Compare (n, k, 2) shapes with each other; NaN is a missing label."""
    aligned, mean, to_mean = _align_all(points_px.astype(np.float64))
    return ShapeScores(aligned, mean, to_mean, *judge(aligned - mean))


def judge(deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How unusual n faces are whose points deviate by (n, k, 2) from what was expected of them.

    Faces with gaps are compared among themselves where there are enough: other people may have
    labelled them, by other habits.

    Returns:
        point_scores: (n, k) distance of each point from where the others of its face put it, NaN where a
            label is missing; 1 is the median over faces of the worst point.
        face_scores: (n,) distance of the whole face; 1 is the median. NaN without labels.
    """
    whole = np.isfinite(deviations).all(axis=2, keepdims=True)  # half a place is no label
    flat = np.where(whole, deviations, np.nan).reshape(len(deviations), -1).astype(np.float64)
    strata = _strata(flat)
    for stratum in strata:
        flat[stratum] -= np.nan_to_num(_nanmedian(flat[stratum]))
    centre, covariance = _trimmed_gaussian(flat)
    point_scores, face_scores = _distances(flat - centre, covariance)
    for stratum in strata:
        worst = np.nan_to_num(point_scores[stratum]).max(axis=1)
        point_scores[stratum] /= max(float(np.median(worst)), 1e-9)
        face_scores[stratum] /= max(float(np.nanmedian(face_scores[stratum])), 1e-9)
    return point_scores, face_scores


def _strata(flat: np.ndarray) -> list[np.ndarray]:
    """Masks of the faces with every label and of those with gaps; one of all where either is few."""
    complete, labelled = np.isfinite(flat).all(axis=1), np.isfinite(flat).any(axis=1)
    parts = [complete, ~complete & labelled]
    return parts if min(part.sum() for part in parts) >= _FEWEST_IN_STRATUM else [labelled]


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over rows; NaN without a warning where a column is empty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(values, axis=0)


def _complex(points: np.ndarray) -> np.ndarray:
    return points[..., 0] + 1j * points[..., 1]


def _align_all(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Generalised Procrustes analysis whose weights fall where a point is far from the mean's."""
    present = np.isfinite(points).all(axis=2, keepdims=True)
    centres = np.where(present, points, 0).sum(axis=1, keepdims=True) / np.maximum(
        present.sum(axis=1, keepdims=True), 1
    )
    # A few points have another centre than all; the mean begins with the fullest faces.
    fullest = present.sum(axis=(1, 2)) == present.sum(axis=(1, 2)).max()
    mean = _unit(np.nan_to_num(_nanmedian((points - centres)[fullest])))
    weights = np.ones(points.shape[:2])
    for _ in range(_ALIGNMENT_ROUNDS):
        to_mean = similarity(points, mean, weights)
        aligned = _apply(to_mean, points)
        residuals = np.linalg.norm(aligned - mean, axis=-1)
        typical = np.nanmedian(residuals)
        weights = np.nan_to_num(np.minimum(1.0, 2 * typical / np.maximum(residuals, 1e-9)))
        seen = _nanmedian(aligned)
        mean = _unit(np.where(np.isfinite(seen), seen, mean))
    return aligned, mean, to_mean


def _unit(shape: np.ndarray) -> np.ndarray:
    shape = shape - shape.mean(axis=0)
    return shape / np.sqrt((shape**2).sum(axis=1).mean())


def _apply(matrices: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ np.swapaxes(matrices[:, :, :2], 1, 2) + matrices[:, None, :, 2]


def _trimmed_gaussian(deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of (n, d) rows; gaps are filled with what the rest of the row predicts."""
    # Many faces that are wrong in the same way would hide each other, so the first round goes by mere distance.
    present = np.isfinite(deviations)
    far = np.nansum(deviations**2, axis=1) / np.maximum(present.sum(axis=1), 1)
    kept = present.any(axis=1) & (far <= np.quantile(far[present.any(axis=1)], _KEPT))
    filled = np.where(present, deviations, np.nan_to_num(_nanmedian(deviations[kept])))
    for _ in range(_FITTING_ROUNDS):
        centre = filled[kept].mean(axis=0)
        covariance = _regularised(_shrunk(np.cov(filled[kept], rowvar=False), int(kept.sum())))
        filled = centre + _complete(np.where(present, deviations - centre, np.nan), covariance)
        distances = ((filled - centre) @ np.linalg.inv(covariance) * (filled - centre)).sum(axis=1)
        kept = present.any(axis=1) & (distances <= np.quantile(distances, _KEPT))
    return centre, covariance


def _shrunk(covariance: np.ndarray, n: int) -> np.ndarray:
    """A covariance of n rows as far towards one that is alike in all directions as so few can tell no better.

    Of fewer rows than columns the empirical one says that no other row is possible, however slightly it differs.
    """
    share = 1 / (1 + (n / (_FEW_ROWS * len(covariance))) ** 2)
    return (1 - share) * covariance + share * float(np.trace(covariance)) / len(covariance) * np.eye(len(covariance))


def _regularised(covariance: np.ndarray) -> np.ndarray:
    ridge = max(_RIDGE * float(np.trace(covariance)) / len(covariance), _LEAST_VARIANCE)
    return covariance + ridge * np.eye(len(covariance))


def _patterns(present: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each pattern of present columns, with the rows that show it."""
    patterns, which = np.unique(present, axis=0, return_inverse=True)
    return [(pattern, np.flatnonzero(which.ravel() == i)) for i, pattern in enumerate(patterns)]


def _complete(deviations: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Fill the gaps of (n, d) rows with their expectation given the rest."""
    filled = np.nan_to_num(deviations)
    for pattern, rows in _patterns(np.isfinite(deviations)):
        if pattern.any() and not pattern.all():
            known = np.linalg.solve(covariance[np.ix_(pattern, pattern)], covariance[np.ix_(pattern, ~pattern)])
            filled[np.ix_(rows, ~pattern)] = deviations[np.ix_(rows, pattern)] @ known
    return filled


def _distances(deviations: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) conditional distances of points and (n,) distances of faces, in standard deviations."""
    point_scores = np.full((len(deviations), deviations.shape[1] // 2), np.nan)
    face_scores = np.full(len(deviations), np.nan)
    for pattern, rows in _patterns(np.isfinite(deviations)):
        if not pattern.any():
            continue
        precision = np.linalg.inv(covariance[np.ix_(pattern, pattern)])
        here = deviations[np.ix_(rows, pattern)]
        pulled = here @ precision  # (rows, d); blocks of two belong to one point
        face_scores[rows] = np.sqrt((pulled * here).sum(axis=1) / pattern.sum())
        blocks = precision.reshape(len(precision) // 2, 2, -1, 2)
        own = np.linalg.inv(np.einsum("iaib->iab", blocks))
        pulled = pulled.reshape(len(rows), -1, 2)
        # The conditional residual is own @ pulled and its covariance is own.
        squared = np.einsum("nia,iab,nib->ni", pulled, own, pulled)
        point_scores[np.ix_(rows, pattern[::2])] = np.sqrt(squared / 2)
    return point_scores, face_scores
