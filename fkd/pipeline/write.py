"""Predicted faces as JSON lines, CSV or Parquet.

    with open_writer(Path("faces.csv"), schema) as writer:
        writer.write(PhotoFaces("a.jpg", 640, 480, faces))

JSON lines hold one photo, or one frame of a video, each; CSV and Parquet are one long table with a row
for each keypoint of each face. A file appears under its name when it is complete, or not at all.

Columns mean the same for photos and videos: `face` counts from 1, in a photo from left to right or in the
order of the given boxes, in a video for as long as a face is followed; `x0, y0, x1, y1` is the tight box round
its points, in a video before they are held steady, or the box that was given; `score` is the face's and
`point_score` the keypoint's; `x, y` are pixels of the upright picture. Videos with 68 points also tell the
fields of `Expression` of each face, in a table the same in each of its rows.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

import numpy as np

from fkd.errors import FkdError
from fkd.paths import written_aside
from fkd.pipeline.expression import Expression, expression_columns
from fkd.pipeline.face import Face
from fkd.pipeline.track import TrackedFace
from fkd.schema import Schema

COLUMNS = (
    *("image", "face", "x0", "y0", "x1", "y1", "score"),
    *("keypoint", "x", "y", "point_score"),
)
_ROWS_PER_GROUP = 50_000


@dataclass(frozen=True)
class PhotoFaces:
    """One photo's faces, or one frame's of a video; or the sentence that says why a file has none to offer.

    Attributes:
        image: what the photo or video is called.
        width, height: of the upright picture.
        faces: those of a video are `TrackedFace`s, whose numbers are written too.
        error: why the file could not be read.
        frame: of a video, counted from 0; None for a photo.
        time_s: when that frame is shown.
        expressions: of a video's faces, by their `id`, where they were read.
    """

    image: str
    width: int = 0
    height: int = 0
    faces: tuple[Face, ...] = ()
    error: str | None = None
    frame: int | None = None
    time_s: float | None = None
    expressions: Mapping[int, Expression] = field(default_factory=dict)


def video_columns(schema: Schema) -> tuple[str, ...]:
    """Columns of a table that frames of videos are in."""
    return (COLUMNS[0], "frame", "time_s", *COLUMNS[1:], *expression_columns(schema))


class Writer(Protocol):
    """Takes one photo after the other."""

    def write(self, photo: PhotoFaces) -> None:
        """Add a photo; in a table, one without faces adds nothing."""


def json_text(photo: PhotoFaces) -> str:
    """A photo as one line of JSON, without the line's end."""
    if photo.error is not None:
        return json.dumps({"image": photo.image, "error": photo.error}, ensure_ascii=False)
    faces = [
        ({"id": face.id} if isinstance(face, TrackedFace) else {})
        | {
            "box": _rounded(face.box_xyxy, 2),
            "score": round(face.score, 4),
            "points": [_rounded(point, 3) for point in face.points_px],
            "point_scores": _rounded(face.point_scores, 4),
        }
        | _expression(photo, face)
        for face in photo.faces
    ]
    place = {} if photo.frame is None else {"frame": photo.frame, "time_s": photo.time_s}
    record = {"image": photo.image, **place, "width": photo.width, "height": photo.height, "faces": faces}
    return json.dumps(record, ensure_ascii=False)


def csv_text(photos: list[PhotoFaces], schema: Schema) -> str:
    """Photos as the text of a CSV file."""
    text = io.StringIO(newline="")
    writer = _CsvWriter(text, schema)
    for photo in photos:
        writer.write(photo)
    return text.getvalue()


@contextmanager
def open_writer(path: Path, schema: Schema, columns: tuple[str, ...] = COLUMNS) -> Iterator[Writer]:
    """A writer for the format that the name's ending asks for; the file appears when the block ends.

    Args:
        path: where to.
        schema: which points the faces have.
        columns: of a table: `COLUMNS`, or `video_columns` where frames of videos are among what is written.

    Raises:
        FkdError: the ending is none of `.jsonl`, `.csv` and `.parquet`.
        UnwritableError: the place cannot be written to.
    """
    suffix = checked_suffix(path)
    with written_aside(path) as aside:
        if suffix == ".parquet":
            with _ParquetWriter(aside, schema, columns) as writer:
                yield writer
        else:
            with aside.open("w", encoding="utf-8", newline="") as file:
                yield JsonLinesWriter(file) if suffix == ".jsonl" else _CsvWriter(file, schema, columns)


def checked_suffix(path: Path) -> str:
    """The ending of a file of faces, in lower case; `FkdError` when it stands for no format."""
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".csv", ".parquet"):
        raise FkdError(f"{path} should end in .jsonl, .csv or .parquet, which says how faces are written.")
    return suffix


def table_rows(photo: PhotoFaces, schema: Schema, columns: tuple[str, ...] = COLUMNS) -> Iterator[tuple]:
    """The rows of a photo or frame in the long table; faces count from 1, those of a video have numbers."""
    place = (photo.image, photo.frame, photo.time_s) if "frame" in columns else (photo.image,)
    told_names = [name for name in expression_columns(schema) if name in columns]
    for place_in_photo, face in enumerate(photo.faces, start=1):
        number = face.id if isinstance(face, TrackedFace) else place_in_photo
        head = (*place, number, *_rounded(face.box_xyxy, 2), round(face.score, 4))
        expression = _expression(photo, face)
        tail = [expression.get(name) for name in told_names]
        for name, point, score in zip(schema.keypoints, face.points_px, face.point_scores, strict=True):
            yield (*head, name, *_rounded(point, 3), round(float(score), 4), *tail)


class JsonLinesWriter:
    """One line of JSON for each photo, written at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, photo: PhotoFaces) -> None:
        """Add a photo's line."""
        print(json_text(photo), file=self._file, flush=True)


class _CsvWriter:
    def __init__(self, file: TextIO, schema: Schema, columns: tuple[str, ...] = COLUMNS) -> None:
        self._table, self._schema, self._columns = csv.writer(file, lineterminator="\n"), schema, columns
        self._table.writerow(columns)

    def write(self, photo: PhotoFaces) -> None:
        self._table.writerows(table_rows(photo, self._schema, self._columns))


class _ParquetWriter:
    def __init__(self, path: Path, schema: Schema, columns: tuple[str, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = dict.fromkeys(columns, pa.float64()) | dict.fromkeys(("image", "keypoint"), pa.string())
        whole = {name: pa.int32() for name in ("frame", "face", "blinks") if name in columns}
        self._columns, self._types = columns, pa.schema({**types, **whole})
        self._file, self._schema = pq.ParquetWriter(path, self._types), schema
        self._rows: list[tuple] = []

    def __enter__(self) -> _ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._file.close()

    def write(self, photo: PhotoFaces) -> None:
        self._rows += table_rows(photo, self._schema, self._columns)
        if len(self._rows) >= _ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            values = zip(*self._rows, strict=True)
            arrays = [pa.array(column, of_type) for column, of_type in zip(values, self._types.types, strict=True)]
            self._file.write_table(pa.Table.from_arrays(arrays, schema=self._types))
        self._rows = []


def _expression(photo: PhotoFaces, face: Face) -> dict[str, float]:
    read = photo.expressions.get(face.id) if isinstance(face, TrackedFace) else None
    return read.rounded() if read else {}


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
