"""`python -m fkd bench data`: both sides read the same, and the report says against what it compares."""

import pytest

from fkd.bench.data import measure

pytestmark = pytest.mark.long


def test_both_baselines_are_reported():
    result = measure(40)
    for ratio, side in (("ratio", "textbook"), ("ratio_uint8", "textbook_uint8")):
        expected = result[side]["seconds"] / result["first_opening"]["seconds"]
        assert result[ratio] == pytest.approx(expected, abs=0.02, rel=0.05)
    assert result["second_opening"]["peak_mb"] > 0
    assert result["rows"] == 40
