"""Weights measured at once, stored, read, and told on a card; on a tiny network that was never trained."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fkd.cli import main
from fkd.crop import CropFrame
from fkd.data import SOURCES
from fkd.data.splits import fold_of
from fkd.disturb import DISTURBANCES
from fkd.errors import FkdError
from fkd.evaluation import assess as assessing
from fkd.evaluation.assessment import (
    CURVE_NME,
    Assessment,
    assessment_path,
    find_assessment,
    read_assessment,
    write_assessment,
)
from fkd.evaluation.cards import data_terms, disturbance_rows, picture_path, render_card
from fkd.evaluation.evaluate import evaluate
from fkd.evaluation.folds import FoldErrors, write_folds
from fkd.evaluation.standing import cumulative, standing
from fkd.metrics import FaceErrors, eye_distances_px
from fkd.models import create_model
from fkd.schema import KAGGLE15
from fkd.training.recipes import get_recipe
from fkd.weights import Card, load_torch_model, read_card, save_weights
from tests.drawn import TINY_SETTINGS, drawn_faces

CONFIG = get_recipe("mlp").with_settings(TINY_SETTINGS)


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for place in ("FKD_RUNS", "FKD_RESULTS", "FKD_WEIGHTS", "FKD_DATA", "FKD_CACHE"):
        monkeypatch.setenv(place, str(tmp_path / place))
    (tmp_path / "FKD_WEIGHTS").mkdir()
    monkeypatch.setitem(SOURCES, "drawn", drawn_faces)
    return tmp_path


def save(places: Path, **changes) -> Path:
    torch.manual_seed(0)
    network = create_model("mlp", 15, 32, **CONFIG.model_args)
    training = {"recipe": "mlp", "config": CONFIG.as_dict() | changes, "run": "tiny", "epoch": 3, "versions": {}}
    card = Card("tiny", KAGGLE15, "mlp", 32, CropFrame(1.3), CONFIG.model_args, training)
    path = places / "FKD_WEIGHTS" / "tiny.safetensors"
    save_weights(path, network, card)
    card.metrics["drawn"] = evaluate(load_torch_model(path), drawn_faces(), box_errors=False).summary
    save_weights(path, network, card)
    return path


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small trials, a detector that finds what is there, and two hard faces."""
    monkeypatch.setattr(assessing, "FACES_OF_TRIAL", 6)
    monkeypatch.setattr(assessing, "_SYNTHETIC", 4)
    monkeypatch.setattr("fkd.evaluation.failures._PEOPLE", 2)
    monkeypatch.setattr("fkd.evaluation.evaluate.detect_dataset", lambda model, faces: faces.points_px + np.float32(1))


def test_the_command_measures_stores_and_tells_everything(places: Path, little: None, capsys) -> None:
    save(places)
    assert main(["card", "tiny", "--measure"]) == 0
    stored = json.loads(assessment_path("tiny").read_text())
    measured = stored["data"]["drawn"]
    held_out = drawn_faces()
    count = int((held_out.complete & (fold_of(held_out.groups) == 0)).sum())
    assert measured["true"]["faces"] == measured["disturbed"]["faces"] == count
    assert measured["true"]["nme"] == pytest.approx(read_card("tiny").metrics["drawn"]["nme"], abs=0.01)
    assert measured["detect"]["rmse_px"] == pytest.approx(1.0, abs=1e-3) and measured["detect"]["found"] == 100
    assert set(measured["disturbed"]) == {"faces", "clean", *DISTURBANCES}
    assert stored["face_score"]["faces"] == sum(stored["face_score"]["others"].values()) == 6
    assert 0 < stored["milliseconds"]["torch"] < 1000
    assert np.shape(stored["mean_face"]) == (15, 2) and stored["parameters"] == 32 * 32 * 16 + 16 + 16 * 30 + 30
    card = (places / "FKD_WEIGHTS" / "tiny.md").read_text()
    assert card == render_card("tiny") and picture_path("tiny").stat().st_size > 10_000
    for part in ("What for", "Trained on", "Accuracy", "Disturbed faces", "Scores", "Known failures", "reproduce"):
        assert part in card
    again = assessing.assess("tiny")[0]
    assert dataclasses.replace(again, milliseconds={}) == dataclasses.replace(read_assessment("tiny"), milliseconds={})


def test_disturbances_are_measured_with_a_known_answer(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points that lie a pixel to the right of the truth for each ten grey levels of the picture's mean."""
    faces = drawn_faces()
    faces = faces.subset(faces.complete)
    faces.images_u8[:] = 100
    asked = []

    def pipeline(image_rgb_u8: np.ndarray, boxes: np.ndarray) -> list[SimpleNamespace]:
        points = faces.points_px[len(asked) % len(faces)] + np.array([image_rgb_u8.mean() / 10, 0])
        asked.append(boxes)
        return [SimpleNamespace(points_px=points)]

    monkeypatch.setattr(assessing, "Pipeline", lambda model: pipeline)
    found = assessing.measure_disturbances(load_torch_model(save(places)), faces)
    percent = 100 * np.mean(1 / eye_distances_px(faces.points_px, KAGGLE15))
    assert found["faces"] == len(faces) and len(asked) == len(faces) * (1 + len(DISTURBANCES))
    for same in ("clean", "blur", "coarse"):  # of an even grey nothing is lost
        assert found[same] == pytest.approx(10 * percent, rel=1e-3)
    assert found["dark"] == pytest.approx(5 * percent, rel=1e-3)
    assert found["bright"] == pytest.approx(20 * percent, rel=1e-3)


def planted(**changes) -> Assessment:
    """An assessment of the saved weights with figures that are easy to find on a card."""
    names = dict.fromkeys(KAGGLE15.keypoints, 7.77)
    true = {"faces": 12, "nme": 3.21, "nme_median": 3.0, "nme_p90": 5.0, "fr8": 1.5, "auc8": 60.0, "rmse_px": 1.234}
    true |= {"argmax_accuracy": 71.0, "nme_by_group": dict.fromkeys(KAGGLE15.groups, 4.56), "nme_by_keypoint": names}
    drawn = {
        "true": true,
        "detect": true | {"found": 87.5, "nme": 3.99},
        "curve": np.linspace(0, 100, len(CURVE_NME)).tolist(),
        "disturbed": {"faces": 12, "clean": 2.0, **dict.fromkeys(DISTURBANCES, 3.0)},
        "scores": {"gain": 61.4, "dropped": [0, 10], "by_score": [3, 2], "ideal": [3, 1], "bins": {}},
        "covered": {"within": 93.2, "pairs": 1234, "fallen": 97.1},
    }
    of = Assessment(
        name="tiny",
        schema="kaggle15",
        digest=assessing.weights_digest(assessing.find_weights("tiny")),
        parameters=123,
        megabytes={"safetensors": 6.1},
        data={"drawn": drawn},
        covered_synthetic={"within": 95.5, "pairs": 77, "fallen": 99.0},
        face_score={"auc": 99.12, "faces": 500, "others": {"background": 250, "false hit": 1, "part": 249}},
        failures=[{"condition": "In a fog", "nme": 8.5, "worst": 17.5}],
        milliseconds={"torch": 4.25, "processor": "Abacus"},
        mean_face=[[0.0, 0.0]] * 15,
        eyes=0.8,
        versions={"torch": "9"},
    )
    return dataclasses.replace(of, **changes)


def test_a_card_tells_what_is_stored(places: Path) -> None:
    save(places)
    write_assessment(planted())
    card = render_card("tiny")
    for figure in ("3.21", "3.99", "87.5 % found", "4.56", "7.77", "3.00 (+50 %)", "61 %", "93.2 % of 1,234"):
        assert figure in card
    for figure in (
        "95.5 % of 77",
        "AUC 0.9912",
        "1 false hit of the cascade",
        "In a fog | 8.5 | 17.5",
        "4.25",
        "Abacus",
    ):
        assert figure in card
    assert "tiny.jpg" in card and "tiny.jpg" not in render_card("tiny", pictures=False)
    assert "Abacus" in card
    assert "no deviation over folds" in card and "fold 0 of five" in card
    assert disturbance_rows(planted())[0][1]["drawn"] == (3.0, pytest.approx(50))


def test_five_folds_are_told_with_their_deviation(places: Path) -> None:
    save(places)
    write_assessment(planted())
    n = 20
    errors = FaceErrors(np.full((n, 15), 1.0), np.repeat([20.0, 25.0, 20.0, 25.0, 20.0], 4), np.ones(n, bool))
    config = {key: value for key, value in CONFIG.as_dict().items() if key != "fold"}
    about = {"name": "tiny", "schema": "kaggle15", "data": ["drawn"], "config": config}
    folds = np.repeat(np.arange(5), 4).astype(np.uint8)
    write_folds(FoldErrors(errors, folds, np.zeros(n, np.uint8), about))
    of = standing("tiny")["drawn"]
    assert (of.folds, of.faces) == (5, n)
    assert of.mean["nme"] == pytest.approx(4.6, abs=0.01) and of.deviation["nme"] == pytest.approx(0.548, abs=0.01)
    assert of.mean["nme_by_keypoint"]["nose_tip"] == pytest.approx(4.6, abs=0.01)
    card = render_card("tiny")
    assert "4.60 ± 0.55" in card and "over 5 folds" in card and "no deviation" not in card
    about["config"] = config | {"epochs": 99}
    write_folds(FoldErrors(errors, folds, np.zeros(n, np.uint8), about))
    assert standing("tiny")["drawn"].folds == 1  # of other settings than these weights


def test_figures_of_other_weights_are_not_told(places: Path) -> None:
    save(places)
    write_assessment(planted(digest="of others"))
    assert find_assessment("tiny") is None
    assert "python -m fkd card tiny --measure" in render_card("tiny") and "Abacus" not in render_card("tiny")


def test_imported_data_has_its_own_terms(places: Path) -> None:
    save(places, data="kaggle+my_faces")
    kaggle, own = data_terms(read_card("tiny"))
    assert "competition" in kaggle and own == "your own dataset `my_faces`, under its own terms"


def test_what_is_missing_or_damaged_is_one_sentence(places: Path, capsys) -> None:
    with pytest.raises(FkdError, match="python -m fkd card tiny --measure"):
        read_assessment("tiny")
    assessment_path("tiny").parent.mkdir(parents=True)
    for text in ("", "{}", "[1]"):
        assessment_path("tiny").write_text(text)
        with pytest.raises(FkdError, match="damaged"):
            read_assessment("tiny")
    assert main(["card", "nothing"]) == 1
    assert capsys.readouterr().err == "fkd: 'nothing' are no shipped weights; there are: none.\n"


def test_the_cumulative_curve_counts_faces() -> None:
    curve = cumulative(np.array([0.05, 1.0, 3.04, 20.0]))
    assert curve[0] == 0 and curve[1] == 25 and curve[10] == 50 and curve[30] == 50 and curve[31] == 75
    assert curve[-1] == 75 and curve == sorted(curve)
