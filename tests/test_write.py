"""Predicted faces as files: what they hold, and that they are whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fkd.errors import FkdError
from fkd.pipeline.expression import ExpressionReader
from fkd.pipeline.face import Face
from fkd.pipeline.track import TrackedFace
from fkd.pipeline.write import COLUMNS, PhotoFaces, csv_text, json_text, open_writer, video_columns
from fkd.schema import IBUG68, KAGGLE15


def make_face(offset: float) -> Face:
    points = np.arange(30, dtype=np.float32).reshape(15, 2) + offset
    box = np.array([offset, 1, 40, 50.126], np.float32)
    return Face(box, 0.87654321, points, np.linspace(0, 1, 15, dtype=np.float32))


PHOTOS = [
    PhotoFaces("groß/two.jpg", 640, 480, (make_face(0.25), make_face(0.5))),
    PhotoFaces("none.jpg", 10, 20),
    PhotoFaces("torn.jpg", error="torn.jpg is damaged; copy it again."),
]


def test_a_line_of_json_is_as_agreed() -> None:
    record = json.loads(json_text(PHOTOS[0]))
    assert list(record) == ["image", "width", "height", "faces"]
    assert (record["image"], record["width"], record["height"]) == ("groß/two.jpg", 640, 480)
    face = record["faces"][0]
    assert list(face) == ["box", "score", "points", "point_scores"]
    assert face["box"] == [0.25, 1, 40, 50.13]
    assert face["score"] == 0.8765
    assert np.shape(face["points"]) == (15, 2)
    assert face["points"][1] == [2.25, 3.25]
    assert np.shape(face["point_scores"]) == (15,)
    assert json.loads(json_text(PHOTOS[1])) == {"image": "none.jpg", "width": 10, "height": 20, "faces": []}


def test_an_unreadable_photo_has_an_error_and_no_faces() -> None:
    assert json.loads(json_text(PHOTOS[2])) == {"image": "torn.jpg", "error": "torn.jpg is damaged; copy it again."}


@pytest.mark.parametrize("ending", ["csv", "parquet", "CSV"])
def test_tables_have_a_row_for_each_point_of_each_face(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"faces.{ending}"
    with open_writer(path, KAGGLE15) as writer:
        for photo in PHOTOS:
            writer.write(photo)
    table = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * 15
    assert table["face"].tolist() == [1] * 15 + [2] * 15
    assert table["keypoint"].tolist() == list(KAGGLE15.keypoints) * 2
    second = table.iloc[16]
    assert (second["image"], second["x0"], second["x"], second["y"]) == ("groß/two.jpg", 0.5, 2.5, 3.5)
    assert second["point_score"] == pytest.approx(1 / 14, abs=1e-4)


def test_json_lines_and_csv_hold_what_their_texts_hold(tmp_path: Path) -> None:
    for name, text in (
        ("a.jsonl", "".join(json_text(photo) + "\n" for photo in PHOTOS)),
        ("a.csv", csv_text(PHOTOS, KAGGLE15)),
    ):
        with open_writer(tmp_path / "new" / name, KAGGLE15) as writer:
            for photo in PHOTOS:
                writer.write(photo)
        assert (tmp_path / "new" / name).read_bytes() == text.encode()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_an_interrupted_file_leaves_the_old_one_and_no_crumbs(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"faces.{ending}"
    path.write_text("the old file")
    with pytest.raises(KeyboardInterrupt), open_writer(path, KAGGLE15) as writer:
        writer.write(PHOTOS[0])
        raise KeyboardInterrupt
    assert path.read_text() == "the old file"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_table_of_many_photos_is_written_in_groups(tmp_path: Path) -> None:
    path = tmp_path / "faces.parquet"
    crowd = PhotoFaces("crowd.jpg", 1, 1, tuple(make_face(0) for _ in range(500)))
    with open_writer(path, KAGGLE15) as writer:
        for _ in range(8):
            writer.write(crowd)
    assert len(pd.read_parquet(path, columns=["x"])) == 8 * 500 * 15


def test_whole_numbers_of_a_video_stay_whole_in_parquet(tmp_path: Path) -> None:
    path, columns = tmp_path / "clip.parquet", video_columns(IBUG68)
    points = np.arange(136, dtype=np.float32).reshape(68, 2)
    face = TrackedFace(np.array([0, 1, 40, 50], np.float32), 0.9, points, np.ones(68, np.float32), 7, 0.0)
    told = ExpressionReader()(0.04, [face], (200, 200))
    with open_writer(path, IBUG68, columns) as writer:
        writer.write(PhotoFaces("clip.mp4", 200, 200, (face,), frame=1, time_s=0.04, expressions=told))
        writer.write(PhotoFaces("clip.mp4", 200, 200, frame=2, time_s=0.08))
    table = pd.read_parquet(path)
    assert tuple(table.columns) == columns and len(table) == 68
    assert {name: str(table[name].dtype) for name in ("frame", "face", "blinks", "time_s", "yaw_deg")} == {
        **dict.fromkeys(("frame", "face", "blinks"), "int32"),
        **dict.fromkeys(("time_s", "yaw_deg"), "float64"),
    }
    assert (table["frame"][0], table["face"][0], table["blinks"][0]) == (1, 7, 0)


def test_other_endings_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FkdError, match=r"\.jsonl, \.csv or \.parquet"), open_writer(tmp_path / "faces.txt", KAGGLE15):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(FkdError, match="cannot be written"),
        open_writer(tmp_path / "file" / "faces.csv", KAGGLE15),
    ):
        pass
