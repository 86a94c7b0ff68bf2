"""Splits by group: a person, or a cluster of near-duplicates, is never parted."""

from __future__ import annotations

import hashlib

import numpy as np

from fkd.data.dataset import Dataset

FOLDS = 5


def fold_of(groups: np.ndarray) -> np.ndarray:
    """(n,) group names to (n,) fold numbers 0 to 4.

    A fold follows from the name alone, so it stays the same when datasets are joined or grow.
    """
    names, inverse = np.unique(groups, return_inverse=True)
    return np.array([_hash(f"fold:{name}") % FOLDS for name in names])[inverse]


def split(dataset: Dataset, fold: int | None, validation_share: float) -> dict[str, np.ndarray]:
    """Boolean masks `train`, `validation` and `test` over the rows.

    Args:
        dataset: rows with their groups.
        fold: the fold held out as test; None trains on everything and has an empty test.
        validation_share: share of the other groups, drawn by name, that training watches.
    """
    test = fold_of(dataset.groups) == fold if fold is not None else np.zeros(len(dataset), bool)
    names, inverse = np.unique(dataset.groups, return_inverse=True)
    drawn = np.array([_hash(f"validation:{name}") % 10_000 < 10_000 * validation_share for name in names])[inverse]
    return {"train": ~test & ~drawn, "validation": ~test & drawn, "test": test}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
