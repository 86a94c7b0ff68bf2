"""Points of a live picture, kept in memory while they are recorded, as one CSV file.

    recording = Recording(schema)
    recording.add(time_s, faces, expressions)
    recording.csv_text()

One row for each face of each frame, so that a row says everything of a face at one time. A recording ends
by itself when it holds as many rows as it may.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from fkd.pipeline.expression import Expression, expression_columns
from fkd.pipeline.track import TrackedFace
from fkd.schema import Schema

MOST_ROWS = 30_000  # about 50 MB; some 16 minutes of one face at 30 frames a second


class Recording:
    """Rows of faces, bounded in number; may be read while another thread adds to it.

    Args:
        schema: which points the faces have.
        most_rows: at how many rows it ends by itself.
    """

    def __init__(self, schema: Schema, most_rows: int = MOST_ROWS) -> None:
        self.schema, self._most_rows = schema, most_rows
        self._rows: list[tuple[float, TrackedFace, Expression | None]] = []
        self._began_s: float | None = None
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken in."""
        return len(self) >= self._most_rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; expressions are told of faces with 68 points only."""
        points = (f"{name}_{part}" for name in self.schema.keypoints for part in ("x", "y", "score"))
        return ("time_s", "face", "score", *expression_columns(self.schema), *points)

    def add(self, time_s: float, faces: Sequence[TrackedFace], expressions: Mapping[int, Expression]) -> None:
        """Take in a frame.

        Args:
            time_s: of the frame; the file counts from the first one.
            faces: with points in pixels of the frame as the camera gave it, not mirrored.
            expressions: by the face's `id`.
        """
        if self._began_s is None:
            self._began_s = time_s
        if self.is_full:
            return
        self.seconds = time_s - self._began_s
        room = self._most_rows - len(self)
        self._rows += [(self.seconds, face, expressions.get(face.id)) for face in faces[:room]]

    def csv_text(self) -> str:
        """All rows so far as the text of a CSV file."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for time_s, face, expression in tuple(self._rows):
            told = expression.rounded().values() if expression else ()
            parts = zip(face.points_px.tolist(), face.point_scores.tolist(), strict=True)
            points = (value for (x, y), score in parts for value in (round(x, 3), round(y, 3), round(score, 4)))
            writer.writerow([round(time_s, 4), face.id, round(face.score, 4), *told, *points])
        return text.getvalue()
