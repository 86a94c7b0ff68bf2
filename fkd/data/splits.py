"""Splits by group (a person, or a cluster of near-duplicates, is never parted), at random, or as published."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np

from fkd.data.dataset import Dataset
from fkd.errors import FkdError

FOLDS = 5
BY_FOLD = "fold"
SPLIT_WAYS = ("group", "random", "files")
SPLITS = (BY_FOLD, *SPLIT_WAYS)


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
    place = np.array([_hash(f"validation:{name}") % 10_000 for name in names])[inverse] / 10_000
    validation = _drawn(place, ~test, validation_share)
    return {"train": ~test & ~validation, "validation": validation, "test": test}


def _drawn(place: np.ndarray, free: np.ndarray, share: float) -> np.ndarray:
    """(n,) bool: the free rows whose places are among the first; of few groups one, where any are asked for."""
    drawn = free & (place < share)
    if share and not drawn.any() and len(np.unique(place[free])) > 1:
        return free & (place == place[free].min())
    return drawn


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def make_split(
    dataset: Dataset,
    way: str = "group",
    *,
    test_share: float = 0.2,
    validation_share: float = 0.05,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Boolean masks `train`, `validation` and `test`, with complete and incomplete rows in like shares.

    Args:
        dataset: rows with their groups and the files they were published in.
        way: `group` never parts a person or a cluster of near-duplicates; `random` draws rows; `files`
            takes the published test file and draws validation groups from the others.
        test_share: share of the rows for testing; `files` takes what was published.
        validation_share: share of the rows for watching.
        seed: the same seed gives the same split.

    Raises:
        FkdError: an unknown way, or `files` where no test file was published.
    """
    if way not in SPLIT_WAYS:
        raise FkdError(f"Unknown way of splitting {way!r}; known are {', '.join(SPLIT_WAYS)}.")
    published = dataset.published_split == "test"
    if way == "files" and not published.any():
        raise FkdError(f"{dataset.name} was published without a test file; split it by group or at random.")
    units = np.arange(len(dataset)) if way == "random" else dataset.groups
    place = _place_in_order(units, dataset.complete, seed)
    test = published if way == "files" else place < test_share
    first = 0.0 if way == "files" else test_share
    validation = _drawn(place - first, ~test, validation_share)
    return {"train": ~test & ~validation, "validation": validation, "test": test}


def _place_in_order(units: np.ndarray, complete: np.ndarray, seed: int) -> np.ndarray:
    """(n,) places in [0, 1): units shuffled within strata of completeness, by the rows before them."""
    _, unit = np.unique(units, return_inverse=True)
    sizes = np.bincount(unit)
    is_complete = np.bincount(unit, weights=complete) >= sizes / 2
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    place = np.empty(len(sizes))
    for stratum in (True, False):
        members = shuffled[is_complete[shuffled] == stratum]
        rows = sizes[members]
        place[members] = (np.cumsum(rows) - rows / 2) / max(rows.sum(), 1)
    return place[unit]


def shared_groups(groups: np.ndarray, parts: dict[str, np.ndarray]) -> dict[tuple[str, str], list[str]]:
    """For each pair of split names, the groups that are in both; what a sound split leaves empty."""
    members = {name: set(groups[mask].tolist()) for name, mask in parts.items()}
    return {(a, b): sorted(members[a] & members[b]) for a, b in combinations(members, 2)}


def published_parts(dataset: Dataset) -> dict[str, np.ndarray]:
    """Masks over the rows, one for each file they were published in."""
    return {str(name): dataset.published_split == name for name in np.unique(dataset.published_split)}
