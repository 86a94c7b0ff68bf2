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


def near_duplicate_clusters(images_u8: np.ndarray, threshold: float = SAME_SITTING) -> np.ndarray:
    """(n, h, w) uint8 to (n,) int64: the smallest row number of each row's cluster.

    Two rows belong together when their pictures, shrunk to 24x24 and standardised, correlate by more
    than `threshold`, or when a chain of such pairs links them.
    """
    flat = _standardised(images_u8)
    parent = np.arange(len(flat))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for start in steps("comparing faces", range(0, len(flat), 1024)):
        alike = flat[start : start + 1024] @ flat[start:].T > threshold  # those before have met these already
        for a, b in np.argwhere(alike):
            first, second = sorted((root(start + a), root(start + b)))
            parent[second] = first
    return np.array([root(i) for i in range(len(flat))])


def most_alike(images_u8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of (n, h, w) pictures the row of the most similar other one, and their correlation.

    Returns:
        twins: (n,) int64, the row itself where there is no other.
        correlations: (n,) float32 of pictures shrunk to 24x24 and standardised; 0 where there is no other.
    """
    flat = _standardised(images_u8)
    twins, correlations = np.arange(len(flat)), np.zeros(len(flat), np.float32)
    for start in steps("looking for duplicates", range(0, len(flat) if len(flat) > 1 else 0, 1024)):
        alike = flat[start : start + 1024] @ flat.T
        own = np.arange(len(alike))
        alike[own, start + own] = -np.inf
        twins[start : start + 1024] = alike.argmax(axis=1)
        correlations[start : start + 1024] = alike.max(axis=1)
    return twins, correlations


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
