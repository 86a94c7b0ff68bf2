"""The figures of the Models page: what is told where."""

from __future__ import annotations

import numpy as np

from fkd.evaluation.assessment import CURVE_NME
from fkd.metrics import FAILURE
from fkd.ui.models.figures import cumulative_figure


def test_the_word_failure_stands_below_the_curves() -> None:
    """Where an error counts as a failure, any curve worth showing is near the top."""
    curve = np.minimum(100.0, 20 * CURVE_NME).tolist()
    (told,) = cumulative_figure({"a": curve}, "a").layout.annotations
    assert (told.text, told.x, told.y, told.yanchor) == ("failure", 100 * FAILURE, 0, "bottom")
