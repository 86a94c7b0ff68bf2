"""Five folds: each face is predicted by the network that did not see it, and the figures come from what is stored."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from fkd.cli import main
from fkd.data import SOURCES
from fkd.data.splits import fold_of
from fkd.data.synthetic import synthetic_dataset
from fkd.evaluation.evaluate import evaluate
from fkd.evaluation.folds import FoldErrors, find_folds, folds_path, measure_folds, read_folds, write_folds
from fkd.metrics import FaceErrors
from fkd.paths import runs_root
from fkd.schema import KAGGLE15
from fkd.training import loop
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.weights import load_torch_model, save_weights
from tests.drawn import TINY_SETTINGS, drawn_faces


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    for place in ("FKD_RUNS", "FKD_RESULTS", "FKD_WEIGHTS"):
        monkeypatch.setenv(place, str(tmp_path / place))
    monkeypatch.setitem(SOURCES, "drawn", drawn_faces)
    return tmp_path


def train(name, *changes):
    config = get_recipe("mlp").with_settings([*TINY_SETTINGS, *changes])
    folder = RunFolder.create(name)
    folder.write_config(config.as_dict())
    loop.train(config, folder)
    return folder


def stop_at_fold_3(monkeypatch):
    real_train = loop.train

    def train_unless_3(config, *rest, **options):
        if config.fold == 3:
            raise loop.Stopped
        real_train(config, *rest, **options)

    monkeypatch.setattr(loop, "train", train_unless_3)


def stored(n=20):
    """Errors of two datasets over five folds, one face without a label."""
    rng = np.random.default_rng(0)
    errors = FaceErrors(rng.uniform(0, 4, (n, 15)), rng.uniform(30, 60, n), rng.random(n) < 0.5)
    errors.errors_px[3, 2] = np.nan
    about = {"name": "tiny", "schema": "kaggle15", "data": ["a", "b"], "runs": {str(fold): "" for fold in range(5)}}
    return FoldErrors(errors, (np.arange(n) % 5).astype(np.uint8), (np.arange(n) >= 10).astype(np.uint8), about)


def test_what_is_stored_comes_back_to_a_thousandth():
    found = stored()
    write_folds(found)
    again = read_folds("tiny")
    np.testing.assert_allclose(again.errors.errors_px, found.errors.errors_px, rtol=1e-3)
    np.testing.assert_array_equal(again.errors.largest_agrees, found.errors.largest_agrees)
    assert again.about == found.about and again.schema is KAGGLE15
    for metric, (mean, deviation) in found.mean_and_deviation("a").items():
        assert again.mean_and_deviation("a")[metric] == pytest.approx((mean, deviation), abs=0.02)


def test_mean_and_deviation_are_over_the_folds_of_one_dataset():
    found = stored()
    by_fold = found.by_fold("a")
    assert [fold["faces"] for fold in by_fold] == [2, 2, 2, 1, 2]  # one face lacks a label
    expected = [found.errors.subset(np.array([i, i + 5])).nme.mean() * 100 for i in (0, 1, 2, 4)]
    expected.insert(3, found.errors.nme[8] * 100)
    mean, deviation = found.mean_and_deviation("a")["nme"]
    assert mean == pytest.approx(np.mean(expected), abs=1e-3)
    assert deviation == pytest.approx(np.std(expected, ddof=1), abs=2e-3)


def test_figures_of_networks_that_are_not_shipped_are_told_by_their_name(places, capsys):
    write_folds(stored())
    assert main(["evaluate", "--weights", "tiny", "--folds", "5", "--data", "b"]) == 0
    assert "tiny on b: mean ± deviation over 5 folds, 10 faces" in capsys.readouterr().out
    assert main(["evaluate", "--weights", "tiny", "--folds", "5", "--data", "c"]) == 1
    assert "tiny from a and b, not from c" in capsys.readouterr().err
    assert main(["evaluate", "--weights", "tinier", "--folds", "5"]) == 1
    assert "tinier" in capsys.readouterr().err
    (places / "FKD_WEIGHTS").mkdir()
    (places / "FKD_WEIGHTS" / "tiny.safetensors").write_bytes(b"damaged")
    assert main(["evaluate", "--weights", "tiny", "--folds", "5"]) == 1  # they may be of others than these


def test_without_the_file_the_command_that_makes_it_is_named_and_works(capsys):
    path = train("tiny").weights
    for name in (str(path), "run:tiny"):
        assert main(["evaluate", "--weights", name, "--folds", "5"]) == 1
        command = f"python -m fkd evaluate --weights {name} --folds 5 --retrain"
        assert command in capsys.readouterr().err
    assert main(command.split()[3:]) == 0
    assert f"wrote {folds_path('tiny')}" in capsys.readouterr().out
    assert main(["evaluate", "--weights", "run:tiny", "--folds", "5"]) == 0
    assert "run:tiny on drawn: mean ± deviation over 5 folds" in capsys.readouterr().out


def test_what_is_stored_of_other_weights_of_the_name_is_not_told(places, capsys):
    path = train("tiny").weights
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain"]) == 0
    other = path.rename(places / "other.safetensors")
    assert main(["evaluate", "--weights", str(other), "--folds", "5"]) == 0
    shutil.rmtree(path.parent)
    assert main(["evaluate", "--weights", str(train("tiny", "epochs=2").weights), "--folds", "5"]) == 1
    assert "over five folds are not stored" in capsys.readouterr().err


def test_folds_are_of_one_network_whatever_its_card_says(places, capsys):
    path = train("tiny").weights
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain"]) == 0
    model = load_torch_model(path)
    save_weights(path, model.network, dataclasses.replace(model.card, metrics={"drawn": {"nme": 1.0}}))
    assert find_folds(path) is not None
    torch.nn.init.zeros_(next(model.network.parameters()))
    save_weights(path, model.network, model.card)
    assert find_folds(path) is None


def test_a_fold_that_is_measured_is_not_trained_again_for_a_run_that_was_begun(monkeypatch):
    path = train("tiny").weights
    real_train = loop.train
    stop_at_fold_3(monkeypatch)
    with pytest.raises(loop.Stopped):
        measure_folds(str(path))
    RunFolder.open("tiny-fold1").write_status("stopped")
    begun = []
    monkeypatch.setattr(loop, "train", lambda config, *a, **o: (begun.append(config.fold), real_train(config, *a, **o)))
    assert not measure_folds(str(path)).missing
    assert begun == [3, 4]


@pytest.mark.parametrize("retrain", [[], ["--retrain"]])
def test_data_that_the_weights_have_not_learned_from_are_refused_at_once(capsys, retrain):
    path = train("tiny").weights
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--data", "drawn", "synthetic15", *retrain]) == 1
    told = capsys.readouterr().err
    assert told == f"fkd: --folds is of what weights have learned from: {path} from drawn, not from synthetic15.\n"
    assert not (runs_root() / "tiny-fold1").exists()


def test_synthetic_faces_have_five_folds_too(monkeypatch, capsys):
    few = synthetic_dataset("kaggle15", count=40, faces_per_person=1)
    monkeypatch.setitem(SOURCES, "synthetic15", lambda: few)
    train("drawn-by-fkd", "data=synthetic15", "epochs=1")
    assert main(["evaluate", "--weights", "run:drawn-by-fkd", "--folds", "5", "--retrain"]) == 0
    assert "on synthetic15: mean ± deviation over" in capsys.readouterr().out


def test_each_face_is_predicted_by_the_network_that_did_not_see_it():
    found = measure_folds(str(train("tiny").weights))
    faces, names = drawn_faces(), {0: "tiny"} | {fold: f"tiny-fold{fold}" for fold in range(1, 5)}
    assert found.about["runs"] == {str(fold): name for fold, name in names.items()}
    np.testing.assert_array_equal(found.folds, fold_of(faces.groups))
    for fold, name in names.items():
        model = load_torch_model(RunFolder.open(name).weights)
        assert model.card.training["config"]["fold"] == fold
        outcome = evaluate(model, faces, box_errors=False)
        assert found.by_fold("drawn")[fold] == outcome.summary and outcome.seen == 0


def test_a_second_call_trains_only_what_is_missing(places, capsys, monkeypatch):
    path = train("tiny").weights
    finished = train("tiny-fold1", "fold=1").read_metrics()
    begun, real_train = [], loop.train

    def noted(config, *rest, **options):
        begun.append(config.fold)
        real_train(config, *rest, **options)

    monkeypatch.setattr(loop, "train", noted)
    command = ["evaluate", "--weights", str(path), "--folds", "5"]
    assert main([*command, "--retrain", "--json", str(places / "out.json")]) == 0
    assert begun == [2, 3, 4]
    assert RunFolder.open("tiny-fold1").read_metrics() == finished
    assert main([*command, "--retrain"]) == 0 and begun == [2, 3, 4]
    capsys.readouterr()
    assert main(command) == 0
    assert "drawn: mean ± deviation over 5 folds" in capsys.readouterr().out
    result = json.loads((places / "out.json").read_text())[0]
    assert len(result["folds"]) == 5
    assert result["nme"]["mean"] == pytest.approx(np.mean([fold["nme"] for fold in result["folds"]]))
    assert folds_path("tiny").stat().st_size < 10_000


def test_a_stopped_training_is_gone_on_with(monkeypatch, capsys):
    path = train("tiny").weights
    finish = loop.Trainer._finish_epoch

    def stop_after_one(self, *arguments):
        finish(self, *arguments)
        raise loop.Stopped

    monkeypatch.setattr(loop.Trainer, "_finish_epoch", stop_after_one)
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain"]) == 1
    assert "tiny-fold1 was stopped; the same command goes on" in capsys.readouterr().err
    assert read_folds("tiny").missing == [1, 2, 3, 4]
    assert main(["evaluate", "--weights", str(path), "--folds", "5"]) == 1, "one fold has no deviation"
    monkeypatch.setattr(loop.Trainer, "_finish_epoch", finish)
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain"]) == 0
    assert [epoch["epoch"] for epoch in RunFolder.open("tiny-fold1").read_epochs()] == [1, 2, 3]


def test_what_has_been_measured_is_kept_without_its_runs_until_all_is(monkeypatch, capsys):
    command = ["evaluate", "--weights", str(train("tiny").weights), "--folds", "5"]
    real_train = loop.train
    stop_at_fold_3(monkeypatch)
    with pytest.raises(loop.Stopped):
        main([*command, "--retrain"])
    first = read_folds("tiny")
    assert main(command) == 0
    told = capsys.readouterr()
    assert "mean ± deviation over 3 folds" in told.out and "fold 3 and 4 is still to be measured" in told.err

    for fold in (1, 2):
        shutil.rmtree(runs_root() / f"tiny-fold{fold}")
    begun = []
    monkeypatch.setattr(loop, "train", lambda config, *a, **o: (begun.append(config.fold), real_train(config, *a, **o)))
    assert main([*command, "--retrain"]) == 0
    found = read_folds("tiny")
    assert begun == [3, 4] and not found.missing and len(found.by_fold("drawn")) == 5
    for part, whole in zip(first.by_fold("drawn"), found.by_fold("drawn"), strict=False):
        assert part == whole

    shutil.rmtree(runs_root() / "tiny-fold4")
    stop_at_fold_3(monkeypatch)
    shutil.rmtree(runs_root() / "tiny-fold3")
    with pytest.raises(loop.Stopped):
        main([*command, "--retrain"])
    assert not read_folds("tiny").missing, "only a whole file takes the place of a whole one"


@pytest.mark.parametrize(("device", "reason"), [("gpu", "There is no device 'gpu' here"), ("cpu,cpu", "name one")])
def test_a_device_that_cannot_train_the_folds_is_told_before_any_training(capsys, device, reason):
    path = train("tiny").weights
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain", "--device", device]) == 1
    assert reason in capsys.readouterr().err
    assert not list(runs_root().glob("tiny-fold*"))


def test_a_run_of_the_name_with_other_settings_is_not_taken_and_told_before_any_training(capsys):
    path = train("tiny").weights
    train("tiny-fold4", "fold=4", "epochs=2")
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain"]) == 1
    assert "'tiny-fold4' has other settings" in capsys.readouterr().err
    assert not (runs_root() / "tiny-fold1").exists()


def test_networks_that_cannot_start_as_the_first_did_are_told_before_any_training(capsys):
    train("first")
    path = train("tiny", "start_from=run:first").weights
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain"]) == 1
    assert "run:first has learnt from faces of drawn that this run would hold out" in capsys.readouterr().err
    assert not list(runs_root().glob("tiny-fold*"))


@pytest.mark.parametrize("change", ["fold=-1", "split=random"])
def test_weights_that_held_out_no_fold_have_no_five_folds(capsys, change):
    path = train("tiny", change).weights
    assert main(["evaluate", "--weights", str(path), "--folds", "5", "--retrain"]) == 1
    assert "was not trained without a fold" in capsys.readouterr().err
