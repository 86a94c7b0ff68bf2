"""What scores are worth, with answers that were planted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fkd.evaluation.scores import error_by_score, mean_kept, ordered_share, ordered_share_within, share_of_ideal_gain

ERRORS = np.random.default_rng(0).permutation(np.arange(1.0, 101))


def test_scores_that_rank_errors_gain_everything_and_their_opposite_nothing() -> None:
    assert share_of_ideal_gain(ERRORS, -ERRORS) == pytest.approx(1)
    assert share_of_ideal_gain(ERRORS, 1 / ERRORS) == pytest.approx(1)  # the order alone counts
    # Dropping the best tenth raises the mean as far as dropping the worst tenth lowers it.
    assert share_of_ideal_gain(ERRORS, ERRORS) == pytest.approx(-1)


def test_a_score_that_knows_half_of_the_worst_gains_its_share() -> None:
    """Of ten errors of 11 among ninety of 1, five have the lowest scores, and five others of 1 go with them."""
    errors = np.array([11.0] * 10 + [1.0] * 90)
    scores = np.array([0.0] * 5 + [1.0] * 5 + [0.1] * 5 + [1.0] * 85)
    assert share_of_ideal_gain(errors, scores) == pytest.approx((2 - (5 * 11 + 85) / 90) / (2 - 1))


def test_equal_scores_gain_nothing_in_whatever_order_they_come() -> None:
    for errors in (ERRORS, np.sort(ERRORS), np.sort(ERRORS)[::-1]):
        assert share_of_ideal_gain(errors, np.ones(100)) == pytest.approx(0, abs=1e-9)


def test_the_mean_of_what_is_kept() -> None:
    kept = mean_kept(np.array([4.0, 1.0, 2.0, 3.0]), np.array([0.1, 0.9, 0.8, 0.2]), [0, 0.25, 0.5])
    np.testing.assert_allclose(kept, [2.5, 2.0, 1.5])


def test_pairs_in_order_are_counted_and_ties_count_half() -> None:
    assert ordered_share(np.array([0.1, 0.2]), np.array([0.3, 0.9])) == 1
    assert ordered_share(np.array([0.3, 0.9]), np.array([0.1, 0.2])) == 0
    assert ordered_share(np.array([0.5]), np.array([0.5, 0.4, 0.6, 0.7])) == pytest.approx(2.5 / 4)
    assert np.isnan(ordered_share(np.array([]), np.array([1.0])))


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=20),
    st.lists(st.integers(0, 9), min_size=1, max_size=20),
)
def test_the_share_is_what_comparing_every_pair_gives(low: list[int], high: list[int]) -> None:
    a, b = np.array(low)[:, None], np.array(high)[None]
    assert ordered_share(np.array(low), np.array(high)) == pytest.approx(np.mean((a < b) + 0.5 * (a == b)))


def test_pairs_are_of_one_picture_only() -> None:
    """In each picture the covered point is the lower one; across the two pictures it is not."""
    scores = np.array([[0.1, 0.2, 0.9], [0.6, 0.9, 0.5]])
    covered = np.array([[True, False, False], [True, False, False]])
    visible = np.array([[False, True, True], [False, True, False]])
    assert ordered_share_within(scores, covered, visible) == (1.0, 3)
    assert ordered_share(scores[covered], scores[visible]) < 1
    assert ordered_share_within(scores, visible, covered) == (0.0, 3)
    share, pairs = ordered_share_within(scores, np.zeros_like(covered), visible)
    assert np.isnan(share) and pairs == 0


def test_error_falls_along_the_bins_of_a_good_score() -> None:
    bins = error_by_score(ERRORS, -ERRORS, bins=10)
    assert bins["score"] == sorted(bins["score"]) and len(bins["score"]) == 10
    assert bins["median"] == pytest.approx([95.5 - 10 * i for i in range(10)])
    assert all(p90 > median for p90, median in zip(bins["p90"], bins["median"], strict=True))
