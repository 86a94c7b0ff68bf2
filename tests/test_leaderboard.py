"""The table of results: what a run's file holds, and that README and committed files agree with the command."""

import argparse
import dataclasses
import json
import re
import shlex

import pytest

from fkd.cli import main
from fkd.cli.train import add_arguments
from fkd.errors import FkdError
from fkd.evaluation.leaderboard import (
    MARKS,
    Row,
    add_result,
    as_markdown,
    as_text,
    config_hash,
    put_between_marks,
    read_result,
    read_results,
    result_names,
    sort_rows,
    train_command,
)
from fkd.paths import PROJECT_ROOT
from fkd.training import loop
from fkd.training.config import TrainConfig
from fkd.training.recipes import RECIPES, get_recipe
from fkd.training.run import RunFolder
from fkd.weights import list_weights
from tests.drawn import TINY_SETTINGS


def train(name, recipe="mlp", *changes):
    settings = TINY_SETTINGS if recipe == "mlp" else TINY_SETTINGS[:-1]
    config = get_recipe(recipe).with_settings([*settings, *changes])
    folder = RunFolder.create(name)
    folder.write_config(config.as_dict())
    loop.train(config, folder)
    return folder


def test_a_result_holds_what_makes_the_run_again(places):
    folder = train("mine", "mlp", "learning_rate=0.01")
    assert add_result(folder).name == "mine.json"
    result = read_result("mine")
    assert config_hash(result["config"]) == result["config_hash"]
    assert TrainConfig.from_dict(result["config"]) == TrainConfig.from_dict(folder.read_config())
    assert result["data_hash"] == folder.read_made_with()["data_hash"]
    assert result["epochs"] == 3 and result["best_epoch"] in (1, 2, 3)
    assert result["parameters"] == 32 * 32 * 16 + 16 + 16 * 30 + 30
    assert result["history"]["epoch"] == [1, 2, 3]
    assert result["history"]["validation_nme"] == pytest.approx(
        [epoch["validation_nme"] for epoch in folder.read_epochs()], rel=1e-4
    )
    assert settings_of(result["command"]) == TrainConfig.from_dict(result["config"])


def settings_of(command):
    """The configuration that a stored command line starts a training with."""
    python, *module, verb = shlex.split(command)[:4]
    assert (python, module, verb) == ("python", ["-m", "fkd"], "train")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(shlex.split(command)[4:])
    return get_recipe(args.recipe).with_settings(args.set)


def test_the_mean_shape_is_measured_on_the_same_faces(places):
    for name, recipe in (("floor", "mean-shape"), ("mine", "mlp")):
        add_result(train(name, recipe))
    floor, mine = (next(row for row in read_results() if row.name == name) for name in ("floor", "mine"))
    assert floor.mean_shape_rmse_px == mine.mean_shape_rmse_px and floor.faces == mine.faces
    assert (floor.verdict, mine.verdict) == ("the floor", "not beaten")  # after three epochs


@pytest.mark.parametrize(
    ("model", "rmse_px", "nme", "verdict"),
    [
        ("mlp", 1, 1, "beaten"),
        ("mlp", 1, 3, "not beaten"),
        ("mlp", 3, 1, "not beaten"),
        ("mean_shape", 3, 3, "the floor"),
    ],
)
def test_a_row_says_whether_it_beats_the_mean_shape(places, model, rmse_px, nme, verdict):
    path = add_result(train("mine"))
    result = json.loads(path.read_text()) | {"model": model}
    result["measured"]["drawn"]["metrics"] |= {"rmse_px": rmse_px, "nme": nme}
    result["measured"]["drawn"]["mean_shape"] |= {"rmse_px": 2, "nme": 2}
    path.write_text(json.dumps(result))
    assert [row.verdict for row in read_results()] == [verdict]


def row(**changes):
    values = {"name": "a", "weights": "", "recipe": "mlp", "data": "kaggle", "verdict": "beaten"}
    values |= {"schema": "kaggle15", "config_hash": "0", "command": ""}
    figures = {field.name: 1 for field in dataclasses.fields(Row) if field.name not in values}
    return Row(**{**values, **figures, **changes})


def test_rows_are_sorted_with_the_best_first():
    rows = [row(name="a", rmse_px=2.0, argmax_accuracy=70.0), row(name="b", rmse_px=1.0, argmax_accuracy=60.0)]
    assert [r.name for r in sort_rows(rows, "rmse_px")] == ["b", "a"]
    assert [r.name for r in sort_rows(rows, "argmax_accuracy")] == ["a", "b"]
    assert [r.name for r in sort_rows(rows, "name")] == ["a", "b"]
    with pytest.raises(FkdError, match="no column 'rsme_px' to sort by; there are name, weights"):
        sort_rows(rows, "rsme_px")


def test_tables_have_a_line_for_each_row():
    rows = [row(rmse_px=1.234, parameters=1234567), row(name="longer name", verdict="not beaten")]
    text, markdown = as_text(rows).splitlines(), as_markdown(rows).splitlines()
    assert len(text) == 3 and len(markdown) == 4
    assert "1.23" in text[1] and "1,234,567" in text[1] and text[2].endswith("1.00 px: not beaten")
    assert len({line.count("|") for line in markdown}) == 1


def test_the_command_prints_what_was_added(places, capsys):
    train("mine")
    assert main(["leaderboard", "--add", "mine"]) == 0
    assert "mine" in capsys.readouterr().out.splitlines()[-1]
    assert main(["leaderboard", "--json", "--sort", "nme"]) == 0
    assert json.loads(capsys.readouterr().out) == [dataclasses.asdict(row) for row in read_results()]
    readme = places / "README.md"
    readme.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    assert main(["leaderboard", "--into", str(readme)]) == 0
    assert readme.read_text() == f"before\n{MARKS[0]}\n\n{as_markdown(read_results())}\n\n{MARKS[1]}\nafter\n"


def test_a_file_without_marks_is_left_alone():
    with pytest.raises(FkdError, match="no place for the table"):
        put_between_marks("text", "table")


def test_no_results_and_no_run_are_one_sentence(places, capsys):
    assert main(["leaderboard"]) == 1
    assert "leaderboard --add RUN" in capsys.readouterr().err
    assert main(["leaderboard", "--add", "nothing"]) == 1
    assert "There is no run 'nothing'" in capsys.readouterr().err
    folder = RunFolder.create("begun")
    folder.write_config(get_recipe("mlp").as_dict())
    folder.weights.write_bytes(b"written before their epoch")
    assert main(["leaderboard", "--add", "begun"]) == 1
    assert "wait for its first epoch" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "mine", "measured": {"kaggle": {}}}'])
def test_damaged_results_are_named(places, text):
    (places / "FKD_RESULTS").mkdir()
    (places / "FKD_RESULTS" / "mine.json").write_text(text)
    with pytest.raises(FkdError, match=r"mine\.json is damaged"):
        read_results()


def test_settings_that_are_newer_than_a_run_are_told_where_its_recipe_has_others():
    stored = get_recipe("heatmap68").as_dict()
    del stored["augmentation"]["cover"], stored["weight_decay"]
    told = train_command("older", stored)
    assert "augmentation.cover=0.0" in told and settings_of(told).augmentation.cover == 0
    assert "weight_decay" not in told  # whose default the recipe has


class TestCommitted:
    """What stands in the repository."""

    def test_the_table_of_the_readme_is_the_command_s(self):
        readme = (PROJECT_ROOT / "README.md").read_text("utf-8")
        assert put_between_marks(readme, as_markdown(read_results())) == readme, (
            "run python -m fkd leaderboard --into README.md"
        )

    @pytest.mark.parametrize("name", result_names())
    def test_a_result_is_whole_and_its_command_makes_it(self, name):
        result = read_result(name)
        assert result["name"] == name and result["recipe"] in RECIPES
        assert config_hash(result["config"]) == result["config_hash"]
        assert len(set(map(len, result["history"].values()))) == 1
        again = settings_of(result["command"]).as_dict()
        known = {key: value for key, value in result["config"].items() if key in again}
        assert known == json.loads(json.dumps({key: again[key] for key in known})), "its recipe has changed since"
        assert result["command"] == train_command(name, result["config"])

    def test_all_weights_have_a_row(self):
        assert {row.weights for row in read_results()} >= set(list_weights())

    def test_no_recipe_is_worse_than_the_mean_shape(self):
        assert not [row.name for row in read_results() if row.verdict == "not beaten"]

    def test_the_residual_network_is_as_good_as_promised(self):
        row = next(row for row in read_results() if row.name == "resnet")
        assert row.rmse_px <= 2.0 and row.argmax_accuracy > 73.52

    def test_no_result_names_a_person_or_a_place_of_this_machine(self):
        for name in result_names():
            assert not re.search(r"(/home|/work|/tmp|\.jpg)", json.dumps(read_result(name)))
