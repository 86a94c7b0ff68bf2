"""Points in a file of their own beside each picture, as the datasets of 300-W are published.

`image_0001.pts` beside `image_0001.png` holds the points of one face:

    version: 1
    n_points: 68
    {
    446.000 91.000
    ...
    }

Pixels are counted from 1 in it (Sagonas et al., "300 Faces in-the-Wild Challenge", 2013), and from 0 here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fkd.data.bad_rows import BadRow
from fkd.data.points68 import PointsTable, checked_points
from fkd.errors import FkdError
from fkd.images import SUFFIXES
from fkd.schema import IBUG68

SUFFIX = ".pts"


def read_pts_files(files: Sequence[Path], left_out: list[BadRow] | None = None) -> PointsTable:
    """The faces of files in one folder, in their order.

    Faces that cannot be used go to `left_out` where it is given.

    Raises:
        FkdError: no face can be used, or one cannot and `left_out` is None.
    """
    names, points, rows = [], [], []
    for row, file in enumerate(files):
        try:
            face = read_pts(file), _picture_beside(file)
        except ValueError as error:
            bad = BadRow.at(file.name, row, str(error))
            if left_out is None:
                raise bad.error() from None
            left_out.append(bad)
        else:
            points.append(face[0])
            names.append(face[1])
            rows.append(row)
    if not names:
        first = f"; the first: {left_out[0].reason}" if left_out else "."
        raise FkdError(f"{files[0].parent.name} has no face that can be used{first}")
    return PointsTable(names, np.stack(points), rows, [files[row].name for row in rows])


def read_pts(file: Path) -> np.ndarray:
    """(68, 2) float64 points in pixels of the picture, the first pixel's centre at 0; `ValueError` for other files."""
    try:
        written = re.search(r"\{([^{}]*)\}", file.read_text("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is no text") from None
    numbers = written[1].split() if written else []
    if len(numbers) != 2 * len(IBUG68):
        raise ValueError(f"has {len(numbers) / 2:g} points between braces; {len(IBUG68)} are needed")
    return checked_points(numbers) - 1


def _picture_beside(file: Path) -> str:
    for suffix in SUFFIXES:
        for picture in (file.with_suffix(suffix), file.with_suffix(suffix.upper())):
            if picture.is_file():
                return picture.name
    raise ValueError("has no picture of its name beside it")
