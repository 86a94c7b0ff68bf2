"""What a person notes about faces: flags for review and corrected points; the source is never changed."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from fkd.crop import invert, transform
from fkd.data.dataset import Dataset

COLUMNS = ("row", "source", "note", "keypoint", "x", "y")


@dataclass
class Notes:
    """Notes of one session about one dataset.

    Attributes:
        flags: rows to be reviewed.
        corrections: row to (k, 2) points in pixels of the dataset's pictures.
        resets: how often corrections were taken back; tables start anew with it.
    """

    flags: set[int] = field(default_factory=set)
    corrections: dict[int, np.ndarray] = field(default_factory=dict)
    resets: int = 0

    def points_px(self, faces: Dataset, row: int) -> np.ndarray:
        """(k, 2) points of a face, corrected where they have been."""
        return self.corrections.get(row, faces.points_px[row])

    def switch_flag(self, row: int) -> None:
        """Flag a face, or take the flag back."""
        self.flags ^= {row}

    def take_back(self, row: int) -> None:
        """Forget what was corrected of a face."""
        self.corrections.pop(row, None)
        self.resets += 1

    def correct(self, faces: Dataset, row: int, cells: dict[int, dict[str, float | None]]) -> None:
        """Move points to new places in pixels of the source's picture; None removes a label.

        Args:
            faces: the dataset.
            row: the face.
            cells: keypoint's index to its changed `x` and `y`.
        """
        points = in_source(faces, row, self.points_px(faces, row))
        for keypoint, values in cells.items():
            for axis, name in enumerate("xy"):
                if name in values:
                    value = values[name]
                    points[keypoint, axis] = np.nan if value is None else value
        back = invert(faces.to_source[row])
        self.corrections[row] = transform(points, back).astype(np.float32)


def notes_of(faces: Dataset) -> Notes:
    """What this session has noted about a dataset."""
    return st.session_state.setdefault(f"explore.notes.{faces.name}", Notes())


def in_source(faces: Dataset, row: int, points_px: np.ndarray) -> np.ndarray:
    """(k, 2) float64 points of a face in pixels of the source's picture."""
    return transform(points_px.astype(np.float64), faces.to_source[row])


def csv_text(faces: Dataset, notes: Notes) -> str:
    """One line for each flag, and one for each point that was moved, in pixels of the source's picture."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(notes.flags):
        writer.writerow((faces.rows[row], faces.sources[row], "flag", "", "", ""))
    for row, points_px in sorted(notes.corrections.items()):
        moved = ~np.isclose(points_px, faces.points_px[row], atol=1e-3, equal_nan=True).all(axis=1)
        points = in_source(faces, row, points_px)
        for keypoint in np.flatnonzero(moved):
            x, y = ("" if np.isnan(value) else f"{value:.3f}" for value in points[keypoint])
            writer.writerow((faces.rows[row], faces.sources[row], "point", faces.schema.keypoints[keypoint], x, y))
    return text.getvalue()
