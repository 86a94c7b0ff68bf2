"""Starting a training from weights: what is taken over, what goes with it, and what is refused."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from fkd.cli import main
from fkd.data import SOURCES
from fkd.errors import FkdError
from fkd.evaluation.evaluate import seen_in_training
from fkd.training import loop
from fkd.training.faces import split_faces
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.training.start import find_start
from fkd.weights import read_card
from tests.drawn import TINY_SETTINGS, drawn_faces

CONFIG = get_recipe("mlp").with_settings([*TINY_SETTINGS, "epochs=1"])
STILL = ["learning_rate=0.000001", "optimizer=adam"]  # so that what was taken over can be seen


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    monkeypatch.setenv("FKD_RUNS", str(tmp_path))
    for name in ("drawn", "others"):
        monkeypatch.setitem(SOURCES, name, lambda name=name: drawn_faces(name=name))
    monkeypatch.setitem(SOURCES, "unlike", lambda: drawn_faces(n=40, side=48, name="unlike"))


def train(name, *settings):
    config = CONFIG.with_settings(list(settings))
    run = RunFolder.create(name)
    run.write_config(config.as_dict())
    loop.train(config, run)
    return run


def test_a_network_starts_from_what_fits_and_draws_the_rest():
    first = load_file(train("first").weights)
    same = load_file(train("same", "data=unlike", "start_from=run:first", *STILL).weights)
    assert first.keys() == same.keys()
    for name, values in first.items():
        np.testing.assert_allclose(same[name], values, atol=1e-3)
    wide = train("wide", "data=unlike", "input_size=48", "start_from=run:first", *STILL)
    unlike = load_file(wide.weights)
    fitting = {name for name, values in first.items() if values.shape == unlike[name].shape}
    assert set() < fitting < first.keys()
    for name in fitting:
        np.testing.assert_allclose(unlike[name], first[name], atol=1e-3)
    counted = sum(unlike[name].size for name in fitting) / sum(values.size for values in unlike.values())
    assert wide.read_made_with()["start"]["taken"] == pytest.approx(counted, abs=1e-3)


def test_a_start_is_measured_first_and_kept_where_training_makes_it_worse(capsys):
    first = train("first", "epochs=20")
    again = train("again", "start_from=run:first", "learning_rate=1", "optimizer=adam", "clip_norm=0", "epochs=2")
    start, *epochs = again.read_epochs()
    assert start["epoch"] == 0 and start["step"] == 0 and [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert start["validation_nme"] == pytest.approx(first.best_epoch()["validation_nme"], rel=1e-3)  # kept in fp16
    assert start["validation_nme"] < min(epoch["validation_nme"] for epoch in epochs)
    kept = load_file(again.weights)
    for name, values in load_file(first.weights).items():
        np.testing.assert_array_equal(kept[name], values)
    assert read_card(again.weights).training["epoch"] == 0 and again.samples.epochs() == [0, 1, 2]
    assert main(["runs", "show", "again"]) == 0
    assert "its start, as none was better" in capsys.readouterr().out


def test_a_start_is_resumed_from_and_not_measured_where_a_part_is_drawn(monkeypatch):
    train("first")
    gone = train("gone", "data=unlike", "start_from=run:first")
    whole = gone.read_epochs()
    lines = (gone.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    run = RunFolder.create("killed")
    run.write_config(gone.read_config())

    def killed(self: loop.Trainer) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loop.Trainer, "run_epochs", killed)
        with pytest.raises(KeyboardInterrupt):
            loop.train(CONFIG.with_settings(["data=unlike", "start_from=run:first"]), run)
    assert (run.path / "metrics.jsonl").read_bytes() == lines[0]
    with monkeypatch.context() as patched:
        patched.setattr(loop.Trainer, "_measure_start", lambda self: pytest.fail("measured a second time"))
        loop.train(CONFIG.with_settings(["data=unlike", "start_from=run:first"]), run, resume=True)
    assert [line["validation_nme"] for line in run.read_epochs()] == [line["validation_nme"] for line in whole]
    part = train("part", "data=unlike", "input_size=48", "start_from=run:first")
    assert [line["epoch"] for line in part.read_epochs()] == [1]


def test_how_much_is_taken_over_is_told(capsys):
    train("first")
    train("same", "data=unlike", "start_from=run:first")
    assert "same starts from run:first, with 100 % of its numbers from there\n" in capsys.readouterr().out
    other = train("other", "data=unlike", "start_from=run:first", 'model_args={"widths": [64], "dropout": 0}')
    told = capsys.readouterr().out
    assert "hardly a start, as the networks differ" in told and "hardly a start" in other.read_text("log.txt")


def test_what_weights_have_seen_goes_with_them():
    train("first")
    train("second", "data=unlike", "start_from=run:first")
    card = read_card(train("third", "data=others", "start_from=run:second").weights)
    ancestors = [card.training["start"], card.training["start"]["training"]["start"]]
    assert [ancestor["weights"] for ancestor in ancestors] == ["run:second", "run:first"]
    faces = drawn_faces(name="unlike", n=40, side=48)
    np.testing.assert_array_equal(
        seen_in_training(card, faces), seen_in_training(read_card(RunFolder.open("second").weights), faces)
    )
    assert seen_in_training(card, faces).any()


@pytest.mark.parametrize("split", ["fold=1", "split=random", "validation_share=0.4"])
def test_weights_that_have_seen_what_a_run_holds_out_are_refused_however_long_ago(split):
    train("first")
    train("second", "data=unlike", "start_from=run:first")
    for weights in ("run:first", "run:second"):
        with pytest.raises(FkdError, match="has learnt from faces of drawn that this run would hold out; take the"):
            train(f"{split.replace('=', '_')}-{weights[4:]}", split, f"start_from={weights}")
    train("likewise", "start_from=run:second")


def test_a_split_that_is_drawn_from_other_data_is_another_one():
    train("first", "split=group")
    likewise = CONFIG.with_settings(["split=group", "start_from=run:first"])
    with pytest.raises(FkdError, match=r"learnt from faces of drawn .*--set data=drawn\)"):
        find_start(likewise.with_settings(["data=drawn+others"]))
    assert find_start(likewise)


@pytest.mark.parametrize("split", ["fold=-1", "split_seed=3", "test_share=0.5"])
def test_weights_may_go_on_to_learn_from_what_they_held_out_and_settings_without_effect_may_differ(split):
    weights = train("first")
    config = CONFIG.with_settings([split, "start_from=run:first"])
    assert find_start(config)
    masks = split_faces(drawn_faces(), config)
    learnt = seen_in_training(read_card(weights.weights), drawn_faces())
    assert learnt.any() and not (learnt & masks["test"]).any()
    assert not (split_faces(drawn_faces(), CONFIG)["train"] & (masks["validation"] | masks["test"])).any()


def test_what_weights_of_all_faces_have_learnt_is_not_held_out_later():
    train("first", "fold=-1")
    with pytest.raises(FkdError, match=r"--set fold=-1\)"):
        find_start(CONFIG.with_settings(["fold=0", "start_from=run:first"]))


def test_weights_that_cannot_be_started_from_are_one_sentence():
    train("first")
    with pytest.raises(FkdError, match="The run 'none' has no weights"):
        train("second", "data=unlike", "start_from=run:none")
    with pytest.raises(FkdError, match="run:first is a 'mlp' network, not 'cnn'; start from"):
        train("third", "data=unlike", "start_from=run:first", "model=cnn", "model_args={}")


def test_a_run_is_resumed_only_from_the_weights_it_was_started_with():
    first = train("first")
    run = train("second", "data=unlike", "start_from=run:first")
    first.weights.write_bytes(train("another", "seed=1").weights.read_bytes())
    with pytest.raises(FkdError, match="run:first has changed since the run was started; start a new run"):
        loop.train(CONFIG.with_settings(["data=unlike", "start_from=run:first"]), run, resume=True)
