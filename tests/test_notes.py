"""Flags and corrections: kept on disk, found again when the dataset changes, and applied to what is learnt."""

from __future__ import annotations

import csv
import io
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fkd.data import notes
from fkd.data.dataset import Dataset, concatenate
from fkd.errors import FkdError
from fkd.schema import KAGGLE15

N = 12


@pytest.fixture(autouse=True)
def notes_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FKD_NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


@pytest.fixture
def faces() -> Dataset:
    """Twelve faces whose source is twice as large and shifted; the last has no label but one."""
    rng = np.random.default_rng(0)
    points_px = rng.uniform(5, 60, (N, 15, 2)).astype(np.float32)
    points_px[-1, 1:] = np.nan
    return Dataset(
        "drawn",
        KAGGLE15,
        rng.integers(0, 255, (N, 64, 64)).astype(np.uint8),
        points_px,
        groups=np.array([f"person_{i // 2}" for i in range(N)]),
        sources=np.full(N, "drawn"),
        rows=np.array([f"{i}" for i in range(N)]),
        published_split=np.full(N, "training"),
        to_source=np.tile(np.array([[2.0, 0, 10], [0, 2.0, 20]]), (N, 1, 1)),
        source_size=np.full((N, 2), 148, np.int32),
    )


def lines(folder: Path, name: str = "drawn") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / f"{name}.csv").read_text("utf-8"))))


def test_a_flag_is_on_disk_at_once_and_can_be_taken_back(faces: Dataset, notes_folder: Path) -> None:
    assert not notes.read_notes(faces).lines
    notes.set_flag(faces, 4, True)
    notes.set_flag(faces, 2, True)
    assert notes.read_notes(faces).flags == {2, 4}
    assert [(line["row"], line["note"], line["keypoint"]) for line in lines(notes_folder)] == [
        ("4", "flag", ""),
        ("2", "flag", ""),
    ]
    notes.set_flag(faces, 4, False)
    notes.set_flag(faces, 2, True)
    assert notes.read_notes(faces).flags == {2}
    assert len(lines(notes_folder)) == 1
    assert [path.name for path in notes_folder.iterdir() if not path.name.endswith(".lock")] == ["drawn.csv"]


def test_points_are_corrected_in_pixels_of_the_source(faces: Dataset, notes_folder: Path) -> None:
    before = faces.points_px.copy()
    notes.correct(faces, 0, {2: {"x": 110.0}, 3: {"x": None}})
    noted = notes.read_notes(faces)
    points_px = noted.points_px(faces, 0)
    assert points_px[2] == pytest.approx([50, before[0, 2, 1]], abs=1e-3)
    assert np.isnan(points_px[3]).all()
    np.testing.assert_array_equal(noted.points_px(faces, 1), before[1])
    first, second = lines(notes_folder)
    assert (first["keypoint"], float(first["x"])) == (KAGGLE15.keypoints[2], 110)
    assert (second["keypoint"], second["x"], second["y"]) == (KAGGLE15.keypoints[3], "", "")
    np.testing.assert_array_equal(faces.points_px, before)


def test_a_point_moved_back_to_where_it_was_is_no_correction(faces: Dataset) -> None:
    x = float(notes.in_source(faces, 0)[2, 0])
    notes.correct(faces, 0, {2: {"x": x + 5}})
    assert notes.read_notes(faces).corrections
    notes.correct(faces, 0, {2: {"x": x}})
    assert not notes.read_notes(faces).lines


def test_corrections_are_taken_back_and_the_flag_stays(faces: Dataset) -> None:
    notes.set_flag(faces, 0, True)
    notes.correct(faces, 0, {2: {"x": 110.0}})
    notes.correct(faces, 1, {2: {"x": 111.0}})
    notes.take_back(faces, 0)
    noted = notes.read_notes(faces)
    assert noted.flags == {0}
    assert list(noted.corrections) == [1]


def test_half_a_place_for_a_missing_label_is_no_correction(faces: Dataset) -> None:
    notes.correct(faces, N - 1, {5: {"x": 40.0}})
    assert not notes.read_notes(faces).lines
    notes.correct(faces, N - 1, {5: {"x": 40.0, "y": 50.0}})
    assert notes.read_notes(faces).points_px(faces, N - 1)[5] == pytest.approx([15, 15])


@given(place=st.tuples(*[st.floats(-500, 5000, allow_nan=False)] * 2), keypoint=st.integers(0, 14))
def test_what_is_written_is_read_again_to_a_thousandth_of_a_pixel(place: tuple[float, float], keypoint: int) -> None:
    line = notes.Note("3", "drawn", "point", KAGGLE15.keypoints[keypoint], *(f"{v:.3f}" for v in place))
    assert notes.parse_csv(notes.csv_text([line]), "x.csv") == [line]
    assert [float(line.x), float(line.y)] == pytest.approx(place, abs=6e-4)


class TestAChangedDataset:
    """Notes stay with their faces, and those of faces that changed are kept, told and not used."""

    @pytest.fixture(autouse=True)
    def noted(self, faces: Dataset) -> None:
        notes.set_flag(faces, 3, True)
        notes.correct(faces, 7, {0: {"x": 50.0, "y": 51.0}})

    def test_they_follow_faces_to_other_row_numbers(self, faces: Dataset) -> None:
        fewer = replace(faces.subset(np.arange(2, N)), rows=np.array([f"{i}" for i in range(N - 2)]))
        noted = notes.read_notes(fewer)
        assert noted.flags == {1}
        assert list(noted.corrections) == [5]
        assert not noted.unfit
        notes.set_flag(fewer, 1, False)
        assert notes.read_notes(fewer).flags == frozenset()

    def test_other_labels_or_another_picture_do_not_fit(self, faces: Dataset, notes_folder: Path) -> None:
        points_px = faces.points_px.copy()
        points_px[3, 0] += 1
        source_size = faces.source_size.copy()
        source_size[7] = 300
        changed = replace(faces, points_px=points_px, source_size=source_size)
        noted = notes.read_notes(changed)
        assert not noted.flags
        assert not noted.corrections
        assert len(noted.unfit) == 2
        notes.set_flag(changed, 0, True)
        assert len(lines(notes_folder)) == 3  # nothing is lost
        assert notes.read_notes(faces).flags == {0, 3}

    def test_faces_of_another_schema_or_other_rows_do_not_fit(self, faces: Dataset) -> None:
        assert len(notes.read_notes(faces.subset(np.array([0, 1]))).unfit) == 2

    def test_a_joint_dataset_has_the_notes_of_its_parts(self, faces: Dataset) -> None:
        other = replace(faces, name="other", sources=np.full(N, "other"))
        notes.set_flag(other, 1, True)
        assert notes.read_notes(concatenate([faces, other])).flags == {3, N + 1}


def test_two_sessions_lose_nothing_of_each_other(faces: Dataset) -> None:
    def flag(rows: range) -> None:
        for row in rows:
            notes.set_flag(faces, row, True)

    sessions = [threading.Thread(target=flag, args=(range(start, N, 3),)) for start in range(3)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert notes.read_notes(faces).flags == set(range(N))


class TestTakingAFileIn:
    def test_an_exported_file_comes_back_whole(self, faces: Dataset, notes_folder: Path) -> None:
        notes.set_flag(faces, 3, True)
        notes.correct(faces, 7, {0: {"x": 50.0, "y": 51.0}, 4: {"y": None}})
        exported = notes.csv_text(notes.read_notes(faces).lines)
        before = notes.read_notes(faces)
        (notes_folder / "drawn.csv").unlink()
        assert notes.merge(faces, exported, "drawn_notes.csv") == (3, 0)
        after = notes.read_notes(faces)
        assert after.flags == before.flags
        np.testing.assert_allclose(after.corrections[7], before.corrections[7])

    def test_it_adds_and_wins(self, faces: Dataset) -> None:
        notes.set_flag(faces, 1, True)
        notes.correct(faces, 7, {0: {"x": 50.0}, 1: {"x": 60.0}})
        text = (
            f"row,source,note,keypoint,x,y\n1,drawn,flag\n2,drawn,flag\n7,drawn,point,{KAGGLE15.keypoints[0]},70,71\n"
        )
        assert notes.merge(faces, text, "mine.csv") == (3, 0)
        noted = notes.read_notes(faces)
        assert noted.flags == {1, 2}
        assert notes.in_source(faces, 7, noted.corrections[7])[:2] == pytest.approx(
            np.array([[70, 71], [60, notes.in_source(faces, 7)[1, 1]]]), abs=2e-3
        )

    def test_semicolons_and_a_byte_order_mark_are_read(self, faces: Dataset) -> None:
        assert notes.merge(faces, "\ufeffrow;source;note\n5;drawn;flag\n", "mine.csv") == (1, 0)
        assert notes.read_notes(faces).flags == {5}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a,b\n1,2\n", "lacks row, source, note"),
            ("", "lacks row, source, note"),
            ("row,source,note\n1,drawn,flagged\n", "line 2"),
            ("row,source,note,keypoint,x,y\n1,drawn,point,,3,4\n", "line 2"),
            ("row,source,note,keypoint,x,y\n1,drawn,point,nose_tip,3,up\n", "'up' is no place"),
            ("row,source,note,keypoint,x,y\n1,drawn,point,nose_tip,inf,4\n", "is no place"),
            ("row,source,note\n1,elsewhere,flag\n", "None of the 1 notes"),
            ("row,source,note,keypoint,x,y\n1,drawn,point,third_ear,3,4\n", "None of the 1 notes"),
        ],
    )
    def test_another_file_changes_nothing_and_says_why(
        self, text: str, told: str, faces: Dataset, notes_folder: Path
    ) -> None:
        notes.set_flag(faces, 1, True)
        before = (notes_folder / "drawn.csv").read_text()
        with pytest.raises(FkdError, match=told):
            notes.merge(faces, text, "mine.csv")
        assert (notes_folder / "drawn.csv").read_text() == before


def test_a_damaged_file_is_named_with_its_line(faces: Dataset, notes_folder: Path) -> None:
    notes_folder.mkdir()
    (notes_folder / "drawn.csv").write_text("row,source,note\n1,drawn,flag\n2,drawn,what\n")
    with pytest.raises(FkdError, match=r"drawn\.csv, line 3"):
        notes.read_notes(faces)


def test_a_folder_that_cannot_be_written_is_one_sentence(faces: Dataset, notes_folder: Path) -> None:
    notes_folder.write_text("a file where the folder should be")
    with pytest.raises(FkdError, match="FKD_NOTES"):
        notes.set_flag(faces, 1, True)


def test_flagged_faces_are_left_out_and_corrected_points_used(faces: Dataset) -> None:
    notes.set_flag(faces, 3, True)
    notes.correct(faces, 7, {0: {"x": 50.0, "y": 60.0}})
    noted = notes.read_notes(faces)
    applied = notes.apply_notes(faces, noted)
    assert applied.rows.tolist() == [str(i) for i in range(N) if i != 3]
    assert applied.points_px.dtype == np.float32
    assert applied.points_px[6, 0] == pytest.approx([20, 20])
    among = np.arange(N) >= 7
    assert notes.apply_notes(faces, noted, among).rows.tolist() == [str(i) for i in range(7, N)]
