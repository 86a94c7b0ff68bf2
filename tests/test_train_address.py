"""The Train page behind an address that names data: the form begins with them, and with a recipe made for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fkd.cli import main
from fkd.paths import runs_root
from fkd.training.recipes import RECIPES, get_recipe, recipe_for, remark
from tests.train_page import furnish, open_page

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(tmp_path, monkeypatch)


def chosen(app: AppTest) -> tuple[str, list[str]]:
    """The recipe and the data that the form has."""
    return app.radio[0].value, next(widget.value for widget in app.multiselect if widget.label == "Data")


def test_the_form_begins_with_the_data_of_the_address_and_a_recipe_made_for_them() -> None:
    assert chosen(open_page(dataset="few")) == ("heatmap15", ["few"])
    assert chosen(open_page(dataset="few", recipe="mlp")) == ("mlp", ["few"])
    assert chosen(open_page(dataset="few", recipe="heatmap68")) == ("heatmap68", ["few"])


def test_data_chosen_by_hand_take_those_of_the_address_away() -> None:
    app = open_page(dataset="few")
    next(widget for widget in app.multiselect if widget.label == "Data").set_value(["synthetic15"]).run()
    assert chosen(app) == ("heatmap15", ["synthetic15"])
    assert "dataset" not in app.query_params
    app.query_params["dataset"] = "few"
    assert chosen(app.run()) == ("heatmap15", ["few"])


def test_an_address_with_unknown_data_is_answered_in_a_sentence() -> None:
    app = open_page(dataset="fewer")
    assert app.error[0].value.startswith("There is no dataset 'fewer', perhaps few is meant")
    assert chosen(app)[0] == next(iter(RECIPES))


def test_other_points_than_a_recipe_is_made_for_are_told_of() -> None:
    assert (recipe_for("few"), recipe_for("synthetic68")) == ("heatmap15", "ibug68")
    assert all(remark(get_recipe(name)) is None for name in RECIPES)
    other = get_recipe("heatmap15").with_settings(["data=synthetic68"])
    assert remark(other) == (
        "The recipe heatmap15 is made for 15 points; synthetic68 has 68, and all are learnt, better with "
        "whole_picture=false."
    )
    app = open_page(dataset="few")
    next(widget for widget in app.multiselect if widget.label == "Data").set_value(["synthetic68"]).run()
    assert app.info[0].value == remark(other)


def test_a_misspelt_dataset_does_not_use_up_the_name_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--recipe", "mlp", "--data", "fwe", "--run", "mine"]) == 1
    assert "perhaps few is meant" in capsys.readouterr().err
    assert not (runs_root() / "mine").exists()
