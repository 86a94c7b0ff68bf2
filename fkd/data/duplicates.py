"""Clusters of pictures that are nearly the same, so that no split parts them."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np

from fkd.progress import steps

# Correlation of two shrunken faces above which they belong together. On Kaggle's faces copies of one
# photo lie above 0.99; between 0.90 and 0.95 are other takes of the same person in the same sitting,
# which would give a test away just as well.
SAME_SITTING = 0.92
_SIDE = 24
_LEADING = 64  # directions in which a sketch keeps a picture; they tell nearly all pairs apart
_SKETCHED_FROM = 4096  # pictures, evenly spread, that the directions are taken from
_ROUNDING = 1e-4  # by which sums of float32 may differ
_AT_ONCE = 512


def near_duplicate_clusters(images_u8: np.ndarray, threshold: float = SAME_SITTING) -> np.ndarray:
    """(n, h, w) uint8 to (n,) int64: the smallest row number of each row's cluster.

    Two rows belong together when their pictures, shrunk to 24x24 and standardised, correlate by more
    than `threshold`, or when a chain of such pairs links them.
    """
    flat = _standardised(images_u8)
    sketches = _sketch(flat)
    cluster = np.arange(len(flat))
    for start in steps("comparing faces", range(0, len(flat), _AT_ONCE)):
        # Those before have met these already.
        possible = sketches[start : start + _AT_ONCE] @ sketches[start:].T > threshold - _ROUNDING
        for row in start + np.flatnonzero(possible.sum(axis=1) > 1):
            others = start + np.flatnonzero(possible[row - start])
            others = others[cluster[others] != cluster[row]]
            alike = others[flat[others] @ flat[row] > threshold]
            if len(alike):
                joined = np.unique(cluster[[row, *alike]])
                cluster[np.isin(cluster, joined)] = joined[0]
    return cluster


def _sketch(flat: np.ndarray) -> np.ndarray:
    """(n, 65) float32, whose scalar products are never less than those of the (n, 576) `flat`.

    The leading directions as they are, and the length of the rest: two rests agree by at most the
    product of their lengths (Cauchy and Schwarz).
    """
    sample = flat[np.unique(np.linspace(0, len(flat) - 1, min(len(flat), _SKETCHED_FROM)).astype(int))]
    directions = np.linalg.eigh(sample.T @ sample)[1][:, -_LEADING:]
    leading = flat @ directions
    rest = np.sqrt(np.maximum((flat**2).sum(axis=1) - (leading**2).sum(axis=1), 0))
    return np.concatenate([leading, rest[:, None]], axis=1)


def most_alike(images_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of (n, h, w) pictures the row of the most similar other one, and their correlation.

    Returns:
        twins: (n,) int64, the row itself where there is no other.
        correlations: (n,) float32 of pictures shrunk to 24x24 and standardised; 0 where there is no other.
    """
    flat = _standardised(images_u8)
    n = len(flat)
    twins, correlations = np.arange(n), np.full(n, -np.inf, np.float32)
    for start in steps("looking for duplicates", range(0, n if n > 1 else 0, _AT_ONCE)):
        # Those before have met these already, and every meeting counts for both.
        alike = flat[start : start + _AT_ONCE] @ flat[start:].T
        np.fill_diagonal(alike, -np.inf)
        for rows, best in ((slice(start, start + len(alike)), 1), (slice(start, n), 0)):
            partners, values = alike.argmax(axis=best), alike.max(axis=best)
            better = values > correlations[rows]
            twins[rows][better], correlations[rows][better] = partners[better] + start, values[better]
    return twins, np.where(np.isfinite(correlations), correlations, 0)


def exact_copies(images_u8: np.ndarray) -> np.ndarray:
    """(n,) int64: how many other pictures are the same, pixel by pixel."""
    digests = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images_u8])
    _, which, counts = np.unique(digests, return_inverse=True, return_counts=True)
    return counts[which] - 1


def _standardised(images_u8: np.ndarray) -> np.ndarray:
    """(n, 576) float32 rows of zero mean and unit length."""
    small = np.stack([cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for image in images_u8])
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6
    return flat
