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


def test_curves_that_lie_on_each_other_are_told_apart() -> None:
    """The chosen one is a wide line, and the others are dashes on it, each in its own colour whichever is chosen."""
    curve = np.minimum(100.0, 20 * CURVE_NME).tolist()
    colours = []
    for chosen in "abc":
        first, *others = cumulative_figure({"a": curve, "b": curve, "c": curve}, chosen).data
        assert (first.name, first.line.dash) == (chosen, "solid")
        assert all(other.line.width < first.line.width for other in others)
        assert len({first.line.dash, *(other.line.dash for other in others)}) == 3
        colours.append({line.name: line.line.color for line in (first, *others)})
    assert colours[0] == colours[1] == colours[2]
