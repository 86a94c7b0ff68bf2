"""A video worked on in a thread: its results, its end, and the folder that goes with it."""

from __future__ import annotations

import csv
import errno
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fkd.errors import FkdError, UnwritableError
from fkd.jobs import Stopped
from fkd.pipeline.clip import ClipOptions
from fkd.pipeline.clip_work import ClipWork
from fkd.video import read_frames
from fkd.weights import LoadedModel, load_model
from tests.clips import cut_short, moving_face, write_clip


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model("ibug68", threads=1)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def is_tidy(folders: Path) -> bool:
    deadline = time.monotonic() + 20
    while any(folders.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(folders.iterdir())


def test_results_lie_in_a_folder_that_goes_with_the_work(tmp_path: Path, folders: Path, model: LoadedModel) -> None:
    images = moving_face(4)
    clip = write_clip(tmp_path / "x.avi", images, [number / 25 for number in range(4)])
    work = ClipWork("../../x.avi", clip.read_bytes())
    work.begin(model, ClipOptions())
    summary = work.job.result()
    assert (summary.frames, summary.frames_with_faces, summary.faces, summary.damage) == (4, 4, 1, None)
    assert len(list(read_frames(work.annotated))) == 4
    table, rows = pd.read_parquet(work.parquet), list(csv.DictReader(work.csv.open()))
    assert len(table) == len(rows) == 4 * 68
    np.testing.assert_allclose(table["x"], [float(row["x"]) for row in rows])
    assert set(table["image"]) == {"../../x.avi"}, "the name is told, and never a path"
    assert {path.parent.parent for path in (work.annotated, work.csv, work.parquet)} == {folders}
    work.close()
    assert is_tidy(folders)


def test_stopped_work_gives_nothing_and_can_begin_again(tmp_path: Path, folders: Path, model: LoadedModel) -> None:
    clip = write_clip(tmp_path / "x.mp4", moving_face(25) * 8, [number / 25 for number in range(200)])
    work = ClipWork("x.mp4", clip.read_bytes())
    work.begin(model, ClipOptions())
    while not work.job.watch.share:
        time.sleep(0.01)
    work.job.stop()
    with pytest.raises(Stopped):
        work.job.result()
    assert [path.name for path in work.csv.parent.iterdir()] == ["source"], "which it may begin again from"
    work.begin(model, ClipOptions())
    work.close()
    assert is_tidy(folders), "closing stops what is under way"


def test_beginning_twice_is_one_job(tmp_path: Path, folders: Path, model: LoadedModel) -> None:
    clip = write_clip(tmp_path / "x.mp4", moving_face(25) * 8, [number / 25 for number in range(200)])
    work = ClipWork("x.mp4", clip.read_bytes())
    work.begin(model, ClipOptions())
    job, options = work.job, work.options
    work.begin(model, ClipOptions())  # a second click
    assert (work.job, work.options) == (job, options)
    assert not job.done
    work.close()
    assert is_tidy(folders)


def test_damage_is_told_by_the_name_that_people_know(tmp_path: Path, folders: Path, model: LoadedModel) -> None:
    work = ClipWork("letter.mp4", b"This is a letter.")
    work.begin(model, ClipOptions())
    with pytest.raises(FkdError, match=r"^letter\.mp4 is damaged") as raised:
        work.job.result()
    assert str(folders) not in str(raised.value)
    work.close()

    clip = cut_short(write_clip(tmp_path / "x.avi", moving_face(25)), 0.6)
    work = ClipWork("x.avi", clip.read_bytes())
    work.begin(model, ClipOptions())
    damage = work.job.result().damage
    assert damage is not None
    assert damage.startswith("x.avi is damaged")
    work.close()
    assert is_tidy(folders)


@pytest.mark.parametrize("at", ["the upload", "the results"])
def test_a_full_disk_is_told_in_words_that_help(
    tmp_path: Path, folders: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise UnwritableError("faces.csv") if at == "the results" else OSError(errno.ENOSPC, "No space left on device")

    content = write_clip(tmp_path / "x.avi", moving_face(25)).read_bytes()
    if at == "the upload":
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(FkdError, match=r"There is no room to work on x\.avi"):
            ClipWork("x.avi", content)
        assert is_tidy(folders)
    else:
        monkeypatch.setattr("fkd.pipeline.clip_work.open_writer", full)
        work = ClipWork("x.avi", content)
        work.begin(model, ClipOptions())
        with pytest.raises(FkdError, match=r"There is no room to work on x\.avi"):
            work.job.result()
        work.close()
