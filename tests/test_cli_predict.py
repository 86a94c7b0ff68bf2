"""`python -m fkd predict` and `doctor` as their users call them, mostly with an untrained network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage.data
import torch
from PIL import Image

from fkd import DEFAULT_WEIGHTS, LIVE_WEIGHTS, paths
from fkd.cli import main
from fkd.crop import CropFrame
from fkd.models import create_model
from fkd.paths import PROJECT_ROOT
from fkd.pipeline.write import video_columns
from fkd.schema import KAGGLE15
from fkd.video import read_frames
from fkd.weights import Card, save_weights
from tests.clips import cut_short, moving_face, write_clip

TIGHT_BOX = "170,75,270,175"  # round the astronaut's face


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained network; `--boxes` or a minimum score of 0 let its faces pass."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    card = Card("untrained", KAGGLE15, "heatmap", 64, CropFrame(1.3), model_args={"widths": [4, 4, 4, 4, 4]})
    save_weights(path, create_model(card.model, len(KAGGLE15), card.input_size, **card.model_args), card)
    return str(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with the astronaut, a subfolder with a blank photo, and a text called .jpg."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(skimage.data.astronaut()).save(folder / "astronaut.png")
    Image.fromarray(np.full((50, 80, 3), 99, np.uint8)).save(folder / "sub" / "blank.jpg")
    (folder / "torn.jpg").write_text("no picture")
    return folder


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


def lines(path: Path) -> dict[str, dict]:
    """The records of a `.jsonl` file by the name of the image."""
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {Path(record["image"]).name: record for record in records}


def test_a_folder_gives_a_line_for_each_picture(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, drawn = tmp_path / "out.jsonl", tmp_path / "drawn"
    assert predict(photos, "--weights", weights, "--out", out, "--draw", drawn, "--min-face-score", 0) == 0
    records = lines(out)
    assert list(records) == ["astronaut.png", "blank.jpg", "torn.jpg"]
    face = records["astronaut.png"]["faces"][0]
    assert np.shape(face["points"]) == (15, 2)
    assert records["astronaut.png"]["image"] == str(photos / "astronaut.png")
    assert (records["blank.jpg"]["width"], records["blank.jpg"]["height"]) == (80, 50)
    assert records["blank.jpg"]["faces"] == []
    assert "faces" not in records["torn.jpg"]
    assert "is not a picture" in records["torn.jpg"]["error"]
    told = capsys.readouterr()
    assert told.out == ""
    assert "torn.jpg is not a picture" in told.err
    faces = len(records["astronaut.png"]["faces"])
    assert re.search(
        rf"^fkd: 2 photos: {faces} faces?, 1 failure, \d+\.\d s; wrote {out} and {drawn}/$", told.err, re.MULTILINE
    )


@pytest.mark.parametrize("name_in_csv", ["{folder}/astronaut.png", "astronaut.png", "./astronaut.png"])
def test_boxes_name_images_as_given_or_below_the_folder(
    photos: Path, weights: str, tmp_path: Path, name_in_csv: str
) -> None:
    boxes, out = tmp_path / "boxes.csv", tmp_path / "out.jsonl"
    name = name_in_csv.format(folder=photos)
    boxes.write_text(f"image,x0,y0,x1,y1\n{name},{TIGHT_BOX}\n{name},0,0,40.5,30\n")
    assert predict(photos, "--weights", weights, "--out", out, "--boxes", boxes) == 0
    records = lines(out)
    assert [face["box"] for face in records["astronaut.png"]["faces"]] == [[170, 75, 270, 175], [0, 0, 40.5, 30]]
    assert "no line in the file of boxes" in records["blank.jpg"]["error"]


@pytest.mark.parametrize("delimiter", [", ", ";", "\t"])
def test_boxes_are_read_as_spreadsheets_write_them(photos: Path, weights: str, tmp_path: Path, delimiter: str) -> None:
    boxes, out = tmp_path / "boxes.csv", tmp_path / "out.jsonl"
    rows = ["Image,X0,Y0,X1,Y1", f"astronaut.png,{TIGHT_BOX}"]
    boxes.write_text("".join(row.replace(",", delimiter) + "\r\n" for row in rows), newline="")
    assert predict(photos / "astronaut.png", "--weights", weights, "--out", out, "--boxes", boxes) == 0
    assert [face["box"] for face in lines(out)["astronaut.png"]["faces"]] == [[170, 75, 270, 175]]


def test_boxes_without_a_face_and_of_other_photos_are_told(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes, out = tmp_path / "boxes.csv", tmp_path / "out.jsonl"
    boxes.write_text(f"image,x0,y0,x1,y1\nastronaut.png,{TIGHT_BOX}\nastronaut.png,400,20,480,100\nb.png,1,2,3,4\n")
    assert predict(photos / "astronaut.png", "--out", out, "--boxes", boxes) == 0
    told = capsys.readouterr().err
    assert "Hardly a face is seen in a box of" in told and "see that it is in pixels" in told
    assert "has boxes of 1 photo not given here, such as b.png" in told
    boxes.write_text(f"image,x0,y0,x1,y1\nastronaut.png,{TIGHT_BOX}\n")
    assert predict(photos / "astronaut.png", "--out", out, "--boxes", boxes) == 0
    told = capsys.readouterr().err
    assert "Hardly" not in told and "not given here" not in told


@pytest.mark.parametrize("box", ["600,20,700,120", "20,-90,120,0"])
def test_a_box_beside_its_photo_is_told_with_the_photos_size(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], box: str
) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(f"image,x0,y0,x1,y1\nastronaut.png,{TIGHT_BOX}\nastronaut.png,{box}\n")
    assert predict(photos / "astronaut.png", "--weights", weights, "--boxes", boxes) == 1
    told = capsys.readouterr().err
    assert f"The box {box} lies outside" in told and "which has 512x512 pixels" in told


def test_boxes_may_be_a_table_of_points_which_repeats_them(photos: Path, weights: str, tmp_path: Path) -> None:
    boxes, table = tmp_path / "boxes.csv", tmp_path / "points.csv"
    boxes.write_text(f"image,x0,y0,x1,y1\nastronaut.png,{TIGHT_BOX}\nastronaut.png,0,0,40.5,30\n")
    assert predict(photos / "astronaut.png", "--weights", weights, "--out", table, "--boxes", boxes) == 0
    again = tmp_path / "again.jsonl"
    assert predict(photos / "astronaut.png", "--weights", weights, "--out", again, "--boxes", table) == 0
    assert [face["box"] for face in lines(again)["astronaut.png"]["faces"]] == [[170, 75, 270, 175], [0, 0, 40.5, 30]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image,x0,y0,x1\na.png,1,2,3\n", "lacks the column 'y1'"),
        ("image,x0,y0,x1,y1\na.png,1,2,3,4\na.png,1,2,x,4\n", "line 3: a box needs four numbers"),
        ("image,x0,y0,x1,y1\na.png,1,2\n", "line 2: a box needs four numbers"),
        ("image,x0,y0,x1,y1\na.png,5,2,3,4\n", "line 2: a box needs x0 < x1"),
        ("x0,y0,x1,y1,image\n1,2,3,4\n", "line 2: a box needs the name of its image"),
        ("image,x0,y0,x1,y1\na.png,nan,2,3,4\n", "line 2: a box needs four numbers in pixels"),
        ("image,x0,y0,x1,y1\na.png,16777216,2,16777216.5,4\n", "line 2: a box needs four numbers in pixels"),
        ("image,x0,y0,x1,y1\na.png,999999,2,999999.01,4\n", "line 2: a box needs x0 < x1"),
        ("\x80\x81", "are no CSV; write them as one, with image,x0,y0,x1,y1"),
    ],
)
def test_a_wrong_file_of_boxes_is_told_by_its_line(
    photos: Path, weights: str, tmp_path: Path, text: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "boxes.csv"
    boxes.write_bytes(text.encode("latin-1"))
    assert predict(photos, "--weights", weights, "--boxes", boxes) == 1
    assert told in capsys.readouterr().err


def test_without_out_the_lines_go_to_the_screen(photos: Path, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(photos / "sub" / "blank.jpg", photos / "sub", "--weights", weights) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["faces"] for record in records] == [[], []]


def test_on_a_terminal_no_progress_meets_the_lines(
    photos: Path, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    assert predict(photos / "sub", photos / "sub", "--weights", weights) == 0
    assert "Predicting" not in capsys.readouterr().err
    assert predict(photos / "sub", photos / "sub", "--weights", weights, "--out", tmp_path / "faces.jsonl") == 0
    assert "Predicting" in capsys.readouterr().err


def test_a_face_that_scores_too_low_is_told_with_the_option_that_lets_it_pass(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    astronaut = photos / "astronaut.png"
    assert predict(astronaut, "--weights", weights, "--min-face-score", 1) == 0
    told = re.search(
        rf"likeliest spot of {astronaut} scores (.+), less.* --min-face-score (\S+) ", capsys.readouterr().err
    )
    assert told is not None
    score, lower = map(float, told.groups())
    assert 0 <= score - lower < 0.055
    out = tmp_path / "out.jsonl"
    assert predict(astronaut, "--weights", weights, "--min-face-score", lower, "--out", out) == 0
    assert max(face["score"] for face in lines(out)["astronaut.png"]["faces"]) == pytest.approx(score, abs=0.006)
    assert "likeliest" not in capsys.readouterr().err

    shutil.copy(astronaut, photos / "twin.png")
    assert predict(photos, "--weights", weights, "--min-face-score", 1) == 0
    error = capsys.readouterr().err
    assert "likeliest spots of 2 photos" in error, "the blank one has no spot"


def test_tables_are_chosen_by_the_ending(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, read in (("out.csv", pd.read_csv), ("out.parquet", pd.read_parquet)):
        out = tmp_path / name
        assert predict(photos, "--weights", weights, "--out", out, "--min-face-score", 0) == 0
        table = read(out)
        told = capsys.readouterr().err
        assert "torn.jpg is not a picture" in told and ", 1 failure," in told
        assert not table["image"].str.endswith("torn.jpg").any(), "a table has a row for each keypoint, and no other"
        assert len(table) == 15 * len(table.groupby(["image", "face"]))
        assert len(table) > 0


def test_drawings_keep_folders_apart_and_photos_whole(photos: Path, weights: str, tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    astronaut = photos / "astronaut.png"
    assert predict(photos, astronaut, "--weights", weights, "--draw", drawn, "--min-face-score", 0) == 0
    names = sorted(path.relative_to(drawn).as_posix() for path in drawn.rglob("*.png"))
    assert names == ["astronaut-2.png", "astronaut.png", "sub/blank.png"]
    annotated = np.asarray(Image.open(drawn / "astronaut.png"))
    assert annotated.shape == (512, 512, 3)
    assert (annotated != skimage.data.astronaut()).any()


def test_drawing_into_a_file_is_refused(photos: Path, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(photos, "--weights", weights, "--draw", photos / "torn.jpg") == 1
    assert capsys.readouterr().err == (
        f"fkd: {photos / 'torn.jpg'} is a file, and drawings need a folder; name another with --draw.\n"
    )


def test_drawing_over_the_photos_is_refused(photos: Path, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = (photos / "astronaut.png").read_bytes()
    assert predict(photos, "--weights", weights, "--draw", photos) == 1
    assert "would overwrite" in capsys.readouterr().err
    assert (photos / "astronaut.png").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent.jpg", "does not exist"),
        ("torn.jpg", "is not a picture"),
        ("clip.mp4", "does not exist"),
        ("empty", "holds no pictures and no videos"),
    ],
)
def test_nothing_to_read_is_a_failure_with_one_line(
    photos: Path, weights: str, name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "empty").mkdir()
    assert predict(photos / name, "--weights", weights) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_video_among_photos_gives_a_line_for_each_frame(
    photos: Path, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(photos / "sub" / "astronaut.mp4", moving_face(8), [n / 25 for n in range(8)])
    out, drawn = tmp_path / "out.jsonl", tmp_path / "drawn"
    flags = ("--min-face-score", 0, "--track-find-score", 0, "--track-keep-score", 0)
    assert predict(photos, "--weights", weights, "--out", out, "--draw", drawn, *flags) == 0
    records = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    frames = [record for record in records if "frame" in record]
    assert len(records) == 8 + 3
    assert [frame["frame"] for frame in frames] == list(range(8))
    assert [frame["time_s"] for frame in frames] == pytest.approx([n / 25 for n in range(8)], abs=1e-3)
    assert {frame["image"] for frame in frames} == {str(photos / "sub" / "astronaut.mp4")}
    assert all(face["id"] >= 1 for frame in frames for face in frame["faces"])
    assert any(frame["faces"] for frame in frames)
    names = sorted(path.relative_to(drawn).as_posix() for path in drawn.rglob("*.*"))
    assert names == ["astronaut.png", "sub/astronaut.mp4", "sub/blank.png"]
    assert len(list(read_frames(drawn / "sub" / "astronaut.mp4"))) == 8
    assert "2 photos and 1 video of 8 frames: " in capsys.readouterr().err


@pytest.mark.parametrize("there", [LIVE_WEIGHTS, DEFAULT_WEIGHTS])
def test_videos_have_weights_of_their_own_where_they_are_there(
    photos: Path, weights: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    root = tmp_path / "weights"
    root.mkdir()
    shutil.copy(weights, root / f"{there}.safetensors")
    monkeypatch.setenv("FKD_WEIGHTS", str(root))
    clip = write_clip(tmp_path / "face.mkv", moving_face(2), [n / 25 for n in range(2)])
    assert predict(clip, "--out", tmp_path / "out.csv") == 0
    photos_too = predict(clip, photos / "astronaut.png", "--out", tmp_path / "both.csv")
    if there == DEFAULT_WEIGHTS:
        assert photos_too == 0
    else:
        assert photos_too == 1, "photos are not given to the small network"
        assert f"no weights '{DEFAULT_WEIGHTS}'" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables_of_videos_have_frame_and_time(photos: Path, weights: str, tmp_path: Path, ending: str) -> None:
    clip = write_clip(tmp_path / "face.mkv", moving_face(4), [n / 25 for n in range(4)])
    out = tmp_path / f"out.{ending}"
    flags = ("--min-face-score", 0, "--track-find-score", 0, "--no-smoothing")
    assert predict(clip, photos / "astronaut.png", "--weights", weights, "--out", out, *flags) == 0
    table = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    assert tuple(table.columns) == video_columns(KAGGLE15)
    assert "yaw_deg" not in table, "15 points tell no expressions"
    of_clip = table[table["image"] == str(clip)]
    assert set(of_clip["frame"]) <= set(range(4)) and len(of_clip)
    assert of_clip["time_s"].to_numpy() == pytest.approx(of_clip["frame"].to_numpy() / 25, abs=1e-3)
    of_photo = table[table["image"] == str(photos / "astronaut.png")]
    assert len(of_photo) and of_photo[["frame", "time_s"]].isna().all(axis=None)


def test_a_damaged_video_is_used_as_far_as_it_goes(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, out = cut_short(write_clip(tmp_path / "face.mkv", moving_face(25)), 0.9), tmp_path / "out.jsonl"
    assert predict(clip, "--weights", weights, "--out", out) == 0
    told = capsys.readouterr().err
    assert "is damaged or cut short" in told
    assert f"1 video of {len(out.read_text().splitlines())} frames" in told


def test_interrupting_leaves_nothing_behind(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "face.mp4", moving_face(6), [n / 25 for n in range(6)])

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fkd.pipeline.smooth.Smoother.__call__", interrupted)
    out = tmp_path / "results"
    assert predict(clip, "--weights", weights, "--out", out / "points.parquet", "--draw", out / "drawn") == 130
    assert "stopped" in capsys.readouterr().err
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_boxes_of_videos_are_refused(photos: Path, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "boxes.csv").write_text("image,x0,y0,x1,y1\n")
    assert predict(photos / "clip.mp4", "--weights", weights, "--boxes", photos / "boxes.csv") == 1
    assert "--boxes is for photos" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_ends_the_work(
    photos: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "file").write_text("")
    assert predict(photos, "--weights", weights, "--draw", photos / "file" / "drawn") == 1
    error = capsys.readouterr().err
    assert "cannot be written" in error
    assert error.count("\n") == 1


def test_long_work_tells_a_log_how_far_it_is(
    photos: Path, weights: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wait in ("_LOGGED_EVERY_S", "_SILENT_S"):
        monkeypatch.setattr(f"fkd.cli.{wait}", 0.0)
    assert predict(photos, "--weights", weights) == 0
    assert re.findall(r"^Predicting: (\d+)%", capsys.readouterr().err, re.MULTILINE) == ["33", "67", "100"]


def test_unknown_weights_are_named(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(photos, "--weights", "no_such_network") == 1
    assert "no_such_network" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        [],  # no input
        ["a.jpg", "--out", "faces.txt"],
        ["a.jpg", "--cascade", "cat"],
        ["a.jpg", "--scale-factor", "1"],
        ["a.jpg", "--min-face-score", "2"],
    ],
)
def test_wrong_use_exits_with_2(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        predict(*flags)
    assert exit_info.value.code == 2


@pytest.mark.data
@pytest.mark.skipif(not (paths.weights_root() / "ibug68.safetensors").is_file(), reason="needs the weights ibug68")
def test_portraits_have_one_face_and_groups_all_of_theirs(data_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert predict(data_root / "photos", "--weights", "ibug68", "--out", out) == 0
    counts = {name: len(record["faces"]) for name, record in lines(out).items()}
    portraits = [count for name, count in counts.items() if name.startswith("frl_")]
    assert portraits == [1] * 14
    assert (counts["obamas.jpg"], counts["the_beatles.jpg"]) == (2, 4)


def test_doctor_tells_what_is_missing_and_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FKD_DATA", str(tmp_path))
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path))
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "MISSING  weights" in told
    assert re.search(r"absent +data +kaggle: .*python -m fkd data fetch kaggle", told)
    (tmp_path / "mine.safetensors").write_bytes(Path(weights).read_bytes())
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "ok       weights    mine: kaggle15, 64 px" in told
    assert "frontal, frontal_alt2, profile" in told
    assert "The app can run" in told


def test_doctor_reports_damaged_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path))
    (tmp_path / "broken.safetensors").write_bytes(b"not weights at all")
    assert main(["doctor"]) == 1
    assert "broken" in capsys.readouterr().out


@pytest.mark.parametrize(("library", "subject"), [("torch", "device"), ("cv2", "data"), ("safetensors", "weights")])
def test_doctor_survives_a_missing_library(library: str, subject: str) -> None:
    """In a process of its own, where nothing has been imported yet."""
    code = f"import sys; sys.modules[{library!r}] = None; from fkd.cli import main; sys.exit(main(['doctor']))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT_ROOT)
    assert told.returncode == 1 and not told.stderr
    assert re.search(rf"MISSING +{subject} +import of {library} halted", told.stdout)
    assert "The app cannot run yet" in told.stdout
