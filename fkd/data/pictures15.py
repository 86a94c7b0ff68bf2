"""A table of 15 points that names its pictures, made into Kaggle's layout, with faces cut out as the competition's."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

import numpy as np

from fkd.crop import cut, has_tight_box, invert, tight_boxes_from_points, transform
from fkd.data.bad_rows import BadRow
from fkd.data.kaggle import COORDINATES, KAGGLE_FRAME, LONGEST_LINE, SIDE, check_columns, open_csv, read_header
from fkd.data.points68 import PointsTable, checked_points, gather_rows
from fkd.errors import FkdError
from fkd.images import SUFFIXES, to_gray
from fkd.schema import KAGGLE15

HEADER = ",".join((*COORDINATES, "Image"))


def names_pictures(table: Path) -> bool:
    """Whether a cell of the first row of a table with a header is the name of a picture."""
    with open_csv(table) as (file, _):
        delimiter, _ = read_header(file)
        first = file.readline(LONGEST_LINE).decode("utf-8", "replace").split(delimiter)
    return any(_is_picture(cell) for cell in first)


def read_named_table(table: Path, left_out: list[BadRow] | None = None) -> PointsTable:
    """Read a table with Kaggle's 30 columns of coordinates, in pixels of the pictures that another column names.

    Args:
        table: commas, or semicolons and then decimal commas too.
        left_out: takes the rows that are no face.

    Raises:
        FkdError: not such a table, or a row that is no face and `left_out` is None.
    """
    with open_csv(table) as (file, _):
        delimiter, header = read_header(file)
        check_columns(header, COORDINATES, table)
        reader = csv.reader(io.TextIOWrapper(file, "utf-8", errors="replace", newline=""), delimiter=delimiter)
        lines = ((1 + reader.line_num, cells, delimiter == ";") for cells in reader if any(cells))
        return gather_rows(table, lines, partial(_face_of, header), left_out)


def row_of(image_rgb_u8: np.ndarray, points_px: np.ndarray) -> str:
    """A line of Kaggle's layout: (15, 2) points, and the 96 x 96 grey values round them.

    Raises:
        FkdError: the points are too few to tell where the face is.
    """
    points = points_px[None].astype(np.float64)
    if not has_tight_box(points, KAGGLE15).all():
        raise FkdError("lacks points that tell where the face is: outer brow ends and lower lip are needed")
    to_image = KAGGLE_FRAME.matrices(tight_boxes_from_points(points, KAGGLE15), SIDE)
    crop = cut(to_gray(image_rgb_u8), to_image[0], SIDE)
    coordinates = transform(points, invert(to_image)).ravel()
    written = ("" if np.isnan(value) else f"{value:.3f}" for value in coordinates)
    return ",".join((*written, " ".join(map(str, crop.ravel().tolist()))))


def _face_of(header: list[str], cells: list[str], comma: bool) -> tuple[str, np.ndarray]:
    """The picture and (15, 2) points of one row; `ValueError` says why it is no face."""
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} columns instead of {len(header)}")
    name = next((cell.strip() for cell in cells if _is_picture(cell)), None)
    if name is None:
        raise ValueError("no picture is named")
    return name, checked_points([cells[header.index(column)] for column in COORDINATES], comma)


def _is_picture(cell: str) -> bool:
    return Path(cell.strip().strip('"')).suffix.lower() in SUFFIXES
