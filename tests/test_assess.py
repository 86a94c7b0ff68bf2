"""Weights measured at once, stored, read, and told on a card; on a tiny network that was never trained."""

from __future__ import annotations

import dataclasses
import json
import shlex
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
from fkd.evaluation.evaluate import evaluate, true_boxes
from fkd.evaluation.folds import FoldErrors, write_folds
from fkd.evaluation.leaderboard import add_result, add_times, config_hash, read_result
from fkd.evaluation.standing import cumulative, held_out, hold_out_the_same, standing
from fkd.metrics import FaceErrors, eye_distances_px
from fkd.models import create_model
from fkd.schema import KAGGLE15
from fkd.training.loop import train
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.weights import Card, find_weights, load_torch_model, points_digest, read_card, save_weights
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
    training["minutes"] = 1.5
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
    assert stored["face_score"]["of"] == ["synthetic68"]  # as pictures of the weights' own show nothing but a face
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

    monkeypatch.setattr("fkd.pipeline.predict.Pipeline", lambda model: pipeline)
    found = assessing.measure_disturbances(load_torch_model(save(places)), faces)
    for block in np.array(asked).reshape(-1, len(faces), 4):  # turned faces keep theirs
        np.testing.assert_allclose(block, true_boxes(faces))
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
        face_score={
            "auc": 99.12,
            "of": ["drawn"],
            "faces": 500,
            "others": {"background": 250, "false hit": 1, "part": 249},
        },
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
        "AUC 0.9912 in telling 500 held-out faces of drawn,",
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


def test_a_card_tells_which_epoch_the_weights_are_of_and_when_it_was_reached(places: Path) -> None:
    save(places, epochs=7)
    assert ": weights of epoch 3 of at most 7, reached after 1.5 minutes; torch" in render_card("tiny")


def test_a_card_tells_the_command_that_trained_the_weights(places: Path) -> None:
    save(places)
    (line,) = (line for line in render_card("tiny").splitlines() if line.startswith("python -m fkd train"))
    assert shlex.split(line)[3:6] == ["train", "--recipe", "mlp"]
    assert {"data=drawn", "epochs=3", 'model_args={"widths":[16]}'} < set(shlex.split(line))
    assert line.endswith(" --run tiny")
    save(places, recipe="of tomorrow")
    assert "python -m fkd train" not in render_card("tiny")


@pytest.mark.parametrize(
    ("data", "real", "unlike"),
    [
        ("kaggle", True, True),
        ("of_my_own", False, True),
        ("synthetic15", False, False),
        ("kaggle+synthetic15", True, False),
    ],
)
def test_a_card_tells_of_real_faces_and_of_unlike_points_only_where_there_were_any(
    places: Path, data: str, real: bool, unlike: bool
) -> None:
    save(places, data=data)
    write_assessment(planted())
    card = render_card("tiny")
    assert ("Of real faces, the worst" in card, "Their 15 points are taken from 68" in card) == (real, unlike)
    assert "in pixels of the 96x96 pictures" in card and "scaled to 96 px" not in card


@pytest.mark.parametrize("whole", [True, False])
def test_a_card_tells_how_disturbed_faces_were_framed(places: Path, whole: bool) -> None:
    save(places, whole_picture=whole)
    write_assessment(planted())
    card = render_card("tiny")
    assert ("cut out by their boxes, not taken as whole pictures" in card) == whole
    assert ("| drawn | none: whole picture |" in card) == whole and ("| drawn | true |" in card) != whole
    assert ("True boxes lie round the labelled points" in card) != whole
    assert "looked at again, upright. So even faces that nothing disturbs" in card


@pytest.mark.parametrize(
    ("model", "nme", "told"),
    [
        ("mlp", 9.99, "these weights beat the constant mean shape"),
        ("mlp", 2.22, "**these weights do not beat** the constant mean shape"),
        ("mean_shape", 9.99, "these weights are the constant mean shape"),
    ],
)
def test_a_card_tells_whether_the_mean_shape_is_beaten(places: Path, model: str, nme: float, told: str) -> None:
    save(places)
    assert "mean shape" not in render_card("tiny"), "nothing is known of it"
    config = read_card("tiny").training["config"]
    measured = {"faces": 12, "nme": 3.21, "rmse_px": 1.2, "fr8": 1.5, "argmax_accuracy": 71.0}
    result = {"name": "tiny", "recipe": "mlp", "schema": "kaggle15", "model": model, "parameters": 1, "epochs": 3}
    result |= {"minutes": 1.0, "images_per_s": 9.0, "command": "", "config_hash": config_hash(config), "history": {}}
    floor = measured | {"nme": nme, "rmse_px": 4.44}
    path = assessment_path("tiny").parents[1] / "tiny.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result | {"measured": {"drawn": {"metrics": measured, "mean_shape": floor}}}))
    assert f"On drawn, {told}" in render_card("tiny")
    assert f"is {nme:.2f} %, and its RMSE 4.44 px" in render_card("tiny")
    path.write_text(path.read_text().replace(config_hash(config), "of another run"))
    assert "mean shape" not in render_card("tiny")


def test_five_folds_are_told_with_their_deviation(places: Path) -> None:
    save(places)
    write_assessment(planted())
    n = 20
    errors = FaceErrors(np.full((n, 15), 1.0), np.repeat([20.0, 25.0, 20.0, 25.0, 20.0], 4), np.ones(n, bool))
    config = {key: value for key, value in CONFIG.as_dict().items() if key != "fold"}
    runs = {str(fold): "tiny" for fold in range(5)}
    about = {"name": "tiny", "schema": "kaggle15", "data": ["drawn"], "config": config, "runs": runs}
    about["network"] = points_digest(find_weights("tiny"))
    folds = np.repeat(np.arange(5), 4).astype(np.uint8)
    write_folds(FoldErrors(errors, folds, np.zeros(n, np.uint8), about))
    of = standing("tiny")["drawn"]
    assert (of.folds, of.faces) == (5, n)
    assert of.mean["nme"] == pytest.approx(4.6, abs=0.01) and of.deviation["nme"] == pytest.approx(0.548, abs=0.01)
    assert of.mean["nme_by_keypoint"]["nose_tip"] == pytest.approx(4.6, abs=0.01)
    alone = held_out("tiny")["drawn"]  # in the same table as the folds
    assert (alone.folds, alone.mean) == (1, planted().data["drawn"]["true"])
    card = render_card("tiny")
    assert f"| held out | {alone.faces} | {alone.mean['nme']:.2f} |" in card
    assert "4.60 ± 0.55" in card and "over 5 folds" in card and "no deviation" not in card
    errors.errors_px[folds > 2] = np.nan
    write_folds(FoldErrors(errors, folds, np.zeros(n, np.uint8), about | {"runs": {"0": "", "1": "", "2": ""}}))
    assert standing("tiny")["drawn"].folds == 3
    assert "over 3 of 5 folds, the others not being measured yet" in render_card("tiny")
    path = find_weights("tiny")  # as a run's weights are, which nobody has measured by themselves
    save_weights(path, load_torch_model(path).network, dataclasses.replace(read_card(path), metrics={}))
    assert "over 3 of 5 folds" in render_card("tiny") and "| held out |" not in render_card("tiny")
    save(places)
    about["config"] = config | {"epochs": 99}
    write_folds(FoldErrors(errors, folds, np.zeros(n, np.uint8), about))
    assert standing("tiny")["drawn"].folds == 1  # of other settings than these weights


def test_weights_of_other_splits_hold_other_faces_out(places: Path) -> None:
    path = save(places)
    for name, changes in (("same", {"epochs": 9, "validation_share": 0.4}), ("other", {"fold": 1}), ("unknown", None)):
        card = read_card(path)
        config = {} if changes is None else card.training["config"] | changes
        training = card.training | {"config": config}
        renamed = dataclasses.replace(card, name=name, training=training)
        save_weights(path.with_name(f"{name}.safetensors"), load_torch_model(path).network, renamed)
    assert hold_out_the_same("tiny", "same") and not hold_out_the_same("tiny", "other")
    assert hold_out_the_same("unknown", "unknown") and not hold_out_the_same("tiny", "unknown")


def test_figures_of_other_weights_are_not_told(places: Path) -> None:
    save(places)
    write_assessment(planted(digest="of others"))
    assert find_assessment("tiny") is None
    assert "python -m fkd card tiny --measure" in render_card("tiny") and "Abacus" not in render_card("tiny")


def test_imported_data_has_its_own_terms(places: Path) -> None:
    save(places, data="kaggle+my_faces")
    kaggle, own = data_terms(read_card("tiny"))
    assert "competition" in kaggle and own == "your own dataset `my_faces`, under its own terms"


def test_the_data_of_weights_that_others_started_from_are_told_with_their_terms() -> None:
    def trained(data: str, **more: object) -> dict:
        return {"config": {"data": data}, **more}

    first = trained("mine", start={"weights": "other", "training": trained("portraits68")})
    training = trained("kaggle", start={"weights": "run:old", "training": first})
    card = Card("tiny", KAGGLE15, "mlp", 96, CropFrame(1.3), {}, training)
    assert [line.split(",")[0] for line in data_terms(card)] == [
        "Kaggle's Facial Keypoints Detection: the competition's rules",
        "before",
        "before",
    ]
    assert data_terms(card)[1].startswith("before, as `run:old`: your own dataset `mine`")
    assert data_terms(card)[2].startswith("before, as `other`: portraits of LFPW")


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


def test_speeds_of_results_and_weights_are_measured_in_one_go(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(places)
    write_assessment(planted(milliseconds={"torch": 1e6, "processor": "another"}, megabytes={"safetensors": 99.0}))
    run = RunFolder.create("plain")
    run.write_config(CONFIG.as_dict())
    train(CONFIG, run)
    add_result(run)
    before = read_result("plain")
    timed = []

    def in_turns(sides, rounds=40):
        timed.append([(name, side().points_px.shape) for name, side in sides.items()])
        return {(name, runtime): 0.75 if name == "plain" else 1.25 for name, runtime in sides}

    monkeypatch.setattr("fkd.bench.predict.time_in_turns", in_turns)
    assert [path.name for path in add_times()] == ["plain.json", "tiny.json", "tiny.md"]
    sides = [("plain", ""), *(("tiny", runtime) for runtime in assessing.runtimes_of("tiny"))]
    assert timed == [[(side, (1, 15, 2)) for side in sides]]
    assert read_result("plain") == {**before, "milliseconds": 0.75}
    stored = read_assessment("tiny")
    assert stored.megabytes == assessing.megabytes_of("tiny") and stored.megabytes["safetensors"] < 1
    assert stored.milliseconds["torch"] == 1.25 and stored.milliseconds["processor"] == assessing.processor()
    assert "1.25" in (places / "FKD_WEIGHTS" / "tiny.md").read_text()
