"""Rows of a table that are no faces: which they are, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fkd.errors import FkdError


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        row: its number among the rows; the first after the header is 0.
        reason: a sentence with the place to look at.
    """

    row: int
    reason: str

    @classmethod
    def at(cls, place: str, row: int, fault: str) -> BadRow:
        """The row at a place that the user can open, such as a file or a line of it."""
        return cls(row, f"{place}: {fault.removesuffix('.')}.")

    def error(self) -> FkdError:
        """What is said where a bad row is not left out."""
        return FkdError(
            f"{self.reason.removesuffix('.')}; mend it, or import the file with bad rows left out "
            "(--bad-rows skip on the command line)."
        )


def line_of(table: Path, line: int) -> str:
    """A line of a table as an editor counts it, the header being line 1."""
    return f"{table.name}, line {line}"


def far_outside(points_px: np.ndarray, width: int, height: int) -> str:
    """What is wrong with (k, 2) points of which one is over a picture's side away from the picture; else empty."""
    size = np.array([width, height])
    far = ((points_px < -size) | (points_px > 2 * size)).any(axis=1)
    if not far.any():
        return ""
    x, y = points_px[far][0]
    return f"a point is at {x:.6g}, {y:.6g}, far outside its picture of {width} x {height} pixels"
