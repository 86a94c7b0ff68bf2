"""Predicted faces as JSON lines, CSV or Parquet.

    with open_writer(Path("faces.csv"), schema) as writer:
        writer.write(PhotoFaces("a.jpg", 640, 480, faces))

JSON lines hold one photo each; CSV and Parquet are one long table with a row for each keypoint of
each face. A file appears under its name when it is complete, or not at all.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np

from fkd.errors import FkdError
from fkd.paths import written_aside
from fkd.pipeline.face import Face
from fkd.schema import Schema

COLUMNS = (
    *("image", "face", "x0", "y0", "x1", "y1", "score"),
    *("keypoint", "x", "y", "point_score"),
)
_ROWS_PER_GROUP = 50_000


@dataclass(frozen=True)
class PhotoFaces:
    """One photo's faces, or the sentence that says why it has none to offer."""

    image: str
    width: int = 0
    height: int = 0
    faces: tuple[Face, ...] = ()
    error: str | None = None


class Writer(Protocol):
    """Takes one photo after the other."""

    def write(self, photo: PhotoFaces) -> None:
        """Add a photo; in a table, one without faces adds nothing."""


def json_text(photo: PhotoFaces) -> str:
    """A photo as one line of JSON, without the line's end."""
    if photo.error is not None:
        return json.dumps({"image": photo.image, "error": photo.error}, ensure_ascii=False)
    faces = [
        {
            "box": _rounded(face.box_xyxy, 2),
            "score": round(face.score, 4),
            "points": [_rounded(point, 3) for point in face.points_px],
            "point_scores": _rounded(face.point_scores, 4),
        }
        for face in photo.faces
    ]
    record = {"image": photo.image, "width": photo.width, "height": photo.height, "faces": faces}
    return json.dumps(record, ensure_ascii=False)


def csv_text(photos: list[PhotoFaces], schema: Schema) -> str:
    """Photos as the text of a CSV file."""
    text = io.StringIO(newline="")
    writer = _CsvWriter(text, schema)
    for photo in photos:
        writer.write(photo)
    return text.getvalue()


@contextmanager
def open_writer(path: Path, schema: Schema) -> Iterator[Writer]:
    """A writer for the format that the name's ending asks for; the file appears when the block ends.

    Raises:
        FkdError: the ending is none of `.jsonl`, `.csv` and `.parquet`, or the place cannot be written to.
    """
    suffix = checked_suffix(path)
    with written_aside(path) as aside:
        if suffix == ".parquet":
            with _ParquetWriter(aside, schema) as writer:
                yield writer
        else:
            with aside.open("w", encoding="utf-8", newline="") as file:
                yield JsonLinesWriter(file) if suffix == ".jsonl" else _CsvWriter(file, schema)


def checked_suffix(path: Path) -> str:
    """The ending of a file of faces, in lower case; `FkdError` when it stands for no format."""
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".csv", ".parquet"):
        raise FkdError(f"{path} should end in .jsonl, .csv or .parquet, which says how faces are written.")
    return suffix


def table_rows(photo: PhotoFaces, schema: Schema) -> Iterator[tuple]:
    """The rows of a photo in the long table, in the order of `COLUMNS`; faces count from 0."""
    for number, face in enumerate(photo.faces):
        head = (photo.image, number, *_rounded(face.box_xyxy, 2), round(face.score, 4))
        for name, point, score in zip(schema.keypoints, face.points_px, face.point_scores, strict=True):
            yield (*head, name, *_rounded(point, 3), round(float(score), 4))


class JsonLinesWriter:
    """One line of JSON for each photo, written at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, photo: PhotoFaces) -> None:
        """Add a photo's line."""
        print(json_text(photo), file=self._file, flush=True)


class _CsvWriter:
    def __init__(self, file: TextIO, schema: Schema) -> None:
        self._table, self._schema = csv.writer(file, lineterminator="\n"), schema
        self._table.writerow(COLUMNS)

    def write(self, photo: PhotoFaces) -> None:
        self._table.writerows(table_rows(photo, self._schema))


class _ParquetWriter:
    def __init__(self, path: Path, schema: Schema) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = dict.fromkeys(COLUMNS, pa.float64()) | dict.fromkeys(("image", "keypoint"), pa.string())
        self._columns = pa.schema({**types, "face": pa.int32()})
        self._file, self._schema = pq.ParquetWriter(path, self._columns), schema
        self._rows: list[tuple] = []

    def __enter__(self) -> _ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def write(self, photo: PhotoFaces) -> None:
        self._rows += table_rows(photo, self._schema)
        if len(self._rows) >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            rows = [dict(zip(COLUMNS, row, strict=True)) for row in self._rows]
            self._file.write_table(pa.Table.from_pylist(rows, self._columns))
        self._rows = []


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
