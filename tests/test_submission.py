"""Kaggle's submission from a small test.zip and IdLookupTable.csv."""

import csv
import dataclasses

import numpy as np
import pytest
import torch

from fkd.cli import main
from fkd.crop import CropFrame
from fkd.data.kaggle import COORDINATES
from fkd.errors import FkdError
from fkd.evaluation.submission import check_submission, make_submission, write_submission
from fkd.models import create_model
from fkd.schema import KAGGLE15
from fkd.training.recipes import get_recipe
from fkd.weights import Card, load_torch_model, save_weights
from tests.uploads import zipped

SHAPE_NORM = np.random.default_rng(0).uniform(-0.9, 0.9, (15, 2))
SHAPE_NORM[[3, 5]] = [(1.4, -1.4), (-1.4, -1.4)]  # beyond the frame


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Three test pictures, of which the table asks for all points of two and for four values of the third."""
    monkeypatch.setenv("FKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FKD_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path / "weights"))
    root = tmp_path / "data" / "kaggle"
    root.mkdir(parents=True)
    rows = [f"{image},{' '.join(['7'] * 9216)}" for image in (1, 2, 5)]
    (root / "test.zip").write_bytes(zipped({"test.csv": "ImageId,Image\n" + "\n".join(rows)}))
    asked = [(2, name) for name in COORDINATES] + [(5, name) for name in COORDINATES[:4]]
    asked += [(1, name) for name in reversed(COORDINATES)]
    write_lookup(root, asked)
    save(tmp_path / "weights")
    return root


def write_lookup(root, asked, header="RowId,ImageId,FeatureName,Location"):
    lines = [header, *(f"{i},{image},{name}," for i, (image, name) in enumerate(asked, 1))]
    (root / "IdLookupTable.csv").write_text("\n".join(lines) + "\n")


def save(root, recipe="mean-shape", name="kaggle15", **changes):
    config = dataclasses.replace(get_recipe(recipe), **changes)
    network = create_model("mean_shape", 15, 96)
    with torch.no_grad():
        network.shape_norm.copy_(torch.from_numpy(SHAPE_NORM))
    card = Card(name, KAGGLE15, "mean_shape", 96, CropFrame(1.23), {}, {"config": config.as_dict()})
    root.mkdir(exist_ok=True)
    save_weights(root / f"{name}.safetensors", network, card)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_value_asked_for_is_answered_in_order_and_within_the_frame(folder, tmp_path, capsys):
    assert main(["submit", "--weights", "kaggle15", "--out", str(tmp_path / "out.csv")]) == 0
    assert "64 values" in capsys.readouterr().out
    rows = read(tmp_path / "out.csv")
    assert [row["RowId"] for row in rows] == [str(i) for i in range(1, 65)]
    whole_picture = np.full((1, 96, 96), 7, np.uint8)
    predicted = load_torch_model("kaggle15").predict(whole_picture).points_px[0].ravel()
    assert predicted[6] > 100 and predicted[7] < -10
    expected = np.clip(predicted, 0, 96)
    values = [float(row["Location"]) for row in rows]
    np.testing.assert_allclose(values, np.concatenate([expected, expected[:4], expected[::-1]]), atol=1e-3)


@pytest.mark.data
def test_kaggle_s_own_table_is_answered_in_full(tmp_path, monkeypatch, data_root):
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path / "weights"))
    save(tmp_path / "weights")
    values = make_submission(load_torch_model("kaggle15"), data_root / "kaggle")
    assert [row for row, _ in values] == [str(i) for i in range(1, 27_125)]
    write_submission(tmp_path / "out.csv", values)


def lacks_lookup(root):
    (root / "IdLookupTable.csv").unlink()


def lacks_pictures(root):
    (root / "test.zip").unlink()


def lacks_both(root):
    lacks_lookup(root)
    lacks_pictures(root)


def asks_for_another_picture(root):
    write_lookup(root, [(1, COORDINATES[0]), (9, COORDINATES[0])])


def asks_for_another_point(root):
    write_lookup(root, [(1, "left_ear_x")])


def asks_with_other_columns(root):
    write_lookup(root, [(1, COORDINATES[0])], header="Row,Image,Feature,Location")


def asks_for_nothing(root):
    write_lookup(root, [])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lacks_lookup, "Kaggle's IdLookupTable.csv is missing: put test.zip and IdLookupTable.csv of"),
        (lacks_pictures, "Kaggle's test.zip is missing: put test.zip and IdLookupTable.csv of"),
        (lacks_both, "Kaggle's test.zip and IdLookupTable.csv are missing"),
        (asks_for_another_picture, "RowId 2: there is no picture '9'"),
        (asks_for_another_point, "RowId 1: there is no coordinate 'left_ear_x'"),
        (asks_with_other_columns, "not Kaggle's list of values"),
        (asks_for_nothing, "is empty"),
    ],
)
def test_files_that_do_not_fit_are_one_sentence(folder, tmp_path, capsys, damage, message):
    damage(folder)
    assert main(["submit", "--out", str(tmp_path / "out.csv")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("changes", [{"data": "synthetic15"}, {"whole_picture": False}])
def test_weights_of_other_pictures_are_refused(folder, tmp_path, capsys, changes):
    save(tmp_path / "weights", name="other", **changes)
    assert main(["submit", "--weights", "other", "--out", str(tmp_path / "out.csv")]) == 1
    assert "other was not trained on Kaggle's pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "RowId,Location\n1,5\n",
        "RowId,Location\n2,5\n1,5\n",
        "Id,Location\n1,5\n2,5\n",
        "RowId,Location\n1,5\n2,96.1\n",
        "RowId,Location\n1,5\n2,nan\n",
    ],
)
def test_a_file_that_kaggle_would_refuse_is_refused_here(tmp_path, text):
    path = tmp_path / "out.csv"
    path.write_text(text)
    with pytest.raises(FkdError):
        check_submission(path, ["1", "2"])
    path.write_text("RowId,Location\n1,5\n2,0\n")
    check_submission(path, ["1", "2"])
