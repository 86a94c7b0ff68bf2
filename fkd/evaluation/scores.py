"""How much scores are worth: whether a point's score ranks its error, and a face's tells faces from the rest.

Everything here is a count of pairs in the right order or a mean of what remains after dropping some, so
that only the order of scores matters and not their scale.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

DROPPED = 0.1  # share of the points that the headline drops


def ordered_share(low: np.ndarray, high: np.ndarray) -> float:
    """Share of the pairs of one score of each kind in which `low` is the lower; ties count half.

    It is the area under the ROC curve of telling (n,) `high` from (m,) `low` by a threshold (Mann and
    Whitney); NaN where either is empty.
    """
    if not len(low) or not len(high):
        return float("nan")
    return _ordered_pairs(low, high) / (len(low) * len(high))


def ordered_share_within(scores: np.ndarray, is_low: np.ndarray, is_high: np.ndarray) -> tuple[float, int]:
    """The same over the pairs within each picture only, and how many pairs there are.

    Args:
        scores: (n, k) of the points of n pictures.
        is_low: (n, k) bool: points that should score lower, such as covered ones.
        is_high: (n, k) bool: points that should score higher.
    """
    pairs = int((is_low.sum(axis=1) * is_high.sum(axis=1)).sum())
    ordered = sum(_ordered_pairs(s[a], s[b]) for s, a, b in zip(scores, is_low, is_high, strict=True))
    return (ordered / pairs if pairs else float("nan")), pairs


def _ordered_pairs(low: np.ndarray, high: np.ndarray) -> float:
    ascending = np.sort(low)
    below, up_to = (np.searchsorted(ascending, high, side) for side in ("left", "right"))
    return float((below + up_to).sum()) / 2


def mean_kept(errors: np.ndarray, goodness: np.ndarray, shares: Iterable[float]) -> np.ndarray:
    """Mean error of what remains when the least good shares of (n,) errors are dropped.

    Those of equal goodness are dropped in no order: each counts with their mean.
    """
    _, tied = np.unique(goodness, return_inverse=True)
    expected = (np.bincount(tied, errors) / np.bincount(tied))[tied]
    kept = expected[np.argsort(-goodness, kind="stable")].cumsum() / np.arange(1, len(errors) + 1)
    return np.array([kept[len(errors) - round(share * len(errors)) - 1] for share in shares])


def share_of_ideal_gain(errors: np.ndarray, scores: np.ndarray, dropped: float = DROPPED) -> float:
    """How far dropping the lowest scores lowers the mean of (n,) errors, as a share of dropping the truly worst.

    1 for scores that rank errors perfectly, about 0 for scores that know nothing, below for misleading ones.
    """
    by_score, ideal = (errors.mean() - mean_kept(errors, by, [dropped])[0] for by in (scores, -errors))
    return float(by_score / ideal) if ideal > 0 else float("nan")


def error_by_score(errors: np.ndarray, scores: np.ndarray, bins: int = 20) -> dict[str, list[float]]:
    """Median and ninth decile of the error at rising scores, in bins of equally many points.

    Returns:
        `score`: the median score of each bin; `median` and `p90`: of its errors, in their unit.
    """
    parts = np.array_split(np.argsort(scores, kind="stable"), bins)
    parts = [part for part in parts if len(part)]
    return {
        "score": [float(np.median(scores[part])) for part in parts],
        "median": [float(np.median(errors[part])) for part in parts],
        "p90": [float(np.quantile(errors[part], 0.9)) for part in parts],
    }
